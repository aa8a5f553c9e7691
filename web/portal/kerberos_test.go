package portal_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/signin"
)

// People sign in with their computer's login, by curl with a ticket of a real KDC: the cookie is a session as others are, but one
// that proves nothing anew. Browsers are asked at that one page alone.
func TestSignInWithATicket(t *testing.T) {
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice", "dave", "nobody")
	keytab := realm.Keytab(t, "HTTP/127.0.0.1", "")
	content, err := os.ReadFile(keytab)
	must(t, err)
	s := setup(t, func(s *site, c *web.Config) {
		c.Keytab = content
		c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.server.TLS.Certificates[0], nil }
		c.Kerberos = signin.KerberosPolicy{Keytab: keytab, Principals: []string{"HTTP/127.0.0.1@EXAMPLE.TEST"}, Realms: []signin.KerberosRealm{{Realm: "EXAMPLE.TEST", Filter: "(uid={name})"}}}
	})
	trust := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}), 0o600))
	curl := func(cache, path string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--include", "--location", "--negotiate", "--user", ":", "--cacert", trust,
			"--cookie-jar", cache+".cookies", "--cookie", cache+".cookies", "--max-time", "20", s.url+path)
		cmd.Env = realm.Env(cache)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
		return string(out)
	}
	has := func(what, said string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(said, w) {
				t.Errorf("%s: it does not say %q:\n%s", what, w, said)
			}
		}
	}

	entrance := s.browser(t).get("/signin?to=/sessions")
	entrance.is(t, "the entrance", 200, "/signin?to=/sessions", "Sign in with this computer", "/signin/kerberos?to=%2Fsessions")
	if ways := entrance.header.Values("WWW-Authenticate"); len(ways) > 0 {
		t.Errorf("the entrance asks browsers: %q", ways)
	}
	asked := s.browser(t).get("/signin/kerberos?to=//elsewhere.test/")
	asked.is(t, "a browser without a ticket", http.StatusUnauthorized, "/signin/kerberos?to=//elsewhere.test/", "Your browser did not show who you are", `href="/signin?to=%2f"`)
	if ways := asked.header.Values("WWW-Authenticate"); len(ways) != 1 || ways[0] != "Negotiate" {
		t.Errorf("it is asked by %q", ways)
	}

	alice := realm.Kinit(t, "alice")
	has("alice", curl(alice, "/signin/kerberos?to=/sessions"), " 303 ", "this one")
	has("alice again", curl(alice, "/signin/kerberos?to=/"), "Alice Anders")
	sessions, err := s.sessions.Of(t.Context(), s.Actor(t, "alice").Person)
	must(t, err)
	if len(sessions) != 1 || sessions[0].Method != "kerberos" || s.sessions.Fresh(sessions[0]) {
		t.Errorf("a ticket counts as a fresh proof, or each time as another session: %+v", sessions)
	}
	has("somebody who left", curl(realm.Kinit(t, "dave"), "/signin/kerberos"), " 403 ", "Your account is locked")
	has("a stranger", curl(realm.Kinit(t, "nobody"), "/signin/kerberos"), " 403 ", "knows nobody of that name")
}

func TestNoTickets(t *testing.T) {
	s := setup(t)
	s.browser(t).get("/signin/kerberos").is(t, "where nobody does so", 404, "/signin/kerberos")
	if page := s.browser(t).get("/signin"); strings.Contains(page.body, "kerberos") {
		t.Error("the entrance offers what is not there")
	}
}
