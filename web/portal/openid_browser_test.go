package portal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/internal/openidtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/signin"
)

// A real browser goes to the provider and comes back signed in, where it wanted to go; later it shows anew there who is sitting at it.
func TestSignInAtAProviderInTheBrowser(t *testing.T) {
	var issuer string
	s := setup(t, func(s *site, c *web.Config) {
		issuer, _ = openidtest.ForWeb(t, s.url+portal.CallbackPath)
		var err error
		c.OpenID, err = signin.NewOpenID(signin.OpenIDConfig{Secret: "secret", Redirect: s.url + portal.CallbackPath, Directory: s.Directory, Now: s.Clock.Now,
			Policy: signin.OpenIDPolicy{Issuer: issuer, Name: "Example login", ClientID: "sealpost", ClientSecretFile: "openid.secret"}})
		must(t, err)
	})
	ctx := s.chromium(t)
	atProvider := func() {
		t.Helper()
		visible(t, ctx, `input[name="username"]`)
		var where string
		must(t, chromedp.Run(ctx, chromedp.Location(&where)))
		if !strings.HasPrefix(where, issuer) {
			t.Fatalf("the form is at %s", where)
		}
		must(t, chromedp.Run(ctx, chromedp.SendKeys(`input[name="username"]`, "alice"), chromedp.SendKeys(`input[name="password"]`, "pw-alice\r")))
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/sessions"), chromedp.WaitVisible(`a[href^="/signin/openid"]`), pictures(t, "signin-provider"), chromedp.Click(`a[href^="/signin/openid"]`)))
	atProvider()
	visible(t, ctx, "table")
	var where string
	must(t, chromedp.Run(ctx, chromedp.Location(&where)))
	if where != s.server.URL+"/sessions" || !strings.Contains(text(t, ctx, ".who"), "Alice Anders") {
		t.Errorf("signed in at %s as %q", where, text(t, ctx, ".who"))
	}
	s.Clock.Advance(3 * time.Minute) // the provider's clock is the real one: its answers are three minutes old here
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/prove?to=%2Fsessions"), chromedp.WaitVisible(`a[href^="/signin/openid?anew"]`), pictures(t, "prove-provider"), chromedp.Click(`a[href^="/signin/openid?anew"]`)))
	atProvider()
	visible(t, ctx, "table")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'session.proven'`); n != 1 {
		t.Errorf("%d proofs are recorded", n)
	}
}
