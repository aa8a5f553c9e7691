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
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/pkcs12"
)

// owned is a pair that somebody got earlier.
type owned struct {
	housetest.Keys
	signing, encryption *x509.Certificate
}

// had gives somebody pairs, one after the other, with encryption keys of these kinds.
func (s *site) had(t *testing.T, login string, kinds ...ca.KeyAlgorithm) (out []owned) {
	t.Helper()
	by := s.Actor(t, login)
	for _, kind := range kinds {
		o := owned{Keys: housetest.Keys{Signing: pkitest.NewKey(t, ca.P256), Encryption: pkitest.NewKey(t, kind)}}
		_, err := s.Enroll.Submit(t.Context(), by, s.SubmissionWith(t, by, housetest.Pair, o.Keys))
		must(t, err)
		found, err := s.PKI.Authority.Find(t.Context(), ca.Query{Person: &by.Person, Limit: 100})
		must(t, err)
		for _, c := range found {
			leaf, err := x509.ParseCertificate(c.DER)
			must(t, err)
			switch {
			case o.Signing.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey):
				o.signing = leaf
			case o.Encryption.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey):
				o.encryption = leaf
			}
		}
		if o.signing == nil || o.encryption == nil {
			t.Fatalf("%s has no certificates", login)
		}
		out = append(out, o)
	}
	return out
}

// file writes a pair as the file that somebody has of it.
func (o owned) file(t *testing.T, passphrase string) string {
	t.Helper()
	p12, err := pkcs12.Encode([]pkcs12.Entry{{Key: o.Encryption, Certificate: o.encryption, Name: "read"}, {Key: o.Signing, Certificate: o.signing, Name: "sign"}}, nil, passphrase, pkcs12.Modern)
	must(t, err)
	path := filepath.Join(t.TempDir(), "mine.p12")
	must(t, os.WriteFile(path, p12, 0o600))
	return path
}

// asked returns the case that somebody opened.
func (s *site) asked(t *testing.T, login string) *archive.Case {
	t.Helper()
	by := s.Actor(t, login)
	found, err := s.Recovery.List(t.Context(), by, "", uuid.Nil, 10)
	must(t, err)
	found = slices.DeleteFunc(found, func(l archive.Listed) bool { return l.State == archive.CaseCancelled || l.State == archive.CaseDenied })
	if len(found) != 1 {
		t.Fatalf("%d cases are open", len(found))
	}
	k, err := s.Recovery.Get(t.Context(), by, found[0].ID)
	must(t, err)
	return k
}

// shareOf is an officer's own share, and who they are.
func (s *site) shareOf(t *testing.T, login string) (rostertest.Agent, threshold.Share) {
	t.Helper()
	a := s.Roster.Agents[slices.Index([]string{"olivia", "oscar", "otto"}, login)]
	share, err := s.Roster.OpenShare(a.ID, a.Key)
	must(t, err)
	return a, share
}

// officerAgrees has an officer approve a case; with another share than theirs it is garbage.
func (s *site) officerAgrees(t *testing.T, login string, id uuid.UUID, garbage bool) {
	t.Helper()
	by := s.Actor(t, login)
	a, share := s.shareOf(t, login)
	if garbage {
		share.Scalar = threshold.RandomScalar()
	}
	k, err := s.Recovery.Get(t.Context(), by, id)
	must(t, err)
	raw, err := s.Recovery.Capsules(t.Context(), by, id, 0, 1000)
	must(t, err)
	var capsules []*record.Capsule
	for _, b := range raw {
		c, err := record.ParseCapsule(b)
		must(t, err)
		capsules = append(capsules, c)
	}
	bundle, err := record.NewBundle(s.Roster.Roster, k.SignedCase, 0, capsules, nil)
	must(t, err)
	answer, err := record.Approving{Bundles: []*record.Bundle{bundle}, Share: share, Signer: a.Signer, Time: s.Clock.Now(), Comment: "Spoke with them."}.Approve()
	must(t, err)
	encoded, err := answer.Encode()
	must(t, err)
	_, err = s.Recovery.Answer(t.Context(), by, id, encoded)
	must(t, err)
}

func (s *site) officerRefuses(t *testing.T, login string, id uuid.UUID, comment string) {
	t.Helper()
	by := s.Actor(t, login)
	a, _ := s.shareOf(t, login)
	k, err := s.Recovery.Get(t.Context(), by, id)
	must(t, err)
	no, err := record.NewDenial(s.Roster.Roster, k.SignedCase, a.ID, a.Signer, s.Clock.Now(), comment)
	must(t, err)
	encoded, err := (&record.Answer{Approval: no}).Encode()
	must(t, err)
	_, err = s.Recovery.Answer(t.Context(), by, id, encoded)
	must(t, err)
}

// askOfficers fills in the page's form with a file.
func askOfficers(t *testing.T, ctx context.Context, file, secret string) {
	t.Helper()
	visible(t, ctx, "#ask:enabled")
	must(t, chromedp.Run(ctx, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SetValue("#file-passphrase", secret), chromedp.Click("#ask")))
}

// restores returns how many restores the browser keeps.
func restores(t *testing.T, ctx context.Context) (n int) {
	t.Helper()
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`new Promise((ok, no) => { const r = indexedDB.open("sealpost-restore", 1); r.onerror = no;
		r.onupgradeneeded = () => r.result.createObjectStore("restores", { keyPath: "person" });
		r.onsuccess = () => { const c = r.result.transaction("restores").objectStore("restores").count(); c.onsuccess = () => { r.result.close(); ok(c.result); }; }; })`, &n,
		chromedp.EvalAsValue, awaitPromise)))
	return n
}

// A laptop is lost. In the browser of a new one somebody asks for their keys, reads words out, and with two of three officers, one of whose answers
// is garbage, all older mail can be read again. The page is loaded again in every state.
func TestRestoreInTheBrowser(t *testing.T) {
	s := setup(t)
	var mu sync.Mutex
	var everything bytes.Buffer // that the browser sends
	s.gate.set(func(_ http.ResponseWriter, r *http.Request) bool {
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
	pairs := s.had(t, "alice", ca.RSA3072, ca.P384, ca.P256)
	dir := t.TempDir()
	for i, p := range pairs {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("cert%d.pem", i)), pkitest.PEM(p.encryption.Raw), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "text"), fmt.Appendf(nil, "mail %d", i), 0o600))
		e2etest.Tool(t, dir, "openssl", "cms", "-encrypt", "-aes256", "-in", "text", "-outform", "PEM", "-out", fmt.Sprintf("mail%d", i), fmt.Sprintf("cert%d.pem", i))
	}
	foreign := s.had(t, "bob", ca.P256)[0]

	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/restore")
	visible(t, ctx, "#ask:enabled")
	if keys, needed, officers := text(t, ctx, "#offer-keys"), text(t, ctx, "#offer-needed"), text(t, ctx, "#offer-officers"); keys != "3" || needed != "2" || strings.Count(officers, "\n") != 2 {
		t.Errorf("the page offers %s keys with %s officers of %q", keys, needed, officers)
	}
	must(t, chromedp.Run(ctx, pictures(t, "restore")))
	const secret = "my own old passphrase"
	mine := pairs[2].file(t, secret)
	for _, wrong := range []struct{ file, secret, want string }{
		{mine, "not this one", "The passphrase does not open the file"},
		{foreign.file(t, secret), secret, "With this file you cannot sign"},
		{filepath.Join(dir, "text"), secret, "The file cannot be read"},
	} {
		askOfficers(t, ctx, wrong.file, wrong.secret)
		says(t, ctx, "#notice-title", wrong.want)
	}
	must(t, chromedp.Run(ctx, chromedp.SetValue("#reason", "My laptop was left in a train.\n<b>Really</b>"), chromedp.SetValue("#reference", "HELP-1")))
	askOfficers(t, ctx, mine, secret)
	visible(t, ctx, `[data-view="waiting"]`)
	k := s.asked(t, "alice")
	spoken := func() string {
		t.Helper()
		var out []string
		must(t, chromedp.Run(ctx, chromedp.Evaluate(`[...document.querySelectorAll("#words-to-read li")].map(e => e.textContent)`, &out)))
		return strings.Join(out, " ")
	}
	want := spoken()
	if got := heard(want); got != record.Fingerprint(k.Deliveries[0].Recipient).String() {
		t.Errorf("to be read out is %q, which is %s", want, got)
	}
	if k.Reason != "My laptop was left in a train.\n<b>Really</b>" || k.Reference != "HELP-1" || k.Kind != record.CaseRestore || !k.Requester.Certificate.Equal(pairs[2].signing) {
		t.Errorf("the case is %+v", k.Case)
	}
	if got := text(t, ctx, "#reason-shown"); got != k.Reason {
		t.Errorf("the reason is shown as %q", got)
	}
	to := k.Deliveries[0].Recipient
	if err := to.CheckSignature(to.SignatureAlgorithm, to.RawTBSCertificate, to.Signature); err != nil || to.KeyUsage != x509.KeyUsageKeyAgreement || to.Subject.CommonName != "New device of Alice Anders" {
		t.Errorf("the recipient is %s for %d: %v", to.Subject, to.KeyUsage, err)
	}
	must(t, chromedp.Run(ctx, pictures(t, "restore-waiting"), chromedp.Reload()))
	visible(t, ctx, `[data-view="waiting"]`)
	if got := spoken(); got != want || s.asked(t, "alice").ID != k.ID {
		t.Errorf("after a reload it is another request: %q", got)
	}

	s.officerAgrees(t, "olivia", k.ID, true)
	says(t, ctx, "#standings", "1 of 2 officers")
	s.officerAgrees(t, "oscar", k.ID, false)
	visible(t, ctx, "#passphrase") // by itself
	must(t, chromedp.Run(ctx, pictures(t, "restore-ready"), chromedp.Reload()))
	choose(t, ctx)
	says(t, ctx, "#wrong", "Olivia")
	must(t, chromedp.Run(ctx, pictures(t, "restore-wrong-answer"), chromedp.Reload()))
	visible(t, ctx, `[data-view="waiting"]`)
	says(t, ctx, "#standings", "their part does not fit")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'archive.case-disputed'`); n != 1 {
		t.Errorf("%d disputes", n)
	}
	s.officerAgrees(t, "otto", k.ID, false)
	choose(t, ctx)
	visible(t, ctx, "#download")
	must(t, chromedp.Run(ctx, pictures(t, "restore-done"), chromedp.Reload()))
	choose(t, ctx) // it is there until somebody says that they have it
	file := download(t, ctx, "alice@example.test-older.p12")
	if restores(t, ctx) != 1 {
		t.Error("the browser forgot before the file is there")
	}
	must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	visible(t, ctx, `[data-view="finished"] h1`)
	must(t, chromedp.Run(ctx, pictures(t, "restore-finished")))
	if n := restores(t, ctx); n != 0 {
		t.Errorf("the browser keeps %d restores", n)
	}
	if k := s.asked(t, "alice"); k.State != archive.CaseClosed {
		t.Errorf("the case is %s", k.State)
	}
	s.opensOldMail(t, dir, file, pairs)
	s.gate.set(nil)
	keepsToItself(t, everything.String(), pairs, secret, passphrase)
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/restore")))
	visible(t, ctx, "#ask:enabled") // from the beginning
}

// heard is what somebody types who hears sixteen words, in hexadecimal: each is consonant, vowel, consonant, vowel, consonant.
func heard(words string) string {
	var out strings.Builder
	for w := range strings.FieldsSeq(words) {
		v := 0
		for i := range len(w) {
			letters := []string{"bdfghjklmnprstvz", "aiou"}[i%2]
			v = v*len(letters) + strings.IndexByte(letters, w[i])
		}
		fmt.Fprintf(&out, "%04x", v)
	}
	return out.String()
}

// says waits until an element says something.
func says(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		var got string
		if err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`(e => e?.checkVisibility() ? e.innerText : "nothing")(document.querySelector(%q))`, selector), &got)); err != nil {
			return err
		}
		if !strings.Contains(got, want) {
			return fmt.Errorf("%s says %q, not %q", selector, got, want)
		}
		return nil
	})
}

// opensOldMail holds that Go, openssl and NSS read a file of recovered keys, that all are in it, the newest first, and that every mail opens.
func (s *site) opensOldMail(t *testing.T, dir string, file []byte, pairs []owned) {
	t.Helper()
	entries, chain, err := pkcs12.Decode(file, passphrase)
	must(t, err)
	if len(entries) != len(pairs) || !slices.ContainsFunc(chain, s.PKI.Root.Equal) {
		t.Fatalf("%d keys and %d issuers in the file", len(entries), len(chain))
	}
	if entries[0].Name != "Alice Anders (encryption)" || !strings.HasPrefix(entries[1].Name, "Alice Anders (old encryption, from 20") {
		t.Errorf("the keys are named %q, %q", entries[0].Name, entries[1].Name)
	}
	for _, p := range pairs {
		if !slices.ContainsFunc(entries, func(e pkcs12.Entry) bool {
			return e.Certificate.Equal(p.encryption) && p.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(e.Key)
		}) {
			t.Errorf("a key of kind %T is missing", p.Encryption)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "older.p12"), file, 0o600))
	e2etest.Tool(t, dir, "openssl", "pkcs12", "-in", "older.p12", "-passin", "pass:"+passphrase, "-nodes", "-out", "all.pem")
	all, err := os.ReadFile(filepath.Join(dir, "all.pem"))
	must(t, err)
	keys := regexp.MustCompile(`(?s)-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n`).FindAll(all, -1)
	for i, p := range pairs {
		at := slices.IndexFunc(keys, func(text []byte) bool {
			block, _ := pem.Decode(text)
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			return err == nil && p.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key)
		})
		if at < 0 {
			t.Fatalf("openssl finds no key for mail %d among %d", i, len(keys))
		}
		must(t, os.WriteFile(filepath.Join(dir, "key.pem"), keys[at], 0o600))
		if got := e2etest.Tool(t, dir, "openssl", "cms", "-decrypt", "-inform", "PEM", "-in", fmt.Sprintf("mail%d", i), "-recip", fmt.Sprintf("cert%d.pem", i), "-inkey", "key.pem"); !strings.Contains(got, fmt.Sprintf("mail %d", i)) {
			t.Errorf("mail %d is %q", i, got)
		}
	}
	must(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	e2etest.Tool(t, dir, "certutil", "-N", "-d", "sql:db", "--empty-password")
	e2etest.Tool(t, dir, "pk12util", "-i", "older.p12", "-d", "sql:db", "-W", passphrase)
	if listed := e2etest.Tool(t, dir, "certutil", "-K", "-d", "sql:db"); strings.Count(listed, "\n<") != len(pairs) {
		t.Errorf("NSS has these keys:\n%s", listed)
	}
}

// keepsToItself holds that no private key and no passphrase is in what a browser sent, as it is or in base64.
func keepsToItself(t *testing.T, sent string, pairs []owned, secrets ...string) {
	t.Helper()
	for _, field := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}=*`).FindAllString(sent, -1) {
		if b, err := base64.StdEncoding.DecodeString(field); err == nil {
			sent += string(b)
		}
	}
	if !strings.Contains(sent, string(pairs[2].signing.Raw)) {
		t.Error("the signing certificate was not sent, so this looks at the wrong place")
	}
	for _, p := range pairs {
		for _, key := range []crypto.Signer{p.Signing, p.Encryption} {
			var secret []byte
			var err error
			switch key := key.(type) {
			case *ecdsa.PrivateKey:
				secret, err = key.Bytes()
				must(t, err)
			case *rsa.PrivateKey:
				secret = key.Primes[0].Bytes()
			}
			if len(secret) < 32 || strings.Contains(sent, string(secret)) {
				t.Error("a private key was sent")
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(sent, secret) {
			t.Error("a passphrase was sent")
		}
	}
}

// Who has just got certificates in this browser signs with that key. Two tabs, an ended session, an old proof, somebody else in the same browser, officers who
// refuse, a request that is taken back and one whose time is over: nothing is lost that is not said, and all is said plainly.
func TestRestoreComesToNothing(t *testing.T) {
	s := setup(t)
	s.had(t, "alice", ca.P256)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	ask(t, ctx)
	visible(t, ctx, "#download") // and keeps the keys here
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/restore")))
	visible(t, ctx, "#sign-kept")
	must(t, chromedp.Run(ctx, pictures(t, "restore-sign")))

	stale := true
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !stale || r.Method != http.MethodPost || r.URL.Path != "/api/v1/cases" {
			return false
		}
		stale = false
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"type":"urn:sealpost:problem:proof-needed","detail":"no"}`))
		return true
	})
	must(t, chromedp.Run(ctx, chromedp.Click("#ask")))
	visible(t, ctx, "#prove")
	if restores(t, ctx) != 1 {
		t.Error("the request is not kept")
	}
	must(t, chromedp.Run(ctx, chromedp.Click("#prove"), chromedp.WaitVisible("#prove-password"), chromedp.SendKeys("#prove-password", slapdtest.Password("alice")+"\r")))
	visible(t, ctx, `[data-view="waiting"]`) // by itself
	s.gate.set(nil)
	first := s.asked(t, "alice")

	must(t, s.sessions.EndOthers(t.Context(), s.Actor(t, "alice"), uuid.Nil))
	visible(t, ctx, "#signin")
	says(t, ctx, "#notice-text", "Nothing was lost")
	must(t, chromedp.Run(ctx, pictures(t, "restore-session-ended"), chromedp.Click("#signin"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "carol"),
		chromedp.SendKeys("#password", slapdtest.Password("carol")+"\r")))
	visible(t, ctx, `[data-view="nothing"]`) // nothing of alice's is shown to somebody else
	must(t, chromedp.Run(ctx, pictures(t, "restore-nothing")))
	var statuses []int
	must(t, chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`Promise.all(["", "/deliveries/0/sealed", "/deliveries/0/records", "/certificates"].map(p => fetch("/api/v1/cases/%s" + p).then(r => r.status)))`, first.ID), &statuses, awaitPromise)))
	if !slices.Equal(statuses, []int{404, 404, 404, 404}) {
		t.Errorf("another's case: %v", statuses)
	}
	must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
	s.comeIn(t, ctx, "alice", "/restore")
	visible(t, ctx, `[data-view="waiting"]`)

	other, cancel := chromedp.NewContext(ctx)
	defer cancel()
	must(t, chromedp.Run(other, chromedp.Navigate(s.server.URL+"/restore")))
	visible(t, other, `[data-view="waiting"]`)
	must(t, chromedp.Run(ctx, page.BringToFront(), chromedp.Click("#cancel"), chromedp.WaitVisible("#cancel-sure"), pictures(t, "restore-cancel"), chromedp.Click("#cancel-yes")))
	visible(t, ctx, `[data-view="cancelled"]`)
	visible(t, other, "#ask:enabled") // it saw that
	if k, err := s.Recovery.Get(t.Context(), s.Actor(t, "alice"), first.ID); err != nil || k.State != archive.CaseCancelled {
		t.Errorf("the case is %v, %v", k, err)
	}
	if n := restores(t, ctx); n != 0 {
		t.Errorf("the browser keeps %d restores", n)
	}

	// The other tab asks; officers refuse, and what they say is text.
	must(t, chromedp.Run(other, page.BringToFront(), chromedp.Click("#ask")))
	visible(t, other, `[data-view="waiting"]`)
	second := s.asked(t, "alice")
	must(t, chromedp.Run(ctx, page.BringToFront(), chromedp.Navigate(s.server.URL+"/restore")))
	visible(t, ctx, `[data-view="waiting"]`)
	s.officerRefuses(t, "olivia", second.ID, `No. <img src=x onerror="document.title='bad'">`)
	says(t, ctx, "#standings", "has refused")
	s.officerRefuses(t, "oscar", second.ID, "Call me.")
	visible(t, ctx, `[data-view="ended"]`)
	says(t, ctx, "#ended-said", `“No. <img src=x onerror="document.title='bad'">”`)
	if got := text(t, ctx, "#ended-title"); got != "The officers refused" {
		t.Errorf("the page says %q", got)
	}
	must(t, chromedp.Run(ctx, page.BringToFront(), pictures(t, "restore-refused"), chromedp.Click("#ended-anew")))
	visible(t, ctx, "#ask:enabled")
	must(t, chromedp.Run(ctx, chromedp.Click("#ask")))
	visible(t, ctx, `[data-view="waiting"]`)
	third := s.asked(t, "alice")
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/sessions"))) // meanwhile nobody looks
	must(t, chromedp.Run(other, chromedp.Navigate(s.server.URL+"/sessions")))
	s.Clock.Advance(8 * 24 * time.Hour)
	must(t, s.Recovery.Expire(t.Context()))
	s.comeIn(t, ctx, "alice", "/restore")
	visible(t, ctx, `[data-view="ended"]`)
	if got := text(t, ctx, "#ended-title"); got != "The time is over" {
		t.Errorf("the page says %q of %s", got, third.ID)
	}
}

// A server that lies about what is to be signed gets no signature; one that lies about a request is not believed, and nobody is blamed for what was
// changed on the way.
func TestRestoreFromALyingServerInTheBrowser(t *testing.T) {
	s := setup(t)
	pair := s.had(t, "alice", ca.P256, ca.P256)[1]
	bob := s.Actor(t, "bob").Person
	portal := s.server.Config.Handler
	lie := func(suffix string, change func([]byte) []byte) {
		s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, suffix) || r.Header.Get("Test-Again") != "" {
				return false
			}
			r.Header.Set("Test-Again", "yes")
			rec := httptest.NewRecorder()
			portal.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if rec.Code/100 == 2 {
				body = change(body)
			}
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
			return true
		})
	}
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/restore")
	visible(t, ctx, "#ask:enabled")
	foreign := rostertest.New(t, 2, 3)
	for name, change := range map[string]func(*api.CaseDrafts){
		"another person's keys": func(d *api.CaseDrafts) { d.Drafts[0].Subjects[0].Person = bob },
		"more people": func(d *api.CaseDrafts) {
			d.Drafts[0].Subjects = append(d.Drafts[0].Subjects, api.CaseSubject{Person: bob})
		},
		"nothing at all":        func(d *api.CaseDrafts) { d.Drafts = nil },
		"a record that is none": func(d *api.CaseDrafts) { d.Drafts[0].Subjects[0].Records[0].Record = "x" },
		"other officers":        func(d *api.CaseDrafts) { d.Drafts[0].Roster = foreign.Bytes() },
		"officers altered":      func(d *api.CaseDrafts) { d.Drafts[0].Roster[len(d.Drafts[0].Roster)-1] ^= 1 },
		"no issuers":            func(d *api.CaseDrafts) { d.Drafts[0].Intermediates = nil },
	} {
		lie("/cases/drafts", rewritten(t, change))
		must(t, chromedp.Run(ctx, chromedp.Reload()))
		e2etest.Eventually(t, func() error {
			var said string
			if err := chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("#notice")?.hidden === false ? document.querySelector("#notice-title").textContent : ""`, &said)); err != nil {
				return err
			}
			if said != "What came back cannot be right" {
				return fmt.Errorf("%s: the page says %q", name, said)
			}
			return nil
		})
	}
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Fatalf("%d cases were opened", n)
	}
	s.gate.set(nil)
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	const secret = "my own old passphrase"
	askOfficers(t, ctx, pair.file(t, secret), secret)
	visible(t, ctx, `[data-view="waiting"]`)
	k := s.asked(t, "alice")
	lie("/cases/"+k.ID.String(), rewritten(t, func(c *api.Case) { c.Signed[20] ^= 1 }))
	says(t, ctx, "#notice-title", "What came back cannot be right")
	s.officerAgrees(t, "olivia", k.ID, false)
	s.officerAgrees(t, "otto", k.ID, false)
	lie("/sealed", rewritten(t, func(c *api.CaseSealed) { c.Items[0].Partials[len(c.Items[0].Partials)-1] ^= 1 }))
	must(t, chromedp.Run(ctx, chromedp.Click("#retry")))
	choose(t, ctx)
	visible(t, ctx, `[data-view="waiting"]`, "#passphrase")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'archive.case-disputed'`); n != 0 {
		t.Errorf("%d officers were blamed", n)
	}
	lie("/records", rewritten(t, func(b *api.Blobs) { b.Items[0] = b.Items[1] }))
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	choose(t, ctx)
	says(t, ctx, "#notice-title", "What came back cannot be right")
	// Certificates that cannot be had do not lose the keys.
	lie("/certificates", rewritten(t, func(p *api.CaseCertificates) {
		for i := range p.Items {
			p.Items[i].Certificates = nil
		}
	}))
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	choose(t, ctx)
	entries, _, err := pkcs12.Decode(download(t, ctx, "alice@example.test-older.p12"), passphrase)
	if err != nil || len(entries) != 2 || !strings.HasSuffix(entries[0].Name, ", certificate unknown") || !pair.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(entries[0].Key) && !pair.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(entries[1].Key) {
		t.Errorf("without certificates: %d keys, %v", len(entries), err)
	}
}

// rewritten decodes an answer, changes it and encodes it again.
func rewritten[T any](t *testing.T, change func(*T)) func([]byte) []byte {
	return func(body []byte) []byte {
		var v T
		err := json.Unmarshal(body, &v)
		change(&v)
		out, marshal := json.Marshal(v)
		if err := errors.Join(err, marshal); err != nil {
			t.Error(err)
		}
		return out
	}
}
