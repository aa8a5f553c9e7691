package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// A registrar makes tokens from a list. Each line says what became of it, a repeated request makes none twice, and each token that was
// made is listed, looked at, and withdrawn.
func TestTokenBatch(t *testing.T) {
	r := setup(t)
	list := api.TokensRequest{Mailboxes: []string{"alice@example.test", "nobody@example.test", "rita@example.test", "dave@example.test", " Bob@example.test", "ALICE@example.test", "no address", "*"}, Hours: 24}
	made := read[api.Tokens](t, r.ask(t, person("rita").named("spring-2026"), "POST", "/tokens/batch", list))
	for i, want := range []string{"", "unknown-person", "own-request", "person-disabled", "", "token-made", "unknown-person", "unknown-person"} {
		m := made.Items[i]
		if m.Code != want || m.Mailbox != list.Mailboxes[i] || (m.Token == "") != (want != "") || want != "" && m.Detail == "" {
			t.Errorf("%s: %+v, want %q", list.Mailboxes[i], m, want)
		}
	}
	again := read[api.Tokens](t, r.ask(t, person("rita").named("spring-2026"), "POST", "/tokens/batch", list))
	if a := again.Items[0]; a.Code != "token-made" || a.Token != "" || a.Number != made.Items[0].Number {
		t.Errorf("repeated: %+v", a)
	}
	if n := r.Database.Count(t, `select count(*) from enroll.token`); n != 2 {
		t.Errorf("%d tokens", n)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where kind = 'enrolment.token'`); n != 2 {
		t.Errorf("%d events", n)
	}
	if got := read[api.Policy](t, r.ask(t, token(made.Items[4].Token), "GET", "/policy", nil)); got.Person.Name != "Bob Brown" {
		t.Errorf("bob's token is %s's", got.Person.Name)
	}
	open := read[api.Page[api.MintedToken]](t, r.ask(t, person("auditor"), "GET", "/tokens", nil))
	if len(open.Items) != 2 || open.Items[0].Use != "handed" {
		t.Errorf("%+v", open)
	}
	if got := read[api.Page[api.MintedToken]](t, r.ask(t, person("rita"), "GET", "/tokens?person="+made.Items[4].Person.String(), nil)); len(got.Items) != 1 || got.Items[0].Number != made.Items[4].Number {
		t.Errorf("bob's: %+v", got)
	}
	at := fmt.Sprintf("/tokens/%d", made.Items[4].Number)
	read[api.MintedToken](t, r.ask(t, person("rita"), "GET", at, nil))
	for _, c := range []struct{ login, method, path, code string }{
		{"bob", "GET", "/tokens", "enrolment-not-allowed"}, {"bob", "GET", at, "enrolment-not-allowed"}, {"bob", "DELETE", at, "enrolment-not-allowed"},
		{"auditor", "DELETE", at, "enrolment-not-allowed"}, {"rita", "GET", "/tokens/999999", "unknown-token"}, {"rita", "DELETE", "/tokens/999999", "unknown-token"},
		{"rita", "GET", "/tokens/0", "request-invalid"}, {"rita", "GET", "/tokens/x", "request-invalid"},
	} {
		if got := r.ask(t, person(c.login), c.method, c.path, nil); got.code(t) != c.code {
			t.Errorf("%s %s %s: %d %s", c.login, c.method, c.path, got.status, got.body)
		}
	}
	read[api.MintedToken](t, r.ask(t, person("rita"), "DELETE", at, nil))
	if got := r.ask(t, token(made.Items[4].Token), "GET", "/policy", nil); got.code(t) != "enrolment-token" {
		t.Errorf("withdrawn: %d %s", got.status, got.body)
	}
	if strings.Contains(r.Log.String(), made.Items[0].Token) {
		t.Error("a token is in the log")
	}
}

func TestTokenBatchIsBounded(t *testing.T) {
	r := setup(t)
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("p%d@example.test", i))
	}
	for what, c := range map[string]struct {
		who  string
		body any
		code string
	}{
		"too many":     {"rita", api.TokensRequest{Mailboxes: many, Hours: 1}, "request-invalid"},
		"none":         {"rita", api.TokensRequest{Mailboxes: []string{}, Hours: 1}, "request-invalid"},
		"too long":     {"rita", api.TokensRequest{Mailboxes: many[:1], Hours: 721}, "request-invalid"},
		"another use":  {"rita", api.TokensRequest{Mailboxes: many[:1], Hours: 1, Use: "sold"}, "request-invalid"},
		"a subscriber": {"bob", api.TokensRequest{Mailboxes: many[:1], Hours: 1}, "enrolment-not-allowed"},
	} {
		if got := r.ask(t, person(c.who), "POST", "/tokens/batch", c.body); got.code(t) != c.code {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	if got := read[api.Tokens](t, r.ask(t, person("rita"), "POST", "/tokens/batch", api.TokensRequest{Mailboxes: many[:1000], Hours: 1})); len(got.Items) != 1000 {
		t.Errorf("%d lines", len(got.Items))
	}
	wish := api.TokenRequest{Mailbox: "alice@example.test", Hours: 1, Use: "behalf"}
	first := read[api.Token](t, r.ask(t, person("rita").named("one-for-alice"), "POST", "/tokens", wish))
	if got := r.ask(t, person("rita").named("one-for-alice"), "POST", "/tokens", wish); got.status != 409 || got.code(t) != "token-made" {
		t.Errorf("the same again: %d %s", got.status, got.body)
	}
	if got := read[api.MintedToken](t, r.ask(t, person("rita"), "GET", fmt.Sprintf("/tokens/%d", first.Number), nil)); got.Use != "behalf" {
		t.Errorf("%+v", got)
	}
	r.Slapd.Stop()
	if got := r.ask(t, as{login: "rita", password: slapdtest.Password("rita")}, "POST", "/tokens/batch", api.TokensRequest{Mailboxes: []string{"bob@example.test"}, Hours: 1}); got.status != 503 {
		t.Errorf("without a directory: %d %s", got.status, got.body)
	}
}
