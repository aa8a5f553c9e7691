package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// What goes wrong on a workstation while the server is away is known at the server when it is back: over REST, at the command line and to
// monitoring. What the machine says of itself lies in a file for others there, too.
func TestAgentIsInTheFleet(t *testing.T) {
	t.Parallel()
	metrics := freeAddress(t)
	i := newInstallation(t)
	i.edit(t, map[string]any{"listen.metrics": metrics})
	r := i.serve(t)
	d := r.desk(t, "alice")
	if out := i.run(t, "fleet list"); !strings.Contains(out, "There is no such machine.") {
		t.Errorf("nobody: %s", out)
	}
	e2etest.Good(t, d.enroll())
	var status struct {
		Machine  uuid.UUID
		Schedule struct{ By string }
		Failures []struct {
			Step, Code string
			Count      int
		}
		ReportedAt string `json:"reported_at"`
		Identities []struct {
			Pairs  []json.RawMessage
			Stores []struct {
				Store, Place, Code string
				OK                 bool
			}
		}
	}
	must(t, json.Unmarshal([]byte(read(t, d.file("state", "status.json"))), &status))
	if status.Machine == uuid.Nil || status.ReportedAt == "" || len(status.Identities) != 1 || len(status.Failures) != 0 || status.Schedule.By != "none" {
		t.Errorf("status.json: %+v", status)
	}
	if info, err := os.Stat(d.file("state", "status.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("status.json: %v, %v", info, err)
	}
	id := status.Machine
	operator := r.as(t, "operator")
	machine := func() api.Machine {
		t.Helper()
		p, err := operator.Machines(t.Context(), client.MachineQuery{All: true})
		must(t, err)
		if len(p.Items) != 1 || p.Items[0].ID != id || p.Items[0].Report == nil {
			t.Fatalf("machines: %+v", p.Items)
		}
		return p.Items[0]
	}
	if m := machine(); m.Standing != api.MachineWell || m.PersonName != "Alice Anders" || m.Report.Succeeded != "enrol" || len(m.Report.Certificates) != 2 ||
		!strings.HasPrefix(m.Report.Version, "sealpost-agent/") || m.Report.System == "" {
		t.Errorf("after the enrolment: %+v", m)
	}

	r.stop(t)
	for range 2 {
		fails(t, d.byCertificate("renew --force"), "server-unreachable")
	}
	if out := d.does("status"); !strings.Contains(out, "renew fails (2 times") || !strings.Contains(out, "(server-unreachable)") {
		t.Errorf("status: %s", out)
	}
	must(t, json.Unmarshal([]byte(read(t, d.file("state", "status.json"))), &status))
	if len(status.Failures) != 1 || status.Failures[0].Code != "server-unreachable" || status.Failures[0].Count != 2 {
		t.Errorf("status.json while the server is away: %+v", status)
	}
	r = i.serve(t)
	d.running = r
	operator = r.as(t, "operator")
	write(t, d.file("profile"), "") // a file where a key store should be
	fails(t, d.enroll("--again", "--nss", d.file("profile")), "key-store")
	must(t, json.Unmarshal([]byte(read(t, d.file("state", "status.json"))), &status))
	if s := status.Identities[0].Stores; len(s) != 1 || s[0].Store != "nss" || s[0].Place != "profile" || s[0].OK || s[0].Code != "key-store" {
		t.Errorf("status.json: %+v", status)
	}
	m := machine()
	if m.Failure != "key-store" || m.Standing != api.MachineFailing || len(m.Report.Failures) != 2 || len(m.Report.Stores) != 1 || m.Report.Stores[0].Code != "key-store" {
		t.Fatalf("failing: %+v", m)
	}
	if f := m.Report.Failures[1]; f.Code != "server-unreachable" || f.Count != 2 || f.EndedAt != nil {
		t.Errorf("what failed while the server was away: %+v", f)
	}
	if strings.Contains(m.Report.Failures[0].Detail, d.home) {
		t.Errorf("the report names a folder: %s", m.Report.Failures[0].Detail)
	}
	if gauge(t, metrics, "sealpost_fleet_machines_failing") != 1 || gauge(t, metrics, `sealpost_fleet_failures{code="key-store"}`) != 1 ||
		gauge(t, metrics, `sealpost_fleet_failures{code="other"}`) != 0 || gauge(t, metrics, "sealpost_fleet_machines") != 1 || gauge(t, metrics, "sealpost_fleet_contacts_total") < 1 {
		t.Error("metrics")
	}
	for _, line := range []string{"fleet list", "fleet list --failing", "fleet list --failure key-store", "fleet list --person alice"} {
		if out := i.run(t, line); !strings.Contains(out, "failing") || !strings.Contains(out, "Alice Anders") || !strings.Contains(out, id.String()) {
			t.Errorf("%s: %s", line, out)
		}
	}
	for _, line := range []string{"fleet list --silent 1", "fleet list --ends 1", "fleet list --system plan9", "fleet list --version x", "fleet list --person bob"} {
		if out := i.run(t, line); !strings.Contains(out, "no such machine") {
			t.Errorf("%s: %s", line, out)
		}
	}
	if out := i.run(t, "fleet summary"); !strings.Contains(out, "key-store") || !strings.Contains(out, "by version") {
		t.Errorf("summary: %s", out)
	}
	var sum api.MachineSummary
	must(t, json.Unmarshal([]byte(i.run(t, "fleet summary --json")), &sum))
	var one, shown api.Machine
	must(t, json.Unmarshal([]byte(i.run(t, "fleet list --json")), &one))
	must(t, json.Unmarshal([]byte(i.run(t, "fleet show alice", id.String())), &shown))
	if sum.Machines != 1 || sum.Failing != 1 || one.ID != id || shown.ID != id || shown.Report == nil || shown.Failure != "key-store" {
		t.Errorf("as JSON: %+v, %+v, %+v", sum, one, shown)
	}
	oneLine(t, "another's", e2etest.Bad(t, i.command("fleet show bob", id.String()), "unknown-machine"))
	oneLine(t, "no id", e2etest.Bad(t, i.command("fleet show alice laptop"), "machine-id"))

	must(t, os.Remove(d.file("profile")))
	d.does("renew --force")
	if m := machine(); m.Failure != "" || m.Standing != api.MachineWell || m.Report.Failures[1].EndedAt == nil {
		t.Errorf("all is well again: %+v", m)
	}
	if out := i.run(t, "fleet forget alice", id.String()); !strings.Contains(out, "forgotten") {
		t.Errorf("forget: %s", out)
	}
	if out := i.run(t, "fleet list"); !strings.Contains(out, "no such machine") {
		t.Errorf("forgotten: %s", out)
	}
}

// A folder that a registrar fills for somebody else is no machine, neither theirs nor the registrar's, until somebody works with it as their own.
func TestFolderToHandOverIsNoMachine(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	rita, bob := r.desk(t, "rita"), r.desk(t, "bob")
	out := rita.file("for-bob")
	e2etest.Good(t, rita.agent(rita.home, "rita", "enroll", "--server", r.url(), "--roots", r.path("pki/root.pem"), "--login", "rita", "--on-behalf", "bob@example.test", "--out", out))
	bob.count(2, 1)
	// What is heard of is written in turn: after this one, everything before it is.
	own := uuid.New()
	c := r.client(t, client.Config{Login: "bob", Password: slapdtest.Password("bob"), Machine: own})
	defer c.Close()
	_, err := c.Policy(t.Context())
	must(t, err)
	operator := r.as(t, "operator")
	machines := func() []api.Machine {
		t.Helper()
		p, err := operator.Machines(t.Context(), client.MachineQuery{All: true})
		must(t, err)
		return p.Items
	}
	e2etest.Eventually(t, func() error {
		if !slices.ContainsFunc(machines(), func(m api.Machine) bool { return m.ID == own }) {
			return errors.New("bob's own machine is not there yet")
		}
		return nil
	})
	if all := machines(); len(all) != 1 {
		t.Errorf("machines: %+v", all)
	}
	// Handed over whole, it is bob's.
	must(t, os.Rename(filepath.Join(out, "state"), bob.file("state")))
	bob.does("run --force", "--server", r.url(), "--roots", r.path("pki/root.pem"))
	all := machines()
	if len(all) != 2 || all[1].PersonName != "Bob Brown" || all[1].Report == nil || len(all[1].Report.Certificates) != 2 {
		t.Errorf("machines after the handing over: %+v", all)
	}
}
