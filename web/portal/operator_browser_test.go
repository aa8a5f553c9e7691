package portal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// An operator sees what is wrong, opens what is fine, and looks at what a profile yields.
func TestOperatorInTheBrowser(t *testing.T) {
	s := setup(t, published(t))
	for range 3 {
		s.withPair(t, "alice")
		s.withPair(t, "bob")
	}
	ctx := s.chromium(t)
	var heading, urgent, fine string
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/operator"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "operator"),
		chromedp.SendKeys("#password", slapdtest.Password("operator")+"\r"), chromedp.WaitVisible("#urgent"), pictures(t, "operator"),
		chromedp.Text(".notice strong", &urgent), chromedp.ScrollIntoView("#charts"), pictures(t, "operator-charts"),
		chromedp.Click(".chart summary"), chromedp.WaitVisible(".chart tbody"), chromedp.Click("#fine + details summary"), chromedp.Text("#fine + details li", &fine),
		chromedp.Click(".tabs a[href='/operator/profiles']"), chromedp.WaitVisible("tbody a"), pictures(t, "operator-profiles"),
		chromedp.Click("a[href='/operator/profiles/smime-encryption']"), chromedp.WaitVisible(".explained"), pictures(t, "operator-profile"), chromedp.Text("h1", &heading)))
	if heading != "smime-encryption" || urgent == "" || fine == "" {
		t.Errorf("%q %q %q", heading, urgent, fine)
	}
}

// An auditor searches the record, opens an event, reads the report and a person's certificates.
func TestAuditorInTheBrowser(t *testing.T) {
	s := setup(t)
	s.withPair(t, "alice")
	k, capsules := s.askedCase(t, record.CaseBusiness, "alice", "", 0, "Alice is ill, and her customers wait.")
	s.agreed(t, k, capsules, 1, 3)
	s.legalCase(t, "carol", "auditor", 20*24*time.Hour)
	person, err := s.Directory.ByLogin(t.Context(), "alice")
	must(t, err)
	_, err = s.Audit.Record(t.Context(), audit.Actor{Person: uuid.New(), Name: "Ålesund Ξένος 王小明 שרה کوروش", Method: audit.MethodPassword}, audit.Event{Kind: "portal.viewed", Subject: "page:x", Person: person.ID})
	must(t, err)
	s.sequenced(t)
	s.PKI.IssuePair(t, pkitest.NewPerson("zoe"))
	s.sequenced(t)
	ctx := s.chromium(t)
	var where, rows string
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/auditor"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "auditor"),
		chromedp.SendKeys("#password", slapdtest.Password("auditor")+"\r"), chromedp.WaitVisible("#verify"), pictures(t, "auditor"),
		chromedp.Click(".tabs a[href='/auditor/events']"), chromedp.WaitVisible("tbody"), pictures(t, "auditor-events"),
		chromedp.SendKeys("#q-events", "alice@example.test\r"), chromedp.WaitVisible("a.button.calm[href='/auditor/events']"), chromedp.Location(&where), chromedp.Text("tbody", &rows)))
	if !strings.Contains(where, "q=alice%40example.test") || !strings.Contains(rows, "Alice Anders") {
		t.Errorf("%s: %s", where, rows)
	}
	index := int64(0)
	found, err := s.Audit.Events(t.Context(), audit.Query{Kind: "archive.case-requested", Limit: 1})
	must(t, err)
	index = found[0].Index
	must(t, chromedp.Run(ctx, chromedp.Navigate(fmt.Sprintf("%s/auditor/events/%d", s.server.URL, index)), chromedp.WaitVisible(".raw"), pictures(t, "auditor-event"),
		chromedp.Click("summary"), chromedp.WaitVisible("details .raw"),
		chromedp.Navigate(s.server.URL+"/auditor/recovery"), chromedp.WaitVisible("tbody"), pictures(t, "auditor-recovery"), chromedp.Text("main", &rows),
		chromedp.Navigate(s.server.URL+"/auditor/certificates?q=alice"), chromedp.WaitVisible("tbody"), pictures(t, "auditor-certificates")))
	for _, want := range []string{"Rita Registrar", "Alice is ill", "Olivia Officer agreed", "Alice Anders", "HR-4711"} {
		if !strings.Contains(rows, want) {
			t.Errorf("the report does not say %q: %s", want, rows)
		}
	}
}
