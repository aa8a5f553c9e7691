package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/pkcs12"
)

const passphrase = "seven quiet lanterns, blue"

// visible waits until one of the elements is shown, and returns which: a test that waits for what never comes says instead
// what the page says.
func visible(t *testing.T, ctx context.Context, selectors ...string) string {
	t.Helper()
	which := -1
	list, err := json.Marshal(selectors)
	must(t, err)
	look := fmt.Sprintf(`%s.findIndex(s => { const e = document.querySelector(s); return !!e && e.checkVisibility(); })`, list)
	e2etest.Eventually(t, func() error {
		if err := chromedp.Run(ctx, chromedp.Evaluate(look, &which)); err != nil {
			return err
		}
		if which < 0 {
			var said string
			_ = chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("main").innerText`, &said)) // for the message
			return fmt.Errorf("the page shows none of %q:\n%s", selectors, said)
		}
		return nil
	})
	return selectors[which]
}

// text returns what an element says.
func text(t *testing.T, ctx context.Context, selector string) (out string) {
	t.Helper()
	must(t, chromedp.Run(ctx, chromedp.Text(selector, &out, chromedp.ByQuery)))
	return out
}

// comeIn goes to a page as somebody who has to sign in for it.
func (s *site) comeIn(t *testing.T, ctx context.Context, login, path string) {
	t.Helper()
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+path), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", login),
		chromedp.SendKeys("#password", slapdtest.Password(login)+"\r")))
}

// ask presses the button and chooses a passphrase.
func ask(t *testing.T, ctx context.Context) {
	t.Helper()
	visible(t, ctx, "#get:enabled")
	must(t, chromedp.Run(ctx, chromedp.Click("#get")))
	choose(t, ctx)
}

func choose(t *testing.T, ctx context.Context) {
	t.Helper()
	visible(t, ctx, "#passphrase")
	must(t, chromedp.Run(ctx, chromedp.SendKeys("#passphrase", passphrase+"\r")))
}

// download presses the button and returns the file.
func download(t *testing.T, ctx context.Context, name string) []byte {
	t.Helper()
	visible(t, ctx, "#download")
	dir := t.TempDir()
	var file []byte
	must(t, chromedp.Run(ctx, cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir), chromedp.Click("#download")))
	e2etest.Eventually(t, func() (err error) {
		if file, err = os.ReadFile(filepath.Join(dir, name)); err == nil && len(file) == 0 {
			err = errors.New("the file is empty yet")
		}
		return err
	})
	return file
}

// kept returns how many requests the browser keeps.
func kept(t *testing.T, ctx context.Context) (n int) {
	t.Helper()
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`new Promise((ok, no) => { const r = indexedDB.open("sealpost", 1); r.onerror = no;
		r.onupgradeneeded = () => r.result.createObjectStore("requests", { keyPath: "person" });
		r.onsuccess = () => { const c = r.result.transaction("requests").objectStore("requests").count(); c.onsuccess = () => { r.result.close(); ok(c.result); }; }; })`, &n,
		chromedp.EvalAsValue, awaitPromise)))
	return n
}

// good holds that a file has both keys with their certificates, of which the server knows, and works: for independent programs too.
func (s *site) good(t *testing.T, file []byte, login string) {
	t.Helper()
	entries, chain, err := pkcs12.Decode(file, passphrase) // which reads DER alone
	must(t, err)
	person, err := s.Directory.ByLogin(t.Context(), login)
	must(t, err)
	issued, err := s.PKI.Authority.Find(t.Context(), ca.Query{Person: &person.ID, Limit: 10})
	must(t, err)
	if len(entries) != 2 || len(issued) != 2 || len(chain) != 2 || !chain[1].Equal(s.PKI.Root) {
		t.Fatalf("%d keys and %d issuers in the file, %d certificates issued", len(entries), len(chain), len(issued))
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.PKI.Root)
	for i, e := range entries {
		if e.Name != person.Name+[]string{" (signing)", " (encryption)"}[i] {
			t.Errorf("key %d is named %q", i, e.Name)
		}
		intermediates := x509.NewCertPool()
		intermediates.AddCert(chain[0])
		_, err := e.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: s.Clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
		must(t, err)
	}
	if n := s.Database.Count(t, `select count(*) from archive.record where spki_sha256 = sha256($1)`, entries[1].Certificate.RawSubjectPublicKeyInfo); n != 1 {
		t.Errorf("the archive keeps the encryption key %d times", n)
	}
	if n := s.Database.Count(t, `select count(*) from archive.record where spki_sha256 = sha256($1)`, entries[0].Certificate.RawSubjectPublicKeyInfo); n != 0 {
		t.Error("the archive keeps the signing key")
	}
	s.Settled(t)
}

// programs holds that openssl and NSS read a file, and that mail is signed, encrypted and decrypted with what is in it.
func (s *site) programs(t *testing.T, file []byte) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "id.p12"), file, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "root.pem"), pkitest.PEM(s.PKI.Root.Raw), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "mail"), []byte("Content-Type: text/plain\r\n\r\nHello Bob\r\n"), 0o600))
	info := e2etest.Tool(t, dir, "openssl", "pkcs12", "-in", "id.p12", "-passin", "pass:"+passphrase, "-info", "-nodes", "-out", "all.pem")
	for _, want := range []string{"MAC: sha256, Iteration 600000", "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in:\n%s", want, info)
		}
	}
	entries, chain, err := pkcs12.Decode(file, passphrase)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "issuer.pem"), pkitest.PEM(chain[0].Raw), 0o600))
	for i, name := range []string{"sign", "read"} {
		key, err := x509.MarshalPKCS8PrivateKey(entries[i].Key)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name+".key"), pemKey(key), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, name+".pem"), pkitest.PEM(entries[i].Certificate.Raw), 0o600))
	}
	e2etest.Tool(t, dir, "openssl", "cms", "-sign", "-in", "mail", "-signer", "sign.pem", "-inkey", "sign.key", "-certfile", "issuer.pem", "-out", "signed")
	e2etest.Tool(t, dir, "openssl", "cms", "-verify", "-in", "signed", "-CAfile", "root.pem", "-purpose", "smimesign", "-out", "verified")
	e2etest.Tool(t, dir, "openssl", "cms", "-encrypt", "-aes256", "-in", "mail", "-out", "secret", "read.pem")
	e2etest.Tool(t, dir, "openssl", "cms", "-decrypt", "-in", "secret", "-recip", "read.pem", "-inkey", "read.key", "-out", "plain")
	plain, err := os.ReadFile(filepath.Join(dir, "plain"))
	must(t, err)
	if !strings.Contains(string(plain), "Hello Bob") {
		t.Errorf("decrypted is %q", plain)
	}
	must(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	e2etest.Tool(t, dir, "certutil", "-N", "-d", "sql:db", "--empty-password")
	e2etest.Tool(t, dir, "pk12util", "-i", "id.p12", "-d", "sql:db", "-W", passphrase)
	e2etest.Tool(t, dir, "certutil", "-A", "-n", "Root", "-t", ",C,", "-d", "sql:db", "-a", "-i", "root.pem")
	if keys := e2etest.Tool(t, dir, "certutil", "-K", "-d", "sql:db"); strings.Count(keys, "\n<") != 2 {
		t.Errorf("NSS has these keys:\n%s", keys)
	}
}

// Somebody who has nothing gets their certificates in the browser, by the whole journey.
func TestEnrolInTheBrowser(t *testing.T) {
	s := setup(t)
	var posts atomic.Int64
	var mu sync.Mutex
	var everything bytes.Buffer // that the browser sends
	s.gate.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Path == "/api/v1/enrolments" {
			posts.Add(1)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&everything, r.RequestURI, r.Header)
		everything.Write(body)
		return false
	})
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/")
	visible(t, ctx, `a.button[href="/enrol"]`)
	must(t, chromedp.Run(ctx, pictures(t, "home-empty"), chromedp.Click(`a.button[href="/enrol"]`)))
	visible(t, ctx, "#get:enabled")
	must(t, chromedp.Run(ctx, pictures(t, "enrol"), chromedp.Click("#get")))
	visible(t, ctx, "#passphrase")
	for typed, want := range map[string]string{"short": "Too short", "alice anders": "Too easy", "aaaaaaaaaaaaaaaa": "Too easy", "12345678901234": "Too easy", passphrase: "Strong"} {
		must(t, chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("passphrase").value = ""`, nil), chromedp.SendKeys("#passphrase", typed)))
		if got := text(t, ctx, "#strength-word"); !strings.HasPrefix(got, want) {
			t.Errorf("%q is %q", typed, got)
		}
	}
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("passphrase").value = ""`, nil), chromedp.SendKeys("#passphrase", "alice anders\r")))
	if posts.Load() != 0 || visible(t, ctx, "#passphrase", "#download") != "#passphrase" {
		t.Error("a weak passphrase was taken")
	}
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("passphrase").value = ""`, nil), chromedp.Click("#suggest")))
	var suggested, kind string
	must(t, chromedp.Run(ctx, chromedp.Value("#passphrase", &suggested), chromedp.Evaluate(`document.getElementById("passphrase").type`, &kind), pictures(t, "enrol-passphrase")))
	if len(suggested) != 19 || kind != "text" || !strings.HasPrefix(text(t, ctx, "#strength-word"), "Strong") {
		t.Errorf("suggested is %q, in a field of %s", suggested, kind)
	}
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("passphrase").value = ""`, nil), chromedp.SendKeys("#passphrase", passphrase+"\r\r")))
	visible(t, ctx, "#download")
	must(t, chromedp.Run(ctx, pictures(t, "enrol-done")))
	if kept(t, ctx) != 1 {
		t.Error("the keys are not kept until the file is there")
	}
	file := download(t, ctx, "alice@example.test.p12")
	visible(t, ctx, "#have")
	must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	visible(t, ctx, `[data-view="finished"] h1`)
	must(t, chromedp.Run(ctx, pictures(t, "enrol-finished")))
	if n := kept(t, ctx); n != 0 {
		t.Errorf("the browser keeps %d requests", n)
	}
	if posts.Load() != 1 {
		t.Errorf("%d requests were sent", posts.Load())
	}
	s.good(t, file, "alice")
	s.gate.set(nil)
	staysSecret(t, everything.String(), file)
	s.programs(t, file)
	must(t, chromedp.Run(ctx, chromedp.Click(`[data-view="finished"] a.button[href="/guides"]`), chromedp.WaitVisible(".programs"), chromedp.Click(`a.mark`), chromedp.WaitVisible(".card.good")))
}

// staysSecret holds that neither key nor passphrase is in what a browser sent, as it is or in base64.
func staysSecret(t *testing.T, sent string, file []byte) {
	t.Helper()
	for _, field := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}=*`).FindAllString(sent, -1) {
		if b, err := base64.StdEncoding.DecodeString(field); err == nil {
			sent += string(b)
		}
	}
	entries, _, err := pkcs12.Decode(file, passphrase)
	must(t, err)
	for i, e := range entries {
		spki, err := x509.MarshalPKIXPublicKey(e.Key.(crypto.Signer).Public())
		must(t, err)
		if !strings.Contains(sent, string(spki)) {
			t.Errorf("the public key %d was not sent, so this looks at the wrong place", i)
		}
		var secret []byte
		switch key := e.Key.(type) {
		case *ecdsa.PrivateKey:
			secret, err = key.Bytes()
			must(t, err)
		case *rsa.PrivateKey:
			secret = key.Primes[0].Bytes()
		}
		if len(secret) < 32 || strings.Contains(sent, string(secret)) {
			t.Errorf("the private key %d was sent", i)
		}
	}
	if strings.Contains(sent, passphrase) {
		t.Error("the passphrase was sent")
	}
}

// A registrar has to agree. Meanwhile the page is closed, the session ends, and somebody else uses the browser; then it goes on.
func TestEnrolmentWaitsForARegistrar(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol?enrolment="+housetest.Endorsed)
	ask(t, ctx)
	visible(t, ctx, "#registrar")
	must(t, chromedp.Run(ctx, pictures(t, "enrol-waiting")))
	alice := s.Actor(t, "alice")
	must(t, s.sessions.EndOthers(t.Context(), alice, uuid.Nil))
	visible(t, ctx, "#signin")
	if got := text(t, ctx, "#notice-text"); !strings.Contains(got, "Nothing was lost") {
		t.Errorf("the page says %q", got)
	}
	must(t, chromedp.Run(ctx, pictures(t, "enrol-session-ended"), chromedp.Click("#signin"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "alice"),
		chromedp.SendKeys("#password", slapdtest.Password("alice")+"\r")))
	visible(t, ctx, "#registrar") // by itself
	must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
	s.comeIn(t, ctx, "carol", "/enrol")
	visible(t, ctx, "#get:enabled") // nothing of alice's
	must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
	s.comeIn(t, ctx, "alice", "/")
	visible(t, ctx, "#unfinished a")
	must(t, chromedp.Run(ctx, chromedp.Click("#unfinished a")))
	visible(t, ctx, "#registrar")
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	visible(t, ctx, "#registrar")
	_, err := s.Enroll.Endorse(t.Context(), s.registrar(t), s.waiting(t, alice))
	must(t, err)
	choose(t, ctx) // the passphrase went with the page
	s.good(t, download(t, ctx, "alice@example.test.p12"), "alice")
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	visible(t, ctx, "#passphrase") // not confirmed yet: the file can be had again
	if n := s.Database.Count(t, `select count(*) from ca.certificate where person = $1`, alice.Person); n != 2 {
		t.Errorf("there are %d certificates", n)
	}
}

// registrar is one of the sample company's.
func (s *site) registrar(t *testing.T) audit.Actor {
	t.Helper()
	return s.Actor(t, "rita")
}

// waiting returns the request that waits for a registrar.
func (s *site) waiting(t *testing.T, of audit.Actor) uuid.UUID {
	t.Helper()
	found, err := s.Enroll.List(t.Context(), s.registrar(t), enroll.Submitted, uuid.Nil, 10)
	must(t, err)
	if len(found) != 1 || found[0].Person != of.Person {
		t.Fatalf("%d requests wait", len(found))
	}
	return found[0].ID
}

// What a registrar says is shown, as text; then the person begins anew, with other keys.
func TestEnrolmentRejected(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol?enrolment="+housetest.Endorsed)
	ask(t, ctx)
	visible(t, ctx, "#registrar")
	alice := s.Actor(t, "alice")
	id := s.waiting(t, alice)
	_, err := s.Enroll.Reject(t.Context(), s.registrar(t), id, `Ask for <b>role-mailbox</b> instead.`)
	must(t, err)
	visible(t, ctx, "#anew")
	if title, said := text(t, ctx, "#progress-title"), text(t, ctx, "#notice-detail"); title != "Your request was refused" || said != "“Ask for <b>role-mailbox</b> instead.”" {
		t.Errorf("the page says %q, %q", title, said)
	}
	must(t, chromedp.Run(ctx, pictures(t, "enrol-refused"), chromedp.Click("#anew")))
	ask(t, ctx)
	visible(t, ctx, "#registrar")
	if s.waiting(t, alice) == id || kept(t, ctx) != 1 {
		t.Error("it is the same request")
	}
}

// The server's answer is lost, or there is none: the same request goes on, with one pair of certificates in the end.
func TestEnrolmentSurvivesFailures(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	var posts atomic.Int64
	portal := s.server.Config.Handler
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/enrolments" || r.Header.Get("Test-Again") != "" {
			return false
		}
		switch posts.Add(1) {
		case 1: // it never arrives
			http.Error(w, "no", http.StatusBadGateway)
			return true
		case 2: // it is done, and the answer is lost
			r.Header.Set("Test-Again", "yes")
			portal.ServeHTTP(lost{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	ask(t, ctx)
	visible(t, ctx, "#retry")
	if got := text(t, ctx, "#notice-title"); got != "The server does not answer just now" {
		t.Errorf("the page says %q", got)
	}
	must(t, chromedp.Run(ctx, pictures(t, "enrol-no-answer"), chromedp.Click("#retry")))
	e2etest.Eventually(t, func() error {
		if n := s.Database.Count(t, `select count(*) from ca.certificate where person = $1`, s.Actor(t, "alice").Person); n != 2 {
			return fmt.Errorf("%d certificates", n)
		}
		return nil
	})
	visible(t, ctx, "#retry", "#download")
	must(t, chromedp.Run(ctx, chromedp.Reload())) // and the page is closed, too
	choose(t, ctx)
	s.good(t, download(t, ctx, "alice@example.test.p12"), "alice")
	if posts.Load() < 3 {
		t.Errorf("%d requests were sent", posts.Load())
	}
}

// lost is an answer that nobody gets.
type lost struct{ h http.Header }

func (l lost) Header() http.Header         { return l.h }
func (l lost) Write(b []byte) (int, error) { return len(b), nil }
func (l lost) WriteHeader(int)             {}

// An answer that must not be believed is not used, and the keys stay.
func TestEnrolmentAnswerIsChecked(t *testing.T) {
	s := setup(t)
	bob := s.Actor(t, "bob")
	submission, _ := s.Submission(t, bob, housetest.Pair)
	theirs, err := s.Enroll.Submit(t.Context(), bob, submission)
	must(t, err)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	alice := s.Actor(t, "alice").Person
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/enrolments" {
			return false
		}
		var certificates []map[string]any
		for _, c := range theirs.Certificates {
			certificates = append(certificates, map[string]any{"der": c.DER, "chain": [][]byte{s.PKI.Issuing.Raw, s.PKI.Root.Raw}, "serial": c.Serial.String()})
		}
		w.Header().Set("Content-Type", "application/json")
		must(t, json.NewEncoder(w).Encode(map[string]any{"id": theirs.ID, "person": alice, "state": "issued", "certificates": certificates}))
		return true
	})
	ask(t, ctx)
	visible(t, ctx, "#retry")
	if title, said := text(t, ctx, "#notice-title"), text(t, ctx, "#notice-detail"); title != "What came back cannot be right" || said != "there is no certificate for a key" {
		t.Errorf("the page says %q, %q", title, said)
	}
	if kept(t, ctx) != 1 {
		t.Error("the keys are gone")
	}
}

// The page is opened twice, and somebody else signs in: there is one request still, and nobody gets another's.
func TestEnrolmentInTwoTabs(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol?enrolment="+housetest.Endorsed)
	visible(t, ctx, "#get:enabled")
	second, closeSecond := chromedp.NewContext(ctx)
	defer closeSecond()
	must(t, chromedp.Run(second, chromedp.Navigate(s.url+"/enrol?enrolment="+housetest.Endorsed)))
	visible(t, second, "#get:enabled")
	ask(t, ctx)
	visible(t, ctx, "#registrar")
	ask(t, second)
	visible(t, second, "#retry")
	if got := text(t, second, "#notice-title"); got != "This is going on in another tab or window" {
		t.Errorf("the second tab says %q", got)
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.url+"/sessions"), chromedp.WaitVisible("table")))
	must(t, chromedp.Run(second, chromedp.Click("#retry")))
	visible(t, second, "#registrar") // what the first began: not a second request
	s.waiting(t, s.Actor(t, "alice"))
	must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
	s.comeIn(t, ctx, "carol", "/enrol")
	if got := visible(t, second, "#signin", "#anew"); got != "#signin" || kept(t, second) != 1 { // it asks as carol now, for whom there is no such request
		t.Errorf("alice's tab shows %s", got)
	}
	if n := s.Database.Count(t, `select count(*) from enroll.request`); n != 1 {
		t.Errorf("there are %d requests", n)
	}
}

// tabTo presses the tabulator until an element has the focus.
func tabTo(t *testing.T, ctx context.Context, id string) {
	t.Helper()
	var now string
	for range 40 {
		must(t, chromedp.Run(ctx, chromedp.KeyEvent("\t"), chromedp.Evaluate(`document.activeElement.id`, &now)))
		if now == id {
			return
		}
	}
	t.Fatalf("the tabulator does not come to #%s", id)
}

// The whole journey by keyboard alone, in German.
func TestEnrolByKeyboard(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	visible(t, ctx, "#get:enabled")
	must(t, chromedp.Run(ctx, chromedp.Click(`button[value="de"]`), chromedp.WaitVisible(`html[lang="de"]`)))
	visible(t, ctx, "#get:enabled")
	must(t, chromedp.Run(ctx, pictures(t, "enrol-german")))
	tabTo(t, ctx, "get")
	must(t, chromedp.Run(ctx, chromedp.KeyEvent("\r")))
	visible(t, ctx, "#passphrase:focus")
	must(t, chromedp.Run(ctx, pictures(t, "enrol-german-passphrase"), chromedp.KeyEvent(passphrase)))
	tabTo(t, ctx, "show")
	must(t, chromedp.Run(ctx, chromedp.KeyEvent(" ")))
	visible(t, ctx, `#passphrase[type="text"]`)
	tabTo(t, ctx, "passphrase")
	must(t, chromedp.Run(ctx, chromedp.KeyEvent("\r")))
	visible(t, ctx, `[data-view="done"] h1:focus`)
	dir := t.TempDir()
	tabTo(t, ctx, "download")
	must(t, chromedp.Run(ctx, cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir), chromedp.KeyEvent("\r")))
	visible(t, ctx, "#have")
	tabTo(t, ctx, "have")
	must(t, chromedp.Run(ctx, chromedp.KeyEvent("\r")))
	visible(t, ctx, `[data-view="finished"] h1:focus`)
	e2etest.Eventually(t, func() error {
		_, err := os.Stat(filepath.Join(dir, "alice@example.test.p12"))
		return err
	})
	if got := text(t, ctx, `[data-view="finished"] h1`); got != "Nun ab damit in Ihr E-Mail-Programm" {
		t.Errorf("the page says %q", got)
	}
}

// Who cannot get certificates is told why, and no key is made.
func TestEnrolmentNotOffered(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol?enrolment=no-such")
	visible(t, ctx, "#home")
	if got := text(t, ctx, "#progress-title"); got != "There is nothing to get here" {
		t.Errorf("the page says %q", got)
	}
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/enrolments" {
			return false
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Request-Id", "5b0e1c4e-0000-4000-8000-000000000001")
		w.WriteHeader(http.StatusConflict)
		must(t, json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemType + "no-mailbox", Status: http.StatusConflict, Detail: "in the server's words"}))
		return true
	})
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.url+"/enrol")))
	ask(t, ctx)
	visible(t, ctx, "#anew")
	if title, said, request := text(t, ctx, "#progress-title"), text(t, ctx, "#notice-detail"), text(t, ctx, "#notice-request"); title != "The server did not take the request" ||
		!strings.HasPrefix(said, "The directory has no mail address for you.") || request != "5b0e1c4e-0000-4000-8000-000000000001" {
		t.Errorf("the page says %q, %q, %q", title, said, request)
	}
	must(t, chromedp.Run(ctx, chromedp.Click("#anew")))
	visible(t, ctx, "#get:enabled")
	s.gate.set(nil)
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\ndelete: mail\n")
	s.Clock.Advance(time.Minute) // the directory is asked again
	e2etest.Eventually(t, func() error {
		if p, err := s.Directory.ByLogin(t.Context(), "alice"); err != nil || len(p.Mailboxes) > 0 {
			return fmt.Errorf("addresses %v, %v", p.Mailboxes, err)
		}
		return nil
	})
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.url+"/enrol")))
	visible(t, ctx, "#home")
	if title, said := text(t, ctx, "#progress-title"), text(t, ctx, "#notice-detail"); title != "You cannot get certificates now" || !strings.HasPrefix(said, "The directory has no mail address for you.") || kept(t, ctx) != 0 {
		t.Errorf("the page says %q, %q", title, said)
	}
}

// Without scripts the page says what to do instead, and home offers the page only to whom it helps.
func TestEnrolmentPage(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.get("/enrol?enrolment=x").is(t, "a stranger", 200, "/signin?to=%2Fenrol%3Fenrolment%3Dx")
	b.signIn("alice").is(t, "alice without certificates", 200, "/", `class="button" href="/enrol"`)
	page := b.get(`/enrol?enrolment="><script>alert(1)</script>`)
	page.is(t, "the page", 200, page.path, "<noscript>", "sealpost-agent", "ask your registrar", `data-enrolment="&#34;&gt;&lt;script&gt;`, "/assets/app/enrol-")
	if strings.Contains(page.body, "You have valid certificates already") {
		t.Error("there are none")
	}
	if strings.Contains(b.get("/").body, "/assets/app/") {
		t.Error("home loads the script of the enrolment")
	}
	script := regexp.MustCompile(`src="(/assets/app/enrol-[^"]+)" integrity="sha384-`).FindStringSubmatch(page.body)
	b.header.Set("Accept-Encoding", "gzip") // so that the client does not unpack it
	if got := b.get(script[1]); got.header.Get("Content-Encoding") != "gzip" || len(got.body) > 120<<10 {
		t.Errorf("the script weighs %d bytes, %s", len(got.body), got.header.Get("Content-Encoding"))
	}
	b.header.Del("Accept-Encoding")
	alice := s.Actor(t, "alice")
	submission, _ := s.Submission(t, alice, housetest.Pair)
	_, err := s.Enroll.Submit(t.Context(), alice, submission)
	must(t, err)
	b.get("/enrol").is(t, "again", 200, "/enrol", "You have valid certificates already")
	if strings.Contains(b.get("/").body, `class="button" href="/enrol"`) {
		t.Error("home offers what is there already")
	}
	b.header.Set("Accept-Language", "de")
	b.get("/enrol").is(t, "in German", 200, "/enrol", "Was Sie bekommen", "Ihre Sitzung ist zu Ende")
	// A script is told that it has to sign in, in a way that makes no browser ask for a password itself.
	stranger := s.browser(t)
	stranger.header.Set("Sec-Fetch-Dest", "empty")
	if got := stranger.get("/api/v1/policy"); got.status != 401 || got.header.Get("WWW-Authenticate") != `Session realm="Sealpost"` {
		t.Errorf("status %d, %q", got.status, got.header.Values("WWW-Authenticate"))
	}
}
