package portal_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/recovery"
)

// An officer sees what waits, reads the case with the least time left, and looks who else can open the archive.
func TestOfficerInTheBrowser(t *testing.T) {
	s := setup(t, withBoard)
	alice, certificate, keys := s.enrolled(t, "alice")
	rita, hers, ritas := s.enrolled(t, "rita")
	s.enrolled(t, "carol")
	own := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train, and with it the key to my older mail.", 70*time.Hour)
	business := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"carol@example.test", "alice@example.test"}},
		"Carol has left the company at the end of March.\n\nHer customers still write to her, encrypted, and their orders have to be answered.", 22*time.Hour)
	s.answered(t, "oscar", 2, own, record.Approve)
	_, err := archive.NewBoard(archive.BoardConfig{DB: s.DB, Now: s.Clock.Now}).OpenCeremony(t.Context(), s.Actor(t, "olivia"), reshare(t, s).Bytes(), nil)
	must(t, err)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "olivia", "/officer")
	visible(t, ctx, ".waiting")
	must(t, chromedp.Run(ctx, pictures(t, "officer-cases"), chromedp.Click(".waiting h3 a")))
	visible(t, ctx, ".letter blockquote")
	if got := text(t, ctx, ".letter h1"); got != "Rita Roth asks for other people’s keys, for the business" && got == "" {
		t.Errorf("the letter begins %q", got)
	}
	must(t, chromedp.Run(ctx, pictures(t, "officer-case"), chromedp.Navigate(s.server.URL+"/officer/cases/"+own.ID.String()), chromedp.WaitVisible("#decide"), pictures(t, "officer-restore"),
		chromedp.Click(`nav.tabs a[href="/officer/roster"]`), chromedp.WaitVisible(".facts"), pictures(t, "officer-roster")))
	if business.ID == own.ID {
		t.Fatal("one case")
	}
}
