package web_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

// The officers make a key by way of the server alone; others may not, and what is wrong disturbs nobody.
func TestCeremonyOverTheWire(t *testing.T) {
	r := setup(t)
	agents := r.Roster.Agents
	wanted := record.Plan{Archive: "Second archive", Created: time.Now().UTC().Truncate(time.Second), Epoch: 1, Origin: record.OriginAgents, Threshold: 2}
	_, _ = rand.Read(wanted.Session[:])
	for _, a := range agents {
		wanted.Agents, wanted.Dealers = append(wanted.Agents, a.Agent), append(wanted.Dealers, a.ID)
	}
	plan, err := record.NewPlan(wanted)
	must(t, err)
	at := "/ceremonies/" + plan.Hash().String()
	logins := []string{"olivia", "oscar", "otto"}
	body := api.CeremonyPlan{Plan: plan.Bytes(), Intermediates: [][]byte{r.PKI.Issuing.Raw}}
	for who, code := range map[string]string{"alice": "role-required", "auditor": "role-required"} {
		if got := r.ask(t, person(who), "POST", "/ceremonies", body).code(t); got != code {
			t.Errorf("%s begins a ceremony: %s", who, got)
		}
	}
	if got := r.ask(t, person("olivia"), "GET", at, nil).code(t); got != "unknown-ceremony" {
		t.Errorf("before it begins: %s", got)
	}
	read[api.Ceremony](t, r.ask(t, person("operator"), "POST", "/ceremonies", body))
	views := make([]*record.Ceremony, len(agents))
	for i := range views {
		c := read[api.Ceremony](t, r.ask(t, person(logins[i]), "GET", at, nil))
		p, err := record.ParsePlan(c.Plan)
		must(t, err)
		views[i], err = record.NewCeremony(p, nil)
		must(t, err)
	}
	for _, round := range []string{"commit", "reveal", "acknowledge"} {
		for i, a := range agents {
			c := read[api.Ceremony](t, r.ask(t, person(logins[i]), "GET", at, nil))
			if c.Round != round || len(c.Missing) != len(agents)-i {
				t.Errorf("round %s, missing %v; want %s", c.Round, c.Missing, round)
			}
			for _, m := range c.Messages {
				must(t, views[i].Add(m))
			}
			var m []byte
			switch round {
			case "commit":
				m, err = views[i].Commit(a.ID, threshold.Share{}, a.Signer)
			case "reveal":
				m, err = views[i].Reveal(a.Signer)
			default:
				m, err = views[i].Acknowledge(a.ID, a.Key, a.Signer)
			}
			must(t, err)
			read[api.Ceremony](t, r.ask(t, person(logins[i]), "POST", at+"/messages", api.CeremonyMessage{Message: m}))
		}
	}
	c := read[api.Ceremony](t, r.ask(t, person("auditor"), "GET", at, nil))
	if c.Round != "done" || len(c.Messages) != 9 || len(c.Intermediates) != 1 {
		t.Errorf("round %s, %d messages", c.Round, len(c.Messages))
	}
	for _, m := range c.Messages {
		must(t, views[0].Add(m))
	}
	roster, err := views[0].Roster()
	must(t, err)
	must(t, roster.Verify(record.VerifyOptions{Pins: []record.Hash{roster.Hash()}}))
	for name, tt := range map[string]struct {
		who, path string
		body      any
		code      string
	}{
		"a stranger":          {"alice", at + "/messages", api.CeremonyMessage{Message: c.Messages[0]}, "ceremony-role"},
		"garbage":             {"olivia", at + "/messages", api.CeremonyMessage{Message: []byte("x")}, "archive-format"},
		"no plan":             {"olivia", "/ceremonies", api.CeremonyPlan{Plan: []byte("x")}, "archive-format"},
		"an unknown plan's":   {"olivia", "/ceremonies/" + record.Hash{1}.String() + "/messages", api.CeremonyMessage{Message: c.Messages[0]}, "unknown-ceremony"},
		"no hash":             {"olivia", "/ceremonies/xyz/messages", api.CeremonyMessage{Message: c.Messages[0]}, "request-invalid"},
		"nothing like a hash": {"olivia", "/ceremonies/" + "zz" + record.Hash{1}.String()[2:] + "/messages", api.CeremonyMessage{Message: c.Messages[0]}, "unknown-ceremony"},
	} {
		if got := r.ask(t, person(tt.who), "POST", tt.path, tt.body).code(t); got != tt.code {
			t.Errorf("%s: %s, want %s", name, got, tt.code)
		}
	}
	if list := read[api.Page[api.Ceremony]](t, r.ask(t, person("olivia"), "GET", "/ceremonies", nil)); len(list.Items) != 1 || list.Items[0].Plan != nil {
		t.Errorf("%d ceremonies in the list", len(list.Items))
	}
}
