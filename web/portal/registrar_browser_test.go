package portal_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// A registrar's day: endorse one request and reject another whose directory entry has changed, put a certificate on hold and
// revoke all, make a token and withdraw it, say that somebody has left.
func TestRegistrarInTheBrowser(t *testing.T) {
	var desk *leaver.Desk
	s := setup(t, func(_ *site, c *web.Config) {
		var err error
		desk, err = leaver.New(leaver.Config{DB: c.Registry.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: leaver.Policy{Limit: 1}, Now: c.Now})
		must(t, err)
		c.Leavers, c.Certificates, c.PortalURL = desk, "https://ca.example.test:8443", "https://portal.example.test"
	})
	s.has(t, "alice")
	carol := s.has(t, "carol")
	endorsed := s.asks(t, "alice")
	bob := s.Actor(t, "bob")
	submission, _ := s.Submission(t, audit.Actor{Person: bob.Person, Name: "Bobby Brown", Roles: bob.Roles, Method: bob.Method}, housetest.Endorsed)
	submission.Agent = "sealpost-agent/1.0 (windows)"
	rejected, err := s.Enroll.Submit(t.Context(), bob, submission)
	must(t, err)
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modify\nreplace: mail\nmail: b.brown@example.test\nmail: bob@example.test\n")
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	must(t, desk.Sweep(t.Context(), true))
	s.Clock.Advance(26 * time.Hour)

	ctx := s.chromium(t)
	var text, token string
	at := func(path string) string { return s.server.URL + path }
	must(t, chromedp.Run(ctx, chromedp.Navigate(at("/registrar")), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "rita"),
		chromedp.SendKeys("#password", slapdtest.Password("rita")+"\r"), chromedp.WaitVisible("table"), pictures(t, "registrar-queue"),
		chromedp.Click(`a[href="/registrar/requests/`+endorsed.ID.String()+`"]`), chromedp.WaitVisible(".compare"), pictures(t, "registrar-request"),
		chromedp.Click(`form[action$="/endorse"] button`), chromedp.WaitVisible(".notice.good[role=status]"), chromedp.Text(".notice.good[role=status]", &text), pictures(t, "registrar-endorsed")))
	if text != "Endorsed. The certificates are issued." {
		t.Errorf("%q", text)
	}
	// The back button shows the request as it stands.
	must(t, chromedp.Run(ctx, chromedp.NavigateBack(), chromedp.WaitVisible(".compare"), chromedp.Text(".state-line", &text)))
	if text[:6] != "Issued" {
		t.Errorf("after going back: %q", text)
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(at("/registrar/requests/"+rejected.ID.String())), chromedp.WaitVisible("td.differs"), pictures(t, "registrar-differs"),
		chromedp.SendKeys("#reason", "Your address has changed since. Please ask again."), chromedp.Click(`form[action$="/reject"] button`),
		chromedp.WaitVisible(".notice.good[role=status]"), pictures(t, "registrar-rejected")))
	if got, err := s.Enroll.Get(t.Context(), s.Actor(t, "rita"), rejected.ID); err != nil || got.State != enroll.Rejected || got.Reason != "Your address has changed since. Please ask again." {
		t.Errorf("%+v %v", got, err)
	}

	person := "/registrar/people/" + endorsed.Person.String()
	must(t, chromedp.Run(ctx, chromedp.Click(`.mark`), chromedp.WaitVisible(".cards"), chromedp.Click(`nav a[href="/registrar"]`), chromedp.WaitVisible(".tabs"),
		chromedp.Click(`.tabs a[href="/registrar/people"]`), chromedp.WaitVisible("#q"), pictures(t, "registrar-find"),
		chromedp.SendKeys("#q", "alice\r"), chromedp.WaitVisible("table"), pictures(t, "registrar-people"),
		chromedp.Click(`td a`), chromedp.WaitVisible("#certificates"), pictures(t, "registrar-person"),
		chromedp.Click(`a[href^="`+person+`/revoke?"]`), chromedp.WaitVisible(`input[value=hold]`), pictures(t, "registrar-revoke"),
		chromedp.Click(`input[value=hold]`), chromedp.SendKeys("#note", "Laptop mislaid"), chromedp.Click(`form[action$="/revoke"] .danger`), chromedp.WaitVisible(".notice.good[role=status]"),
		chromedp.Text("td .pill.warn", &text)))
	if text != "On hold" {
		t.Errorf("on hold: %q", text)
	}
	// Long after signing in, the form waits for the password.
	s.Clock.Advance(11 * time.Minute)
	must(t, chromedp.Run(ctx, chromedp.Click(`a[href="`+person+`/revoke"]`), chromedp.WaitVisible(`input[value=lost]`), chromedp.Click(`input[value=lost]`),
		chromedp.Click(`form[action$="/revoke"] .danger`), chromedp.WaitVisible("#prove-password"), pictures(t, "registrar-prove"),
		chromedp.SendKeys("#prove-password", slapdtest.Password("rita")+"\r"), chromedp.WaitVisible(".notice.good[role=status]"), chromedp.Text(".notice.good[role=status]", &text), pictures(t, "registrar-revoked")))
	if text != "Revoked. The new revocation list follows within moments." {
		t.Errorf("%q", text)
	}

	must(t, chromedp.Run(ctx, chromedp.Click(`a[href="`+person+`/token"]`), chromedp.WaitVisible(`input[value=behalf]`), pictures(t, "registrar-token"),
		chromedp.Click(`input[value=behalf]`), chromedp.Click(`button.main`), chromedp.WaitVisible(".copy"), chromedp.Text(".copy code", &token), pictures(t, "registrar-made")))
	if by, err := s.Enroll.TokenActor(t.Context(), token); err != nil || by.Person != endorsed.Person {
		t.Errorf("the token %q: %+v %v", token, by, err)
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(at("/registrar/tokens")), chromedp.WaitVisible("table"), pictures(t, "registrar-tokens"),
		chromedp.Click(`td a[href="/registrar/tokens/1"]`), chromedp.WaitVisible(".danger"), pictures(t, "registrar-minted"), chromedp.Click(".danger"), chromedp.WaitVisible(".empty")))
	if _, err := s.Enroll.TokenActor(t.Context(), token); err == nil {
		t.Error("the token works still")
	}

	must(t, chromedp.Run(ctx, chromedp.Click(`.tabs a[href="/registrar/leavers"]`), chromedp.WaitVisible("table"), pictures(t, "registrar-leavers"),
		chromedp.Click(`td a[href="/registrar/leavers/`+carol.Person.String()+`"]`), chromedp.WaitVisible("#note"), pictures(t, "registrar-leaver"),
		chromedp.SendKeys("#note", "Last day was Friday"), chromedp.Click(".danger"), chromedp.WaitVisible(".notice.good[role=status]"), chromedp.Text(".notice.good[role=status]", &text)))
	if text != "Revoked: this person has left." {
		t.Errorf("%q", text)
	}
	// In German, once more through the pages with the longest words.
	must(t, chromedp.Run(ctx, chromedp.Click(`button[value=de]`), chromedp.WaitVisible(`html[lang=de] table`), chromedp.Navigate(at(person+"/revoke?certificate=x")), chromedp.Navigate(at("/registrar/requests/"+rejected.ID.String())),
		chromedp.WaitVisible(".compare"), pictures(t, "registrar-request-german")))
}
