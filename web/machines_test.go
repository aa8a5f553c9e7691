package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/web"
)

// machineReport is what a machine says on which something goes wrong.
func machineReport(code string) api.MachineReport {
	now := time.Now().UTC().Truncate(time.Second)
	r := api.MachineReport{At: now, Name: "laptop-7", System: "linux", Version: "sealpost-agent/1.2.0",
		Certificates: []api.MachineCertificate{{Issuer: "issuing", Serial: "4f1d", Use: "signing", NotAfter: now.AddDate(0, 0, 40), Current: true}}}
	if code != "" {
		r.Failures = []api.MachineFailure{{Code: code, Step: "renew", Since: now, At: now, Count: 1}}
	}
	return r
}

func TestMachines(t *testing.T) {
	r := setup(t)
	alice := r.Actor(t, "alice").Person
	id, other := uuid.New(), uuid.New()
	put := func(who as, id uuid.UUID, body any) reply {
		return r.ask(t, who, http.MethodPut, "/machines/"+id.String(), body)
	}
	m := read[api.Machine](t, put(person("alice"), id, machineReport("disk")))
	if m.ID != id || m.Person != alice || m.PersonName != "Alice Anders" || m.Failure != "disk" || m.Standing != api.MachineFailing || m.Report != nil || m.ReportedAt == nil {
		t.Errorf("kept: %+v", m)
	}
	issued, keys := r.enrol(t, "bob", housetest.Pair)
	read[api.Machine](t, put(with(keys.Signing, issued.Certificates[0].DER), other, machineReport("")))
	get := func(who as, path string) reply { return r.ask(t, who, http.MethodGet, path, nil) }
	if m := read[api.Machine](t, get(person("alice"), "/machines/"+id.String())); m.Report == nil || m.Report.Name != "laptop-7" || m.EndsAt == nil {
		t.Errorf("own: %+v", m)
	}
	at := "/machines/" + id.String() + "?person=" + alice.String()
	for _, who := range []string{"rita", "operator", "auditor"} {
		if m := read[api.Machine](t, get(person(who), at)); m.ID != id {
			t.Errorf("%s sees %+v", who, m)
		}
		if s := read[api.MachineSummary](t, get(person(who), "/machines/summary")); s.Machines != 2 || s.Failing != 1 || len(s.Failures) != 1 {
			t.Errorf("%s counts %+v", who, s)
		}
		if p := read[api.Page[api.Machine]](t, get(person(who), "/machines?all=true&limit=1")); len(p.Items) != 1 || p.Items[0].ID != id || p.Next == "" {
			t.Errorf("%s lists %+v", who, p)
		} else if p := read[api.Page[api.Machine]](t, get(person(who), "/machines?all=true&limit=1&after="+p.Next)); len(p.Items) != 1 || p.Items[0].ID != other {
			t.Errorf("%s lists then %+v", who, p)
		}
		if p := read[api.Page[api.Machine]](t, get(person(who), "/machines")); len(p.Items) != 0 {
			t.Errorf("%s has machines: %+v", who, p)
		}
	}
	soon := time.Now().AddDate(0, 0, 50).UTC().Format(time.RFC3339)
	for query, n := range map[string]int{"failure=disk": 1, "failing=true": 1, "failure=x": 0, "system=linux": 2, "version=sealpost-agent/1.2.0": 2, "version=x": 0,
		"ends_before=" + soon: 2, "silent_since=" + soon: 2, "silent_since=2020-01-01T00:00:00Z": 0, "person=" + alice.String(): 1} {
		if p := read[api.Page[api.Machine]](t, get(person("operator"), "/machines?all=true&"+query)); len(p.Items) != n {
			t.Errorf("%s: %d machines, not %d", query, len(p.Items), n)
		}
	}
	text, err := json.Marshal(machineReport("disk"))
	must(t, err)
	for _, c := range []struct {
		what   string
		got    reply
		status int
		code   string
	}{
		{"nobody reports", put(as{}, id, machineReport("")), 401, "credentials-missing"},
		{"a token reports", put(token(strings.Repeat("x", 32)), id, machineReport("")), 401, "enrolment-token"},
		{"no id", put(person("alice"), uuid.Nil, machineReport("")), 400, "machine-id"},
		{"something else than an id", r.ask(t, person("alice"), http.MethodPut, "/machines/laptop", machineReport("")), 400, "request-invalid"},
		{"no code", put(person("alice"), id, machineReport("No Code")), 400, "machine-report"},
		{"an unknown member of another type", put(person("alice"), id, `{"name": {"x": 1},`+string(text[1:])), 400, "request-invalid"},
		{"something after it", put(person("alice"), id, string(text)+`{"more": 1}`), 400, "request-invalid"},
		{"no JSON", r.ask(t, as{login: "alice", password: person("alice").password, header: http.Header{"Content-Type": {"text/plain"}}}, http.MethodPut, "/machines/"+id.String(), "x"), 415, "media-type"},
		{"too much", put(person("alice"), id, func() api.MachineReport { m := machineReport(""); m.Name = strings.Repeat("x", 17<<10); return m }()), 400, "machine-report"},
		{"far too much", put(person("alice"), id, strings.Repeat(" ", api.MaxBody+1)), 413, "request-too-large"},
		{"another sees it", get(person("bob"), at), 404, "unknown-machine"},
		{"another asks for it without a name", get(person("bob"), "/machines/"+id.String()), 404, "unknown-machine"},
		{"another lists", get(person("bob"), "/machines?person="+alice.String()), 403, "machines-not-allowed"},
		{"somebody lists all", get(person("bob"), "/machines?all=true"), 403, "machines-not-allowed"},
		{"somebody counts", get(person("bob"), "/machines/summary"), 403, "machines-not-allowed"},
		{"another forgets it", r.ask(t, person("bob"), http.MethodDelete, at, nil), 404, "unknown-machine"},
		{"an operator forgets it", r.ask(t, person("operator"), http.MethodDelete, at, nil), 403, "machine-forget-not-allowed"},
		{"a wrong page", get(person("operator"), "/machines?all=true&after=x"), 400, "request-invalid"},
		{"a wrong method", r.ask(t, person("alice"), http.MethodPost, "/machines/"+id.String(), "{}"), 405, "method-not-allowed"},
		{"another site", r.ask(t, as{login: "alice", password: person("alice").password, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}, http.MethodDelete, "/machines/"+id.String(), nil), 403, "cross-origin"},
	} {
		if c.got.status != c.status || c.got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, c.got.status, c.got.body)
		}
	}
	if allow := r.ask(t, person("alice"), http.MethodPost, "/machines/"+id.String(), "{}").header.Get("Allow"); allow != "GET, HEAD, PUT, DELETE" {
		t.Errorf("allowed: %s", allow)
	}
	read[api.Machine](t, r.ask(t, person("rita"), http.MethodDelete, at, nil))
	read[api.Machine](t, r.ask(t, person("bob"), http.MethodDelete, "/machines/"+other.String(), nil))
	if s := read[api.MachineSummary](t, get(person("operator"), "/machines/summary")); s.Machines != 0 {
		t.Errorf("afterwards: %+v", s)
	}
}

// An agent that is newer than the server says more than the server knows: the rest is kept. Nowhere else is a member taken that nobody knows.
func TestReportOfANewerAgent(t *testing.T) {
	r := setup(t)
	id := uuid.New()
	text, err := json.Marshal(machineReport("a-code-of-tomorrow"))
	must(t, err)
	newer := func(s, old, with string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%s has no %s", s, old)
		}
		return strings.Replace(s, old, with, 1)
	}
	body := newer(string(text), `{`, `{"mood": {"deep": [{"er": "secret-of-tomorrow"}]}, `)
	body = newer(body, `"certificates":[{`, `"certificates":[{"colour": "secret-of-tomorrow", `)
	body = newer(body, `"failures":[{`, `"failures":[{"remedy": "secret-of-tomorrow", `)
	body = newer(body, `"old_keys":{`, `"old_keys":{"elsewhere": 7, `)
	path := "/machines/" + id.String()
	read[api.Machine](t, r.ask(t, person("alice"), http.MethodPut, path, body))
	got := r.ask(t, person("alice"), http.MethodGet, path, nil)
	m := read[api.Machine](t, got)
	if m.Report == nil || m.Report.Name != "laptop-7" || m.Failure != "a-code-of-tomorrow" || len(m.Report.Certificates) != 1 ||
		strings.Contains(string(got.body), "secret-of-tomorrow") {
		t.Errorf("kept: %s", got.body)
	}
	if n := r.Database.Count(t, `select count(*) from fleet.machine m where m::text like '%secret-of-tomorrow%'`); n != 0 {
		t.Error("what nobody knows is in the database")
	}
	if got := r.ask(t, person("alice"), http.MethodPut, path, newer(body, `{`, `{"much": "`+strings.Repeat("x", api.MaxBody)+`", `)); got.status != 413 || got.code(t) != "request-too-large" {
		t.Errorf("too much of it: status %d", got.status)
	}
	for what, c := range map[string]struct{ who, path, body string }{
		"a token":         {"rita", "/tokens", `{"mailbox": "bob@example.test", "hours": 1, "mood": 1}`},
		"an order":        {"rita", "/renewals", `{"algorithm": "P-256", "reason": "x", "mood": 1}`},
		"what is lenient": {"alice", "/cases/drafts", `{"kind": "restore", "mood": 1}`},
	} {
		if got := r.ask(t, person(c.who), http.MethodPost, c.path, c.body); got.status != 400 || got.code(t) != "request-invalid" {
			t.Errorf("%s with a member that nobody knows: status %d, %s", what, got.status, got.body)
		}
	}
}

// Any request of a known person's that names a machine says that it is there. One that names none, or nothing, is answered all the same.
func TestMachinesAreHeardOf(t *testing.T) {
	r := setup(t)
	id := uuid.New()
	for _, value := range []string{id.String(), "x", "", uuid.Nil.String(), strings.Repeat("9", 2000)} {
		who := person("alice")
		who.header = http.Header{api.MachineHeader: {value}}
		read[api.Policy](t, r.ask(t, who, http.MethodGet, "/policy", nil))
	}
	who := as{login: "alice", password: "wrong", header: http.Header{api.MachineHeader: {uuid.NewString()}}}
	if got := r.ask(t, who, http.MethodGet, "/policy", nil); got.status != 401 {
		t.Errorf("status %d", got.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Fleet.Run(ctx)
	p := read[api.Page[api.Machine]](t, r.ask(t, person("alice"), http.MethodGet, "/machines", nil))
	if len(p.Items) != 1 || p.Items[0].ID != id || p.Items[0].Standing != api.MachineHeard || p.Items[0].Report != nil {
		t.Errorf("heard of: %+v", p)
	}
}

func TestNoFleet(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Fleet = nil })
	who := person("alice")
	who.header = http.Header{api.MachineHeader: {uuid.NewString()}}
	for _, got := range []reply{r.ask(t, who, http.MethodGet, "/machines", nil), r.ask(t, who, http.MethodPut, "/machines/"+uuid.NewString(), machineReport("")),
		r.ask(t, person("operator"), http.MethodGet, "/machines/summary", nil)} {
		if got.status != 404 || got.code(t) != "no-fleet" {
			t.Errorf("status %d, %s", got.status, got.body)
		}
	}
}
