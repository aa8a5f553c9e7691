package portal_test

import (
	"context"
	_ "embed"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the pages")

// chromium is a browser of its own. What it complains of fails the test: the policy of what a page may load, scripts, digests.
func (s *site) chromium(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Chromium; not run with -short")
	}
	profile, err := os.MkdirTemp("", "chromium-*")
	must(t, err)
	t.Cleanup(func() { // its last processes write for a moment still
		for range 600 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s cannot be removed", profile)
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.IgnoreCertErrors,
		chromedp.UserDataDir(profile), chromedp.Flag("disable-quic", true), chromedp.Flag("lang", "en"), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a busy machine starts it slowly
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && (e.Entry.Source != log.SourceNetwork || strings.Contains(e.Entry.URL, "/assets/")) { // pages may be refused
				complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Error())
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range complaints {
			t.Errorf("Chromium says: %s", c)
		}
	})
	must(t, chromedp.Run(ctx))
	return ctx
}

//go:embed testdata/axe.min.js
var axe string

// accessible holds what is shown against what axe-core knows of WCAG 2.2 AA.
func accessible(ctx context.Context, t *testing.T, name string) error {
	var loaded bool
	if err := chromedp.Run(ctx, chromedp.Evaluate(`typeof axe === "object"`, &loaded)); err != nil {
		return err
	}
	if !loaded {
		if err := chromedp.Run(ctx, chromedp.Evaluate(axe+";true", &loaded)); err != nil {
			return err
		}
	}
	var found struct {
		Passed     int
		Violations []struct{ ID, Impact, Help, Where string }
	}
	err := chromedp.Run(ctx, chromedp.Evaluate(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then((r) => ({passed: r.passes.length, violations: r.violations.flatMap((v) => v.nodes.map((n) =>
			({id: v.id, impact: v.impact, help: v.help, where: n.html.slice(0, 200) + " " + (n.any[0]?.message ?? "")})))}))`, &found, awaitPromise))
	for _, f := range found.Violations {
		t.Errorf("%s: %s (%s): %s: %s", name, f.ID, f.Impact, f.Help, f.Where)
	}
	if err == nil && found.Passed < 10 {
		t.Errorf("%s: axe looked at %d things alone", name, found.Passed)
	}
	return err
}

// pictures shows a page in light, dark and on a phone. It looks whether something sticks out sideways, and whether everybody
// can use it.
func pictures(t *testing.T, name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for _, look := range []struct {
			name, scheme  string
			width, height int64
		}{{"", "light", 1200, 800}, {"-dark", "dark", 1200, 800}, {"-phone", "light", 360, 760}} {
			feature := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}
			var wide int64
			var picture []byte
			err := chromedp.Run(ctx, emulation.SetEmulatedMedia().WithFeatures(feature), chromedp.EmulateViewport(look.width, look.height),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide), chromedp.ActionFunc(func(ctx context.Context) (err error) {
					picture, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
					return err
				}))
			if err != nil {
				return err
			}
			if wide > look.width {
				t.Errorf("%s%s is %d wide on a screen of %d", name, look.name, wide, look.width)
			}
			if err := accessible(ctx, t, name+look.name); err != nil {
				return err
			}
			if *screenshots == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(*screenshots, name+look.name+".png"), picture, 0o644); err != nil {
				return err
			}
		}
		return chromedp.Run(ctx, emulation.SetEmulatedMedia(), chromedp.EmulateViewport(1200, 800))
	})
}

// Somebody signs in by keyboard alone, sees their certificates, and signs out.
func TestInTheBrowser(t *testing.T) {
	s := setup(t)
	alice := s.Actor(t, "alice")
	submission, _ := s.Submission(t, alice, housetest.Pair)
	_, err := s.Enroll.Submit(t.Context(), alice, submission)
	must(t, err)
	ctx := s.chromium(t)
	var where, heading, text string
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/"), chromedp.WaitVisible("#login"), pictures(t, "signin"),
		chromedp.KeyEvent("alice\t"), chromedp.KeyEvent("wrong\r"), chromedp.WaitVisible(".notice.bad"), pictures(t, "signin-failed"),
		chromedp.SendKeys("#password", slapdtest.Password("alice")+"\r"), chromedp.WaitVisible(".cards"), pictures(t, "home"),
		chromedp.Location(&where), chromedp.Text("h1", &heading), chromedp.Text(".card.good .state", &text)))
	if where != s.server.URL+"/" || heading != "Your certificates" || !strings.HasPrefix(text, "Valid") {
		t.Errorf("at %s: %q, %q", where, heading, text)
	}
	must(t, chromedp.Run(ctx, chromedp.Click(".who a[href='/sessions']"), chromedp.WaitVisible("table"), pictures(t, "sessions"),
		chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button"), pictures(t, "signedout"),
		chromedp.Navigate(s.server.URL+"/no/such/page"), chromedp.Text("h1", &heading), pictures(t, "not-found")))
	if heading != "There is no such page" {
		t.Errorf("%q", heading)
	}
}

// awaitPromise has an evaluation wait for what it promises.
func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

func pemKey(pkcs8 []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}
