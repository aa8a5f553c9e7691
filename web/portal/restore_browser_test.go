package portal_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

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
	want := strings.Join(record.Fingerprint(k.Deliveries[0].Recipient).Words(), " ")
	if got := spoken(); got != want {
		t.Errorf("to be read out is %q, not %q", got, want)
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
	must(t, chromedp.Run(ctx, chromedp.Click("#old summary"), chromedp.Click("#old-make")))
	s.gnupgOpensOldMail(t, ctx, dir, pairs[0])
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
