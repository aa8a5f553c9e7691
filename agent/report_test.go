package agent_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/api"
)

// told has the agent report, and returns what came: nil if nothing did.
func (w *workstation) told(t *testing.T, a *agent.Agent) *reported {
	t.Helper()
	w.reports = nil
	must(t, a.Report(t.Context()))
	switch len(w.reports) {
	case 0:
		return nil
	case 1:
		return &w.reports[0]
	}
	t.Fatalf("%d reports", len(w.reports))
	return nil
}

// What went wrong while the server was away is told when it is back, once, with how often and since when; then only what has changed, or
// once a day.
func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.fleet = true
	if r := w.told(t, w.agent(t, asAlice)); r != nil {
		t.Errorf("a folder that no agent has worked in: %+v", r)
	}
	id, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	a := w.agent(t, byCertificate)
	machine, err := a.Machine()
	must(t, err)
	r := w.told(t, a)
	if r == nil || r.machine != machine.String() || r.mailbox != "alice@example.test" || r.Succeeded != "enrol" || len(r.Failures) != 0 || len(r.Certificates) != 2 ||
		!r.Certificates[0].Current || r.Certificates[0].Use != "signing" || r.Certificates[0].Serial != id.Signing().Serial || r.Certificates[0].Place != "software" ||
		r.Certificates[1].Use != "encryption" || r.RenewAt == nil || r.OldKeys.Here != 0 || r.OldKeys.Wanted {
		t.Fatalf("after the enrolment: %+v", r)
	}
	if r := w.told(t, a); r != nil {
		t.Errorf("nothing has changed: %+v", r)
	}
	w.clock.at = w.clock.at.Add(25 * time.Hour)
	if r := w.told(t, a); r == nil {
		t.Error("a day has passed, and nothing came")
	}
	w.away = true
	since := w.clock.at.UTC()
	for range 3 {
		if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); err == nil {
			t.Fatal("the server is away")
		}
		a.ReportAfter(t.Context()) // it cannot, and that is nobody's trouble
		w.clock.at = w.clock.at.Add(time.Hour)
	}
	w.away = false
	r = w.told(t, w.agent(t, byCertificate))
	if r == nil || len(r.Failures) != 1 || r.Failures[0].Code != "away" || r.Failures[0].Step != "renew" || r.Failures[0].Count != 3 || !r.Failures[0].Since.Equal(since) ||
		!r.Failures[0].At.Equal(since.Add(2*time.Hour)) || r.Failures[0].EndedAt != nil {
		t.Fatalf("back again: %+v", r)
	}
	_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	must(t, err)
	r = w.told(t, a)
	if r == nil || r.Failures[0].EndedAt == nil || r.Succeeded != "renew" || len(r.Certificates) != 3 || r.Certificates[2].Current || r.OldKeys.Here != 1 {
		t.Fatalf("after the renewal: %+v", r)
	}
	known := w.agent(t, byCertificate).Known()
	if len(known.Failures) != 1 || known.ToldAt == nil || !known.ToldAt.Equal(w.clock.at) {
		t.Errorf("known: %+v", known)
	}
	w.clock.at = w.clock.at.AddDate(0, 0, 31)
	_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	must(t, err)
	if r := w.told(t, a); r == nil || len(r.Failures) != 0 {
		t.Errorf("a month later: %+v", r)
	}
}

// A run ends with a report, and one that the server does not take costs nothing.
func TestRunReports(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	_, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{})
	must(t, err)
	if len(w.reports) != 0 || w.seen[len(w.seen)-1] != "PUT machines certificate" {
		t.Fatalf("seen: %q", w.seen)
	}
	w.fleet = true
	_, err = w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{Force: true})
	must(t, err)
	if len(w.reports) != 1 || w.reports[0].mailbox == "" {
		t.Fatalf("reports: %+v", w.reports)
	}
}

// What cannot be written down is remembered, and told.
func TestReportWithoutRoom(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.fleet = true
	_, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(w.dir, "failures.json")))
	must(t, os.MkdirAll(filepath.Join(w.dir, "failures.json", "in the way"), 0o700))
	a := w.agent(t, byCertificate)
	file := filepath.Join(t.TempDir(), "secret-folder", "profile")
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	write(t, file, nil)
	if _, err := a.Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{NSS: agent.Databases{{Dir: file}}}}); !errors.Is(err, store.ErrStore) {
		t.Fatalf("fill: %v", err)
	}
	r := w.told(t, a)
	if r == nil || len(r.Failures) != 1 || r.Failures[0].Code != "key-store" || r.Failures[0].Step != "fill" || r.Failures[0].Detail == "" || len(r.Stores) != 1 ||
		r.Stores[0].Kind != "nss" || r.Stores[0].Code != "key-store" {
		t.Fatalf("reported: %+v", r)
	}
	for _, f := range r.Failures {
		if strings.Contains(f.Detail, "secret-folder") || strings.Contains(f.Detail, w.dir) {
			t.Errorf("the report names a file: %s", f.Detail)
		}
	}
	// A record that cannot be read is begun anew: nothing rests on it.
	must(t, os.RemoveAll(filepath.Join(w.dir, "failures.json")))
	write(t, filepath.Join(w.dir, "failures.json"), []byte("{"))
	if r := w.told(t, w.agent(t, byCertificate)); r == nil || len(r.Failures) != 0 {
		t.Errorf("begun anew: %+v", r)
	}
}

// Of two people in one folder, each one's report is sent as that person, and has nothing of the other's.
func TestReportOfTwoPeople(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.fleet = true
	_, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	w.restrict = "Alice must not know why."
	if _, err := w.enrol(t, agent.EnrolOptions{Again: true}); !errors.Is(err, agent.ErrRestricted) {
		t.Fatalf("refused: %v", err)
	}
	w.restrict = ""
	w.person = api.Person{ID: uuid.New(), Name: "Bob Brown", Mailboxes: []string{"bob@example.test"}}
	bob, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	write(t, filepath.Join(w.dir, "x"), nil)
	if _, err := w.agent(t, byCertificate).Fill(t.Context(), agent.FillOptions{Mailbox: "bob@example.test", Stores: agent.Stores{NSS: agent.Databases{{Dir: filepath.Join(w.dir, "x")}}}}); err == nil {
		t.Fatal("a file is no database")
	}
	must(t, w.agent(t, asAlice).Report(t.Context()))
	if len(w.reports) != 2 {
		t.Fatalf("%d reports", len(w.reports))
	}
	for _, r := range w.reports {
		filled := 0
		for _, f := range r.Failures {
			if f.Step == "fill" {
				filled++
			}
			if strings.Contains(f.Detail, "Alice") {
				t.Errorf("%s is told: %s", r.mailbox, f.Detail)
			}
		}
		bobs := r.mailbox == "bob@example.test"
		if (filled == 1) != bobs || bobs != (r.Certificates[0].Serial == bob.Signing().Serial) || len(r.Certificates) != 2 {
			t.Errorf("%s: %+v", r.mailbox, r)
		}
	}
}

// A machine whose certificate has ended can say so with whatever else says who asks; and where nothing does, not at all.
func TestReportAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.fleet = true
	_, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	w.clock.at = w.clock.at.AddDate(3, 0, 0)
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, agent.ErrExpired) {
		t.Fatalf("renewed with what has ended: %v", err)
	}
	if err := w.agent(t, byCertificate).Report(t.Context()); !errors.Is(err, agent.ErrExpired) {
		t.Errorf("reported with what has ended: %v", err)
	}
	mine := w.person
	w.person = api.Person{ID: uuid.New(), Name: "Bob Brown", Mailboxes: []string{"bob@example.test"}}
	if err := w.agent(t, asAlice).Report(t.Context()); !errors.Is(err, agent.ErrAnswerPerson) || len(w.reports) != 0 {
		t.Errorf("reported as somebody else: %v, %+v", err, w.reports)
	}
	w.person = mine
	r := w.told(t, w.agent(t, asAlice))
	if r == nil || r.mailbox != "" || len(r.Failures) != 1 || r.Failures[0].Code != "signing-certificate-expired" {
		t.Errorf("reported: %+v", r)
	}
}

// holdProfile is Thunderbird as far as its lock is concerned, until its input ends.
const holdProfile = `
import fcntl, sys
f = open(sys.argv[1] + "/.parentlock", "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("ready", flush=True)
sys.stdin.read()
`

// A store whose program has to be restarted first is told of as not finished, here and to the server, until it is; one that is not there, not
// at all.
func TestReportOfUnfinishedStore(t *testing.T) {
	t.Parallel()
	w, id := realWorkstation(t, agent.EnrolOptions{})
	w.fleet = true
	home := t.TempDir()
	profile := filepath.Join(home, ".thunderbird", "abcd")
	must(t, os.MkdirAll(profile, 0o700))
	write(t, filepath.Join(home, ".thunderbird", "profiles.ini"), []byte("[Profile0]\nName=default\nIsRelative=1\nPath=abcd\n"))
	write(t, filepath.Join(profile, "prefs.js"), []byte(`user_pref("mail.accountmanager.accounts", "account1");
user_pref("mail.account.account1.identities", "id1");
user_pref("mail.identity.id1.useremail", "alice@example.test");
`))
	a, err := agent.New(agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Poll: time.Millisecond, Now: w.clock.now, Home: home})
	must(t, err)
	ends := python(t, holdProfile, profile)
	for _, again := range []bool{true, false} {
		if !again {
			ends()
		}
		got, err := a.Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{Thunderbird: &agent.Profiles{}, Firefox: &agent.Profiles{}}})
		must(t, err)
		if len(got) != 2 || got[0].Store != "firefox" || !got[0].Nowhere() || got[1].Again != again {
			t.Fatalf("filled %+v", got)
		}
		at := w.clock.at.UTC()
		want := []api.MachineStore{{Kind: "nss", Name: "abcd", Again: again, At: &at}}
		if known := a.Known().Stores[id.Person.ID]; cmp.Diff(want, known) != "" {
			t.Errorf("known: %s", cmp.Diff(want, known))
		}
		if r := w.told(t, a); r == nil || cmp.Diff(want, r.Stores) != "" {
			t.Errorf("told: %+v", r)
		}
	}
}
