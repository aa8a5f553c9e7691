package portal_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/openidtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/signin"
)

var hidden = regexp.MustCompile(`name="id" value="([^"]*)"`)

// login fills in the provider's form, on which the browser is.
func (b *browser) login(at *url.URL, page, name, password string) answer {
	b.t.Helper()
	id := hidden.FindStringSubmatch(page)
	if id == nil {
		b.t.Fatalf("this is not the provider's form: %s", page)
	}
	resp, err := b.client.PostForm(at.String(), url.Values{"username": {name}, "password": {password}, "id": {id[1]}})
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return answer{resp.StatusCode, resp.Request.URL.Path, resp.Header, string(body)} // without the code
}

// leave follows the button to the provider's form.
func (b *browser) leave(to string, anew ...string) (*url.URL, string) {
	b.t.Helper()
	resp, err := b.client.Get(b.s.server.URL + "/signin/openid?" + url.Values{"to": {to}, "anew": anew}.Encode())
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return resp.Request.URL, string(body)
}

func TestSignInAtAProvider(t *testing.T) {
	var issuer string
	var stop func()
	s := setup(t, func(s *site, c *web.Config) {
		issuer, stop = openidtest.ForWeb(t, s.url+portal.CallbackPath)
		var err error
		c.OpenID, err = signin.NewOpenID(signin.OpenIDConfig{Secret: "secret", Redirect: s.url + portal.CallbackPath, Directory: s.Directory,
			Policy: signin.OpenIDPolicy{Issuer: issuer, Name: "Example login", ClientID: "sealpost", ClientSecretFile: "openid.secret", GroupsClaim: "preferred_username",
				Roles: []signin.OpenIDRole{{Role: audit.Auditor, Group: "alice"}, {Role: audit.Operator, Group: "somebody else"}}}})
		must(t, err)
	})
	s.browser(t).get("/signin").is(t, "the entrance", 200, "/signin", "Sign in with Example login", "/signin/openid?to=%2F", "or with name and password")

	alice := s.browser(t)
	at, form := alice.leave("/sessions")
	if !strings.HasPrefix(at.String(), issuer) {
		t.Fatalf("the way to the provider ends at %s", at)
	}
	alice.login(at, form, "alice", "pw-alice").is(t, "alice", 200, "/sessions", "this one")
	alice.get("/").is(t, "at home", 200, "/", "Alice Anders")
	if n := s.Database.Count(t, `select count(*) from web.session where method = 'openid' and roles = array['auditor']`); n != 1 {
		t.Error("her session does not say how she came, and what the provider's groups give her")
	}
	if got := alice.get("/api/v1/gal"); got.status != 200 { // what auditors may
		t.Errorf("as an auditor: status %d %s", got.status, got.body)
	}

	for name, words := range map[string]string{"bob": "not verified", "mallory": "knows nobody of your address", "dave": "locked"} {
		b := s.browser(t)
		at, form := b.leave("/")
		b.login(at, form, name, "pw-"+name).is(t, name, 403, portal.CallbackPath, words)
		if b.secret() != "" {
			t.Errorf("%s is signed in", name)
		}
	}
	// An answer that this browser did not ask for: somebody else's code, or none.
	for what, path := range map[string]string{"a code of somebody else": "?code=x&state=y", "nothing": "", "an error": "?error=access_denied&state=z"} {
		b := s.browser(t)
		b.get(portal.CallbackPath+path).is(t, what, 403, portal.CallbackPath+path, "That did not work")
	}
	// The same answer twice.
	b := s.browser(t)
	var last string
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == portal.CallbackPath {
			last = r.URL.RequestURI()
		}
		return nil
	}
	at, form = b.leave("/")
	b.login(at, form, "alice", "pw-alice").is(t, "once", 200, "/", "Alice Anders")
	if got := b.get(last); got.status != 403 {
		t.Errorf("twice: status %d", got.status)
	}
	// Away, and the password still serves.
	b = s.browser(t)
	at, form = b.leave("/")
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == portal.CallbackPath {
			stop()
		}
		return nil
	}
	b.login(at, form, "alice", "pw-alice").is(t, "away in the middle", 503, portal.CallbackPath, "does not answer")
	s.browser(t).signIn("bob").is(t, "bob with his password", 200, "/", "Bob Brown")
}

// A provider that is away when the server starts is asked when somebody wants to sign in.
func TestProviderIsAway(t *testing.T) {
	s := setup(t, func(s *site, c *web.Config) {
		var err error
		c.OpenID, err = signin.NewOpenID(signin.OpenIDConfig{Secret: "secret", Redirect: s.url + portal.CallbackPath, Directory: s.Directory,
			Policy: signin.OpenIDPolicy{Issuer: "http://127.0.0.1:1/", ClientID: "sealpost", ClientSecretFile: "openid.secret"}})
		must(t, err)
	})
	b := s.browser(t)
	b.get("/signin/openid?to=%2Fsessions").is(t, "away", 503, "/signin/openid?to=%2Fsessions", "does not answer", `value="/sessions"`, "Sign in with your organisation’s account")
}

func TestOpenIDPolicyIsChecked(t *testing.T) {
	t.Parallel()
	good := signin.OpenIDPolicy{Issuer: "https://login.example.test", ClientID: "x", ClientSecretFile: "y"}
	must(t, good.Validate())
	must(t, signin.OpenIDPolicy{}.Validate())
	for want, change := range map[string]func(*signin.OpenIDPolicy){
		"issuer: must be https":          func(p *signin.OpenIDPolicy) { p.Issuer = "http://login.example.test" },
		"client_id: is missing":          func(p *signin.OpenIDPolicy) { p.ClientID = "" },
		"client_secret_file: is missing": func(p *signin.OpenIDPolicy) { p.ClientSecretFile = "" },
		`roles[0].role: there is no role "subscriber"`: func(p *signin.OpenIDPolicy) {
			p.Roles = []signin.OpenIDRole{{Role: audit.Subscriber, Group: "x"}}
		},
		"roles[0].group: is missing": func(p *signin.OpenIDPolicy) { p.Roles = []signin.OpenIDRole{{Role: audit.Auditor}} },
	} {
		p := good
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
