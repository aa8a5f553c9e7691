package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/openidtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// Somebody whose proof is old shows anew who they are: with their own password alone, and the cookie's secret changes.
func TestShowAnewWhoOneIs(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.get("/prove?to=%2Fsessions").is(t, "a stranger", 200, "/signin?to=%2Fprove%3Fto%3D%252Fsessions")
	b.signIn("bob")
	before := b.secret()
	s.Clock.Advance(11 * time.Minute)
	b.get("/prove?to=%2Fsessions").is(t, "the page", 200, "/prove?to=%2Fsessions", "Show that it is you", "You are signed in as Bob Brown", `value="/sessions"`)
	b.post("/prove", url.Values{"to": {"/sessions"}, "prove-password": {"wrong"}}).is(t, "a wrong password", 401, "/prove", "The name or the password is not right.", `value="/sessions"`)
	b.post("/prove", url.Values{"to": {"/sessions"}, "prove-password": {slapdtest.Password("alice")}}).is(t, "somebody else's", 401, "/prove", "The name or the password is not right.")
	b.post("/prove", url.Values{"to": {"/sessions"}}).is(t, "nothing", 403, "/prove", "Show that it is you")
	if b.secret() != before {
		t.Fatal("the session was renewed without a proof")
	}
	b.post("/prove", url.Values{"to": {"//evil.example"}, "prove-password": {slapdtest.Password("bob")}}).is(t, "the password", 200, "/", "Bob Brown")
	if b.secret() == before {
		t.Error("the secret stayed the same")
	}
	u, err := url.Parse(s.server.URL)
	must(t, err)
	old := s.browser(t)
	old.client.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: before, Path: "/", Secure: true}})
	old.get("/").is(t, "the session before", 200, "/signin?to=%2F")
}

// A script's request that matters is refused like a form.
func TestInterfaceWantsAProof(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.signIn("carol")
	ask := func() answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/v1/tokens", strings.NewReader(`{}`))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		return b.send(req)
	}
	if got := ask(); strings.Contains(got.body, "proof-needed") {
		t.Errorf("right after signing in: status %d %s", got.status, got.body)
	}
	s.Clock.Advance(11 * time.Minute)
	if got := ask(); got.status != 403 || !strings.Contains(got.body, "urn:sealpost:problem:proof-needed") {
		t.Errorf("later: status %d %s", got.status, got.body)
	}
}

// At an identity provider people show anew who they are, even if it knows them still. One that did not ask them is not believed.
func TestShowAnewAtAProvider(t *testing.T) {
	s := setup(t, func(s *site, c *web.Config) {
		issuer, _ := openidtest.ForWeb(t, s.url+portal.CallbackPath)
		var err error
		c.OpenID, err = signin.NewOpenID(signin.OpenIDConfig{Secret: "secret", Redirect: s.url + portal.CallbackPath, Directory: s.Directory, Now: s.Clock.Now,
			Policy: signin.OpenIDPolicy{Issuer: issuer, Name: "Example login", ClientID: "sealpost", ClientSecretFile: "openid.secret"}})
		must(t, err)
	})
	b := s.browser(t)
	at, form := b.leave("/")
	b.login(at, form, "alice", "pw-alice").is(t, "alice", 200, "/", "Alice Anders")
	before := b.secret()
	b.get("/prove?to=%2Fsessions").is(t, "the page", 200, "/prove?to=%2Fsessions", "Show it with Example login", "/signin/openid?anew=1&amp;to=%2Fsessions")
	at, form = b.leave("/sessions", "1")
	if !strings.Contains(form, "password") {
		t.Fatalf("the provider did not ask: %s", at)
	}
	b.login(at, form, "alice", "pw-alice").is(t, "shown anew", 200, "/sessions", "this one")
	if b.secret() == before {
		t.Error("the secret stayed the same")
	}
}
