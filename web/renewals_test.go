package web_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/openidtest"
	"github.com/sealpost/sealpost/web"
)

// Registrars and operators order renewals, auditors see them, others are refused; the policy says so at once and offers no such key.
func TestRenewals(t *testing.T) {
	r := setup(t)
	r.enrol(t, "alice", housetest.Pair)
	alice := r.Actor(t, "alice").Person
	post := func(who string, body any) reply { return r.ask(t, person(who), http.MethodPost, "/renewals", body) }
	want := api.RenewalRequest{Reason: "P-256 is broken.", Algorithm: "P-256", Profile: "smime-signing", Hours: 0}
	o := read[api.RenewalOrder](t, post("rita", want))
	if o.RenewalRequest != want || o.MadeBy == "" || o.WithdrawnAt != nil || o.Number == 0 {
		t.Errorf("made: %+v", o)
	}
	at := "/renewals/" + strconv.FormatInt(o.Number, 10)
	policy := func() api.Policy {
		return read[api.Policy](t, r.ask(t, person("alice"), http.MethodGet, "/policy", nil))
	}
	told := 0
	p := policy()
	for _, d := range p.Renewal.Certificates {
		if d.Why == "ordered" && strings.Contains(d.Say, "P-256 is broken.") && !d.RenewAt.After(p.IssuedAt) {
			told++
		}
	}
	if told != 1 || slices.Contains(p.Enrolments[0].Signing.Algorithms, "P-256") || !slices.Contains(p.Enrolments[0].Encryption.Algorithms, "P-256") {
		t.Errorf("told of %d; %+v", told, p.Enrolments[0])
	}
	s, _ := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	if got := r.ask(t, person("alice").named("ordered-0001"), http.MethodPost, "/enrolments", wire(s)); got.status != 403 || got.code(t) != "key-ordered-away" {
		t.Errorf("a key that was ordered away: status %d, %s", got.status, got.body)
	}
	for _, who := range []string{"rita", "operator", "auditor"} {
		if got := read[api.RenewalOrder](t, r.ask(t, person(who), http.MethodGet, at, nil)); got.Progress == nil || *got.Progress != (api.RenewalProgress{Waiting: 1, Whole: true}) {
			t.Errorf("%s sees %+v", who, got)
		}
		if list := read[api.Page[api.RenewalOrder]](t, r.ask(t, person(who), http.MethodGet, "/renewals?open=true", nil)); len(list.Items) != 1 || list.Items[0].RenewalRequest != want {
			t.Errorf("%s lists %+v", who, list)
		}
	}
	second := read[api.RenewalOrder](t, post("operator", api.RenewalRequest{Reason: "Lost.", Person: &alice, Hours: 3}))
	page := read[api.Page[api.RenewalOrder]](t, r.ask(t, person("rita"), http.MethodGet, "/renewals?limit=1", nil))
	if len(page.Items) != 1 || page.Items[0].Number != second.Number || page.Next == "" {
		t.Errorf("first page: %+v", page)
	}
	if rest := read[api.Page[api.RenewalOrder]](t, r.ask(t, person("rita"), http.MethodGet, "/renewals?after="+page.Next, nil)); len(rest.Items) != 1 || rest.Items[0].Number != o.Number {
		t.Errorf("second page: %+v", rest)
	}
	somebody := uuid.New()
	for _, c := range []struct {
		what   string
		got    reply
		status int
		code   string
	}{
		{"a subscriber orders", post("bob", want), 403, "enrolment-not-allowed"},
		{"an auditor orders", post("auditor", want), 403, "enrolment-not-allowed"},
		{"nobody orders", r.ask(t, as{}, http.MethodPost, "/renewals", want), 401, "credentials-missing"},
		{"a subscriber lists", r.ask(t, person("bob"), http.MethodGet, "/renewals", nil), 403, "enrolment-not-allowed"},
		{"a subscriber looks", r.ask(t, person("bob"), http.MethodGet, at, nil), 403, "enrolment-not-allowed"},
		{"a subscriber withdraws", r.ask(t, person("alice"), http.MethodDelete, at, nil), 403, "enrolment-not-allowed"},
		{"an auditor withdraws", r.ask(t, person("auditor"), http.MethodDelete, at, nil), 403, "enrolment-not-allowed"},
		{"no criterion", post("rita", api.RenewalRequest{Reason: "x"}), 400, "renewal-order"},
		{"no reason", post("rita", api.RenewalRequest{Algorithm: "P-256"}), 400, "renewal-order"},
		{"an unknown algorithm", post("rita", api.RenewalRequest{Algorithm: "x", Reason: "x"}), 400, "renewal-order"},
		{"an algorithm of one person", post("rita", api.RenewalRequest{Algorithm: "P-256", Person: &somebody, Reason: "x"}), 400, "renewal-order"},
		{"half a key", post("rita", api.RenewalRequest{SPKISHA256: "00ff", Reason: "x"}), 400, "request-invalid"},
		{"too many hours", post("rita", api.RenewalRequest{Issuer: "x", Reason: "x", Hours: 100000}), 400, "request-invalid"},
		{"an unknown order", r.ask(t, person("rita"), http.MethodGet, "/renewals/4711", nil), 404, "unknown-renewal-order"},
		{"no number", r.ask(t, person("rita"), http.MethodGet, "/renewals/x", nil), 400, "request-invalid"},
	} {
		if c.got.status != c.status || c.got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, c.got.status, c.got.body)
		}
	}
	if got := read[api.RenewalOrder](t, r.ask(t, person("operator"), http.MethodDelete, at, nil)); got.WithdrawnAt == nil || got.WithdrawnBy == "" {
		t.Errorf("withdrawn: %+v", got)
	}
	if got := r.ask(t, person("operator"), http.MethodDelete, at, nil); got.status != 409 || got.code(t) != "renewal-order-withdrawn" {
		t.Errorf("withdrawn twice: status %d, %s", got.status, got.body)
	}
	if p := policy(); !slices.Contains(p.Enrolments[0].Signing.Algorithms, "P-256") {
		t.Errorf("withdrawn: %v", p.Enrolments[0].Signing.Algorithms)
	}
}

// Who was not asked lately who they are neither orders nor withdraws: taking back that a broken key is replaced weighs as much as having it replaced.
func TestRenewalsWantAProof(t *testing.T) {
	p := openidtest.New(t)
	r := setup(t, withProvider(p, func(c *web.Config) { c.Device.AllRoles = true }))
	want := api.RenewalRequest{Reason: "P-256 is broken.", Algorithm: "P-256", Profile: "smime-signing"}
	o := read[api.RenewalOrder](t, r.ask(t, person("rita"), http.MethodPost, "/renewals", want))
	at := "/renewals/" + strconv.FormatInt(o.Number, 10)
	p.SignedIn(time.Hour)
	stale := token(p.Token(t, "rita", openidtest.Client))
	if got := r.ask(t, stale, http.MethodGet, at, nil); got.status != 200 {
		t.Fatalf("she is not let in: status %d, %s", got.status, got.body)
	}
	for what, got := range map[string]reply{"orders": r.ask(t, stale, http.MethodPost, "/renewals", want), "withdraws": r.ask(t, stale, http.MethodDelete, at, nil)} {
		if got.status != 403 || got.code(t) != "proof-needed" {
			t.Errorf("%s: status %d, %s", what, got.status, got.body)
		}
	}
	if got := read[api.RenewalOrder](t, r.ask(t, person("auditor"), http.MethodGet, at, nil)); got.WithdrawnAt != nil {
		t.Errorf("withdrawn: %+v", got)
	}
	p.SignedIn(0)
	if got := read[api.RenewalOrder](t, r.ask(t, token(p.Token(t, "rita", openidtest.Client)), http.MethodDelete, at, nil)); got.WithdrawnAt == nil {
		t.Errorf("not withdrawn: %+v", got)
	}
}
