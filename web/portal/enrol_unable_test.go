package portal_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A browser that cannot make keys says so, and what to do instead; nothing is offered that would fail.
func TestEnrolWithoutWebCrypto(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	must(t, chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`Object.defineProperty(Crypto.prototype, "subtle", { value: undefined })`).Do(ctx)
		return err
	})))
	s.comeIn(t, ctx, "alice", "/enrol")
	visible(t, ctx, "#unable")
	if said := text(t, ctx, "#unable"); !strings.Contains(said, "sealpost-agent") || !strings.Contains(said, "registrar") {
		t.Errorf("it says %q", said)
	}
	var offered bool
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("get").checkVisibility()`, &offered), pictures(t, "enrol-unable")))
	if offered {
		t.Error("the button is offered")
	}
}
