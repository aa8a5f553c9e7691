package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// Registrars see who left and decide about them; others are refused; who left is no longer shown to who would write to them.
func TestLeavers(t *testing.T) {
	var desk *leaver.Desk
	r := setup(t, func(c *web.Config) {
		var err error
		desk, err = leaver.New(leaver.Config{DB: c.Registry.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: leaver.Policy{Grace: time.Nanosecond}, Now: c.Now})
		must(t, err)
		c.Leavers = desk
	})
	alice, _ := r.enrol(t, "alice", housetest.Pair)
	carol, _ := r.enrol(t, "carol", housetest.Pair)
	for _, login := range []string{"alice", "carol"} {
		r.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	}
	must(t, desk.Sweep(t.Context(), true))
	list := func(query string) []api.Leaver {
		t.Helper()
		return read[api.Page[api.Leaver]](t, r.ask(t, person("rita"), http.MethodGet, "/leavers"+query, nil)).Items
	}
	if all, waiting := list(""), list("?state=waiting"); len(all) != 2 || len(waiting) != 2 || waiting[0].Why != "policy" || waiting[0].Standing != "disabled" || waiting[0].Name == "" {
		t.Fatalf("%+v, %+v", all, waiting)
	}
	if first := read[api.Page[api.Leaver]](t, r.ask(t, person("auditor"), http.MethodGet, "/leavers?limit=1", nil)); len(first.Items) != 1 || len(list("?after="+first.Next)) != 1 {
		t.Errorf("pages: %+v", first)
	}
	at := func(id uuid.UUID, what string) string { return "/leavers/" + id.String() + "/" + what }
	said := api.LeaverDecision{Reason: "Left on Friday."}
	for _, c := range []struct {
		what   string
		who    as
		method string
		path   string
		body   any
		status int
		code   string
	}{
		{"nobody lists", as{}, http.MethodGet, "/leavers", nil, 401, "credentials-missing"},
		{"a subscriber lists", person("bob"), http.MethodGet, "/leavers", nil, 403, "leaver-not-allowed"},
		{"a state that is none", person("rita"), http.MethodGet, "/leavers?state=lost", nil, 400, "request-invalid"},
		{"the person themselves", person("alice"), http.MethodPost, at(alice.Person, "keep"), said, 403, "person-disabled"},
		{"a subscriber", person("bob"), http.MethodPost, at(alice.Person, "revoke"), said, 403, "leaver-not-allowed"},
		{"an auditor", person("auditor"), http.MethodPost, at(alice.Person, "keep"), said, 403, "leaver-not-allowed"},
		{"without a reason", person("rita"), http.MethodPost, at(alice.Person, "revoke"), api.LeaverDecision{}, 400, "request-invalid"},
		{"a reason of blanks", person("rita"), http.MethodPost, at(alice.Person, "revoke"), api.LeaverDecision{Reason: "  "}, 400, "leaver-reason"},
		{"a long reason", person("rita"), http.MethodPost, at(alice.Person, "keep"), api.LeaverDecision{Reason: strings.Repeat("x", 501)}, 400, "request-invalid"},
		{"who has not left", person("rita"), http.MethodPost, at(uuid.New(), "revoke"), said, 404, "unknown-leaver"},
	} {
		if got := r.ask(t, c.who, c.method, c.path, c.body); got.status != c.status && !(c.status == 403 && got.status == 401) || got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
		}
	}
	shown := func(mailbox string) int {
		t.Helper()
		return len(read[api.Page[api.Certificate]](t, r.ask(t, person("bob"), http.MethodGet, "/certificates?mailbox="+mailbox, nil)).Items)
	}
	if n := shown("alice@example.test"); n != 1 {
		t.Errorf("before: %d certificates are shown", n)
	}
	left := read[api.Leaver](t, r.ask(t, person("rita"), http.MethodPost, at(alice.Person, "revoke"), said))
	if left.State != api.LeaverLeft || left.DecidedBy != r.Actor(t, "rita").Name || left.Reason != said.Reason {
		t.Errorf("%+v", left)
	}
	kept := read[api.Leaver](t, r.ask(t, person("operator"), http.MethodPost, at(carol.Person, "keep"), api.LeaverDecision{Reason: "On leave."}))
	if kept.State != api.LeaverKept {
		t.Errorf("%+v", kept)
	}
	if a, c := shown("alice@example.test"), shown("carol@example.test"); a != 0 || c != 1 {
		t.Errorf("after: %d and %d certificates are shown", a, c)
	}
	if got := r.ask(t, person("rita"), http.MethodPost, at(alice.Person, "keep"), said); got.status != 409 || got.code(t) != "leaver-state" {
		t.Errorf("kept after all: status %d, %s", got.status, got.body)
	}
	r.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modify\ndelete: employeeType\n")
	if got := r.ask(t, person("rita"), http.MethodPost, at(carol.Person, "revoke"), said); got.status != 409 || got.code(t) != "leaver-returned" {
		t.Errorf("who is back: status %d, %s", got.status, got.body)
	}
	c := read[api.Certificate](t, r.ask(t, person("rita"), http.MethodGet, path(alice.Certificates[0]), nil))
	e := read[api.Certificate](t, r.ask(t, person("rita"), http.MethodGet, path(alice.Certificates[1]), nil))
	if c.Status != "revoked" || c.Reason != "affiliationChanged" || e.Status != "good" {
		t.Errorf("%+v, %+v", c, e)
	}
}

// A server whose house has nobody to look after leavers says that there are none.
func TestNobodyLooksAfterLeavers(t *testing.T) {
	r := setup(t)
	if got := read[api.Page[api.Leaver]](t, r.ask(t, person("rita"), http.MethodGet, "/leavers", nil)); len(got.Items) != 0 {
		t.Errorf("%+v", got)
	}
	for _, what := range []string{"revoke", "keep"} {
		if got := r.ask(t, person("rita"), http.MethodPost, "/leavers/"+uuid.NewString()+"/"+what, api.LeaverDecision{Reason: "x"}); got.status != 404 || got.code(t) != "unknown-leaver" {
			t.Errorf("%s: status %d, %s", what, got.status, got.body)
		}
	}
}
