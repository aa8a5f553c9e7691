package portal_test

import (
	"crypto/sha512"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a portal as browsers reach it.
type site struct {
	*housetest.House
	server   *httptest.Server
	url      string
	sessions *session.Sessions
	web      *web.Server
	gate     gate
}

// gate is in front of a portal: a test may answer in its place, by returning true.
type gate struct {
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request) bool
}

func (g *gate) set(answer func(http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

func (g *gate) closed(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	answer := g.answer
	g.mu.Unlock()
	return answer != nil && answer(w, r)
}

func setup(t *testing.T, change ...func(*site, *web.Config)) *site {
	t.Helper()
	t.Parallel()
	h := housetest.New(t)
	out := &site{House: h, server: httptest.NewUnstartedServer(nil)}
	out.url = "https://" + out.server.Listener.Addr().String()
	sessions, err := session.New(session.Config{DB: h.DB, Now: h.Clock.Now})
	must(t, err)
	c := web.Config{Registry: h.Enroll, Authority: h.PKI.Authority, Archive: h.Archive, Recovery: h.Recovery, Directory: h.Directory, Audit: h.Audit,
		Sessions: sessions, Organisation: "Example Ltd", Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(out, &c)
	}
	s, err := web.New(c)
	must(t, err)
	portal := s.Portal()
	out.sessions, out.web = sessions, s
	out.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !out.gate.closed(w, r) {
			portal.ServeHTTP(w, r)
		}
	})
	out.server.StartTLS()
	t.Cleanup(out.server.Close)
	return out
}

// browser is somebody's: it keeps cookies and follows redirects, as a form's answer does.
type browser struct {
	t      *testing.T
	s      *site
	client *http.Client
	header http.Header
}

func (s *site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	c := s.server.Client()
	return &browser{t, s, &http.Client{Transport: c.Transport, Jar: jar, Timeout: time.Minute}, http.Header{"User-Agent": {"Test/1.0"}}}
}

// answer is a page as it came.
type answer struct {
	status int
	path   string // where the browser is in the end
	header http.Header
	body   string
}

func (b *browser) send(req *http.Request) answer {
	b.t.Helper()
	for k, v := range b.header {
		req.Header[k] = v
	}
	resp, err := b.client.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return answer{resp.StatusCode, resp.Request.URL.RequestURI(), resp.Header, string(body)}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.s.server.URL+path, nil)
	must(b.t, err)
	return b.send(req)
}

func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.s.server.URL+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(req)
}

func (b *browser) signIn(login string) answer {
	b.t.Helper()
	return b.post("/signin", url.Values{"login": {login}, "password": {slapdtest.Password(login)}, "to": {"/"}})
}

// secret is the cookie's.
func (b *browser) secret() string {
	u, err := url.Parse(b.s.server.URL)
	must(b.t, err)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == session.Cookie {
			return c.Value
		}
	}
	return ""
}

func (a answer) is(t *testing.T, what string, status int, path string, words ...string) {
	t.Helper()
	if a.status != status || a.path != path {
		t.Errorf("%s: status %d at %s, want %d at %s", what, a.status, a.path, status, path)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			t.Errorf("%s: the page does not say %q:\n%s", what, w, a.body)
		}
	}
}

func TestSignInSeeAndSignOut(t *testing.T) {
	s := setup(t)
	alice := s.Actor(t, "alice")
	submission, _ := s.Submission(t, alice, housetest.Pair)
	request, err := s.Enroll.Submit(t.Context(), alice, submission)
	must(t, err)
	b := s.browser(t)
	b.get("/sessions?x=1").is(t, "a stranger", 200, "/signin?to=%2Fsessions%3Fx%3D1", `value="/sessions?x=1"`)
	b.post("/signin", url.Values{"login": {"alice"}, "password": {slapdtest.Password("alice")}, "to": {"/sessions?x=1"}}).is(t, "alice", 200, "/sessions?x=1", "Test/1.0", "this one")
	home := b.get("/")
	home.is(t, "home", 200, "/", "Alice Anders", "alice@example.test", "Your signing certificate", "Your encryption certificate", "Valid", "days left", "Example Ltd")
	for _, c := range request.Certificates {
		if !strings.Contains(home.body, c.Serial.String()) {
			t.Errorf("the page does not have the certificate %s", c.Serial)
		}
	}
	b.get("/signin?to=/sessions").is(t, "who is signed in already", 200, "/sessions")
	b.post("/signout", nil).is(t, "signing out", 200, "/signout", "You are signed out")
	b.get("/").is(t, "after that", 200, "/signin?to=%2F")
}

func TestWithoutCertificates(t *testing.T) {
	s := setup(t)
	s.browser(t).signIn("bob").is(t, "bob", 200, "/", "You have none yet", "sealpost-agent")
}

func TestSignInFails(t *testing.T) {
	s := setup(t)
	for what, c := range map[string]struct {
		login, password string
		status          int
		words           string
	}{
		"a wrong password":   {"alice", "x", 401, "The name or the password is not right."},
		"an unknown login":   {"nobody", "x", 401, "The name or the password is not right."},
		"nothing":            {"", "", 401, "The name or the password is not right."},
		"somebody who left":  {"dave", slapdtest.Password("dave"), 403, "Your account is locked."},
		"a login of scripts": {`"><script>alert(1)</script>`, "x", 401, `&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;`},
	} {
		b := s.browser(t)
		got := b.post("/signin", url.Values{"login": {c.login}, "password": {c.password}})
		got.is(t, what, c.status, "/signin", c.words)
		if b.secret() != "" {
			t.Errorf("%s: there is a session", what)
		}
		if c.password != "x" {
			continue
		}
		if strings.Contains(got.body, `value="x"`) {
			t.Errorf("%s: the password comes back", what)
		}
	}
	b := s.browser(t)
	for range 5 {
		b.post("/signin", url.Values{"login": {"carol"}, "password": {"x"}})
	}
	got := b.post("/signin", url.Values{"login": {"carol"}, "password": {slapdtest.Password("carol")}})
	got.is(t, "after many failures", 429, "/signin", "too many attempts")
}

// A way back is within the portal, whatever a link says.
func TestNobodyIsSentAway(t *testing.T) {
	s := setup(t)
	for _, to := range []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, "javascript:alert(1)", "\t//evil.example", "/\r\nSet-Cookie: x=y", "evil.example", "///evil.example"} {
		b := s.browser(t)
		got := b.post("/signin", url.Values{"login": {"bob"}, "password": {slapdtest.Password("bob")}, "to": {to}})
		got.is(t, to, 200, "/", "Bob Brown")
	}
}

func TestSessionIsHardToTake(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	// A secret that somebody else put there is not taken over.
	u, err := url.Parse(s.server.URL)
	must(t, err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: strings.Repeat("A", 43), Path: "/", Secure: true}})
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got := b.signIn("bob")
	cookie := got.header.Get("Set-Cookie")
	for _, want := range []string{"__Host-sealpost=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q has no %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "Domain") || strings.Contains(cookie, "AAAA") {
		t.Errorf("the cookie is %q", cookie)
	}
	b.client.CheckRedirect = nil
	first := b.secret()
	b.signIn("carol").is(t, "somebody else at the same browser", 200, "/", "Carol")
	if b.secret() == first {
		t.Error("the secret stayed the same")
	}
	old := s.browser(t)
	old.client.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: first, Path: "/", Secure: true}})
	old.get("/").is(t, "the session before", 200, "/signin?to=%2F")
}

func TestOtherSitesCanDoNothing(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.signIn("bob")
	for _, path := range []string{"/signin", "/signout", "/sessions/end-others", "/language"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+path, strings.NewReader("language=de"))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://evil.example")
		if got := b.send(req); got.status != 403 {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	b.get("/").is(t, "bob still", 200, "/", "Bob Brown")
}

func TestLeaverIsOut(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.signIn("bob").is(t, "bob", 200, "/", "Bob Brown")
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: delete\n")
	s.Clock.Advance(time.Minute)
	b.get("/").is(t, "gone from the directory", 200, "/signin?to=%2F")
	s.Clock.Advance(24 * time.Hour)
	c := s.browser(t)
	c.signIn("carol")
	s.Clock.Advance(31 * time.Minute)
	c.get("/").is(t, "idle", 200, "/signin?to=%2F")
}

func TestOtherSessionsAreEnded(t *testing.T) {
	s := setup(t)
	here, there := s.browser(t), s.browser(t)
	here.signIn("bob")
	there.signIn("bob")
	here.get("/sessions").is(t, "two", 200, "/sessions", "Sign out everywhere else")
	if got := here.post("/sessions/end-others", nil); strings.Contains(got.body, "Sign out everywhere else") {
		t.Error("there are others still")
	}
	there.get("/").is(t, "there", 200, "/signin?to=%2F")
	here.get("/").is(t, "here", 200, "/")
}

// A script in a page asks the REST interface as whoever is signed in.
func TestScriptsAskTheInterface(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	if got := b.get("/api/v1/certificates"); got.status != 401 {
		t.Errorf("a stranger: status %d", got.status)
	}
	b.signIn("bob")
	if got := b.get("/api/v1/certificates"); got.status != 200 || !strings.Contains(got.body, `"items"`) {
		t.Errorf("bob: status %d %s", got.status, got.body)
	}
}

func TestLanguages(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.header.Set("Accept-Language", "de-AT,de;q=0.9,en;q=0.5")
	b.get("/signin").is(t, "a German browser", 200, "/signin", `<html lang="de">`, "Anmelden")
	b.post("/language", url.Values{"language": {"en"}, "to": {"/signin"}}).is(t, "who chose English", 200, "/signin", `<html lang="en">`)
	b.post("/language", url.Values{"language": {"xx"}}).is(t, "an unknown language", 400, "/language", "The form could not be read")
	b.get("/nothing").is(t, "no page", 404, "/nothing", "There is no such page")
	f := s.browser(t)
	f.header.Set("Accept-Language", "fr")
	f.get("/signin").is(t, "a French browser", 200, "/signin", `<html lang="en">`)
}

var linked = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)" integrity="sha384-([^"]+)"`)

// A page allows nothing from elsewhere and nothing inline, and names the digest of what it loads.
func TestPageKeepsToItself(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	page := b.get("/signin")
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %s", policy, want)
		}
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin"} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(page.body, "<style") || strings.Contains(page.body, " style=") || strings.Contains(page.body, " on") && regexp.MustCompile(` on[a-z]+=`).MatchString(page.body) {
		t.Error("something is inline")
	}
	found := linked.FindAllStringSubmatch(page.body, -1)
	if len(found) != 2 {
		t.Fatalf("%d things are loaded with a digest", len(found))
	}
	weight := len(page.body)
	fonts := regexp.MustCompile(`url\("(/assets/[^"]+latin-wght[^"]+)"\)`)
	for _, f := range found {
		got := b.get(f[1])
		sum := sha512.Sum384([]byte(got.body))
		if got.status != 200 || base64.StdEncoding.EncodeToString(sum[:]) != strings.ReplaceAll(f[2], "&#43;", "+") || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, digest %x, %v", f[1], got.status, sum, got.header)
		}
		weight += len(got.body)
		for _, font := range fonts.FindAllStringSubmatch(got.body, -1) {
			a := b.get(font[1])
			if a.status != 200 || a.header.Get("Content-Type") != "font/woff2" {
				t.Errorf("%s: status %d %s", font[1], a.status, a.header.Get("Content-Type"))
			}
			weight += len(a.body)
		}
	}
	if weight > 300<<10 {
		t.Errorf("the first page weighs %d bytes", weight)
	}
	if got := b.get("/assets/../portal.go"); got.status != 404 {
		t.Errorf("a file of ours: status %d", got.status)
	}
}

// Who asks too fast is told to wait; others are not.
func TestPagesAreBounded(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.Requests = allowance.Allowance{Burst: 5, Every: time.Hour} })
	bob, alice := s.browser(t), s.browser(t)
	bob.signIn("bob") // and one page after
	for range 4 {
		bob.get("/sessions").is(t, "bob", 200, "/sessions")
	}
	got := bob.get("/sessions")
	got.is(t, "bob, too fast", 429, "/sessions", "Wait a moment")
	if got.header.Get("Retry-After") == "" {
		t.Error("it does not say for how long")
	}
	alice.signIn("alice").is(t, "alice", 200, "/", "Alice Anders")
}
