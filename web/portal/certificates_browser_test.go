package portal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// Somebody looks at what they have, loses their laptop, has its certificates revoked, and goes back. Others read that on the list.
func TestLostDeviceInTheBrowser(t *testing.T) {
	s := setup(t)
	old := s.enrolledWith(t, "alice", "sealpost-agent/1.0 (linux; laptop-7)")
	s.Clock.Advance(time.Second)
	kept := s.enrolledWith(t, "alice", firefox)
	ctx := s.chromium(t)
	var heading, device, done, back string
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/signin"), chromedp.WaitVisible("#login"),
		chromedp.SendKeys("#login", "alice"), chromedp.SendKeys("#password", slapdtest.Password("alice")+"\r"), chromedp.WaitVisible(".ways"), pictures(t, "home"), chromedp.ScrollIntoView(".timeline li:last-child"), pictures(t, "home-below"),
		chromedp.Click(".ways a[href='/certificates']"), chromedp.WaitVisible("table"), pictures(t, "certificates"),
		chromedp.Click("tbody tr:last-child a"), chromedp.WaitVisible(".explained"), pictures(t, "certificate"), chromedp.ScrollIntoView(".explained > div:nth-child(12)"), pictures(t, "certificate-explained"),
		chromedp.Navigate(s.server.URL+"/another-device"), chromedp.WaitVisible("#device-new"), pictures(t, "another-device"),
		chromedp.Navigate(s.server.URL+"/history"), chromedp.WaitVisible(".timeline"), pictures(t, "history"),
		chromedp.Navigate(s.server.URL+"/"), chromedp.Click(".ways a[href='/lost']"), chromedp.WaitVisible("fieldset"), pictures(t, "lost-why"),
		chromedp.Click("button.main"), chromedp.WaitVisible(".notice.bad"), pictures(t, "lost-why-missing"),
		chromedp.Click("input[value=lost]"), chromedp.Click("button.main"), chromedp.WaitVisible("input[name=c]"), pictures(t, "lost-which"),
		chromedp.Text("fieldset:last-of-type legend", &device)))
	if !strings.HasPrefix(device, "sealpost-agent on laptop-7") {
		t.Errorf("the older pair was asked for with %q", device)
	}
	choose := func(c ca.Certificate) chromedp.Action { return chromedp.Click(`input[value="` + nameOf(c) + `"]`) }
	must(t, chromedp.Run(ctx, choose(old.Certificates[0]), choose(old.Certificates[1]), chromedp.Click("button.main"), chromedp.WaitVisible("button.danger"), pictures(t, "lost-sure"),
		chromedp.Click("button.danger"), chromedp.WaitVisible(".notice.good"), pictures(t, "lost-done"), chromedp.Text("h1", &heading), chromedp.Text(".notice.good", &done)))
	if heading != "That is done" || !strings.HasPrefix(done, "Revoked.") {
		t.Errorf("%q, %q", heading, done)
	}
	for _, state := range s.standing(t, old.Certificates...) {
		if state.State != ca.Revoked || state.Reason != ca.KeyCompromise {
			t.Errorf("%+v", state)
		}
	}
	for _, state := range s.standing(t, kept.Certificates...) {
		if state.State != ca.Good {
			t.Errorf("%+v", state)
		}
	}
	// The way back leads to the question, which knows; who read it for long is asked for their password, and nothing happens twice.
	must(t, chromedp.Run(ctx, chromedp.NavigateBack(), chromedp.WaitVisible("button.danger"), chromedp.Text("main", &back)))
	if !strings.Contains(back, "Revoked") {
		t.Errorf("the page says %q", back)
	}
	s.Clock.Advance(11 * time.Minute)
	must(t, chromedp.Run(ctx, chromedp.Click("button.danger"), chromedp.WaitVisible("#prove-password"), pictures(t, "lost-prove"),
		chromedp.SendKeys("#prove-password", slapdtest.Password("alice")+"\r"), chromedp.WaitVisible(".notice.good"), chromedp.Text(".notice.good", &done)))
	if n := len(s.events(t, "certificate.revoked")); n != 2 || !strings.Contains(done, "revoked already") {
		t.Errorf("%d revocations; %q", n, done)
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+pathOf(old.Certificates[1])), chromedp.WaitVisible(".notice.bad"), pictures(t, "certificate-revoked"),
		chromedp.Click("button[lang=de]"), chromedp.WaitVisible("html[lang=de] main"), chromedp.Navigate(s.server.URL+"/"), chromedp.WaitVisible(".ways"), pictures(t, "home-german")))
	s.onTheList(t, old.Certificates...)
}

// onTheList has openssl read the list that the room publishes.
func (s *site) onTheList(t *testing.T, revoked ...ca.Certificate) {
	t.Helper()
	lists, err := crl.New(crl.Config{DB: s.DB, Authority: s.PKI.Authority, Jobs: s.PKI.Jobs, Schedule: crl.Schedule{Period: time.Hour, Lifetime: 24 * time.Hour}, Now: s.Clock.Now})
	must(t, err)
	made, err := lists.Build(t.Context(), pkitest.IssuerID, 0)
	must(t, err)
	file := filepath.Join(t.TempDir(), "list.crl")
	must(t, os.WriteFile(file, made.Bytes(), 0o600))
	out, err := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-text").CombinedOutput()
	must(t, err)
	for _, c := range revoked {
		if !strings.Contains(string(out), strings.ToUpper(c.Serial.String())) || !strings.Contains(string(out), "Key Compromise") {
			t.Errorf("%s is not on the list:\n%s", c.Serial, out)
		}
	}
}
