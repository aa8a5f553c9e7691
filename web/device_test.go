package web_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/openidtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

// withProvider has a server take a provider's ID tokens. change may add to it.
func withProvider(p *openidtest.Provider, change ...func(*web.Config)) func(*web.Config) {
	return func(c *web.Config) {
		c.Device = signin.DevicePolicy{Issuer: p.Issuer, ClientID: openidtest.Client, Name: "Example login"}
		for _, f := range change {
			f(c)
		}
	}
}

// resigned is a token with another content or header, and the signature of the old.
func resigned(t testing.TB, token string, part int, change func(map[string]any)) string {
	t.Helper()
	parts := strings.Split(token, ".")
	content, err := base64.RawURLEncoding.DecodeString(parts[part])
	must(t, err)
	var said map[string]any
	must(t, json.Unmarshal(content, &said))
	change(said)
	content, err = json.Marshal(said)
	must(t, err)
	parts[part] = base64.RawURLEncoding.EncodeToString(content)
	return strings.Join(parts, ".")
}

// ID tokens of a real provider: of a person, of those who must not come in, for others, of others, forged, and old.
func TestIDTokens(t *testing.T) {
	p, other := openidtest.New(t), openidtest.New(t)
	plenty := allowance.Allowance{Burst: 1000, Every: time.Second}
	r := setup(t, withProvider(p, func(c *web.Config) { c.Limits.Failures.Address = plenty }))
	alice := p.Token(t, "alice", openidtest.Client)
	for _, c := range []struct {
		what, token, says string
		status            int
	}{
		{"a person", alice, "Alice Anders", 200},
		{"the same again", alice, "Alice Anders", 200},
		{"an address that is not verified", p.Token(t, "bob", openidtest.Client), "address-unverified", 403},
		{"somebody who left", p.Token(t, "dave", openidtest.Client), "person-disabled", 403},
		{"a stranger", p.Token(t, "mallory", openidtest.Client), "not-in-directory", 403},
		{"a token for another program", p.Token(t, "alice", openidtest.Another), "openid-token", 401},
		{"a token of another provider", other.Token(t, "alice", openidtest.Client), "openid-token", 401},
		{"another provider's token in our name", resigned(t, other.Token(t, "alice", openidtest.Client), 1, func(m map[string]any) { m["iss"] = p.Issuer }), "openid-token", 401},
		{"another person in the token", resigned(t, alice, 1, func(m map[string]any) { m["email"] = "rita@example.test" }), "openid-token", 401},
		{"no signature", resigned(t, alice[:strings.LastIndex(alice, ".")+1], 0, func(m map[string]any) { m["alg"] = "none" }), "openid-token", 401},
		{"a signature with the public key as a secret", resigned(t, alice, 0, func(m map[string]any) { m["alg"] = "HS256" }), "openid-token", 401},
		{"an access token", resigned(t, alice, 0, func(m map[string]any) { m["typ"] = "at+jwt" }), "openid-token", 401},
		{"two dots", "..", "openid-token", 401},
		{"words and dots", "a.b.c", "openid-token", 401},
	} {
		got := r.ask(t, token(c.token), "GET", "/policy", nil)
		if got.status != c.status || !strings.Contains(string(got.body), c.says) || got.status >= 400 && got.code(t) != c.says {
			t.Errorf("%s: %d %s, want %d %s", c.what, got.status, got.body, c.status, c.says)
		}
	}
	// Beyond their enrolment: what a registrar may, only where the installation says so, and what must be shown anew only if the
	// provider says that it was.
	rita := p.Token(t, "rita", openidtest.Client)
	wish := api.TokenRequest{Mailbox: "alice@example.test", Hours: 1}
	if got := r.ask(t, token(rita), "GET", "/certificates", nil); got.status != 200 {
		t.Errorf("her own certificates: %d %s", got.status, got.body)
	}
	if got := r.ask(t, token(rita), "GET", "/enrolments", nil); got.code(t) != "enrolment-not-allowed" {
		t.Errorf("the registrars' list: %d %s", got.status, got.body)
	}
	all := setupIn(t, r, withProvider(p, func(c *web.Config) { c.Device.AllRoles = true }))
	if got := all.ask(t, token(rita), "GET", "/enrolments", nil); got.status != 200 {
		t.Errorf("the registrars' list, with all roles: %d %s", got.status, got.body)
	}
	if got := all.ask(t, token(rita), "POST", "/tokens", wish); got.code(t) != "proof-needed" {
		t.Errorf("without a word on when she signed in: %d %s", got.status, got.body)
	}
	p.SignedIn(time.Hour)
	if got := all.ask(t, token(p.Token(t, "rita", openidtest.Client)), "POST", "/tokens", wish); got.code(t) != "proof-needed" {
		t.Errorf("signed in an hour ago: %d %s", got.status, got.body)
	}
	p.SignedIn(0)
	if got := all.ask(t, token(p.Token(t, "rita", openidtest.Client)), "POST", "/tokens", wish); got.status != 201 {
		t.Errorf("signed in just now: %d %s", got.status, got.body)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where body::json->>'kind' = 'enrolment.token' and body::json->'actor'->>'method' = 'openid'`); n != 1 {
		t.Errorf("%d events say how she came", n)
	}
	// Old ones, and those from a clock that is ahead.
	r.Clock.Advance(11 * time.Minute)
	if got := r.ask(t, token(alice), "GET", "/policy", nil); got.code(t) != "openid-token-ended" {
		t.Errorf("eleven minutes later: %d %s", got.status, got.body)
	}
	r.Clock.Advance(24 * time.Hour)
	if got := r.ask(t, token(alice), "GET", "/policy", nil); got.code(t) != "openid-token-ended" {
		t.Errorf("a day later: %d %s", got.status, got.body)
	}
	r.Clock.Advance(-25 * time.Hour)
	if got := all.ask(t, token(alice), "GET", "/policy", nil); got.code(t) != "openid-token" {
		t.Errorf("before it was made: %d %s", got.status, got.body)
	}
}

func TestWithoutProvider(t *testing.T) {
	p := openidtest.New(t)
	r := setup(t)
	if got := r.ask(t, token(p.Token(t, "alice", openidtest.Client)), "GET", "/policy", nil); got.status != 403 || got.code(t) != "openid-not-taken" {
		t.Errorf("no provider: %d %s", got.status, got.body)
	}
	away := setupIn(t, r, func(c *web.Config) {
		c.Device = signin.DevicePolicy{Issuer: "http://127.0.0.1:1", ClientID: openidtest.Client}
	})
	if got := away.ask(t, token("a.b.c"), "GET", "/policy", nil); got.status != 401 {
		t.Errorf("what is no token: %d %s", got.status, got.body)
	}
	if got := away.ask(t, token(p.Token(t, "alice", openidtest.Client)), "GET", "/policy", nil); got.code(t) != "identity-provider-unavailable" {
		t.Errorf("a provider that is away: %d %s", got.status, got.body)
	}
	if got := read[api.SignIn](t, r.ask(t, as{}, "GET", "/signin", nil)); !got.Password || got.OpenID != nil || got.Kerberos != nil {
		t.Errorf("%+v", got)
	}
	got := read[api.SignIn](t, away.ask(t, as{}, "GET", "/signin", nil))
	if got.OpenID == nil || got.OpenID.ClientID != openidtest.Client || strings.Join(got.OpenID.Scopes, " ") != "openid email profile" {
		t.Errorf("%+v", got)
	}
}

// Whoever guesses tokens from one address waits, and nobody else does.
func TestGuessedIDTokens(t *testing.T) {
	p := openidtest.New(t)
	r := setup(t, withProvider(p, func(c *web.Config) { c.Limits.Failures.Address = allowance.Allowance{Burst: 3, Every: time.Minute} }))
	alice := p.Token(t, "alice", openidtest.Client)
	for range 3 {
		if got := r.ask(t, token("a.b.c"), "GET", "/policy", nil); got.status != 401 {
			t.Errorf("a guess: %d", got.status)
		}
	}
	if got := r.ask(t, token(alice), "GET", "/policy", nil); got.status != 429 {
		t.Errorf("from the same address: %d", got.status)
	}
	r.Clock.Advance(time.Minute)
	if got := r.ask(t, token(alice), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("a minute later: %d %s", got.status, got.body)
	}
}

func TestDevicePolicyIsChecked(t *testing.T) {
	t.Parallel()
	good := signin.DevicePolicy{Issuer: "https://login.example.test", ClientID: "x"}
	must(t, good.Validate(signin.OpenIDPolicy{}))
	must(t, signin.DevicePolicy{}.Validate(signin.OpenIDPolicy{}))
	for want, change := range map[string]func(*signin.DevicePolicy){
		"issuer: must be https": func(p *signin.DevicePolicy) { p.Issuer = "http://login.example.test" },
		"client_id: is missing": func(p *signin.DevicePolicy) { p.ClientID = "" },
		"client_id: is that of": func(p *signin.DevicePolicy) { p.ClientID = "portal" },
		"issuer: is missing":    func(p *signin.DevicePolicy) { p.Issuer = "" },
	} {
		p := good
		change(&p)
		if err := p.Validate(signin.OpenIDPolicy{Issuer: good.Issuer, ClientID: "portal"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
