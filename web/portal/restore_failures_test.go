package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/pkcs12"
)

// stumble lets the server fail at what is asked for by path: at first it does not arrive, and then its answer is lost. It returns how often each was asked for.
func (s *site) stumble(paths ...string) (asked func(path string) int) {
	var mu sync.Mutex
	count := map[string]int{}
	portal := s.server.Config.Handler
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Test-Again") != "" || r.Method != http.MethodPost {
			return false
		}
		for _, path := range paths {
			if !strings.HasSuffix(r.URL.Path, path) {
				continue
			}
			mu.Lock()
			count[path]++
			n := count[path]
			mu.Unlock()
			switch n {
			case 1:
				http.Error(w, "no", http.StatusBadGateway)
				return true
			case 2:
				r.Header.Set("Test-Again", "yes")
				portal.ServeHTTP(lost{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}
		}
		return false
	})
	return func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return count[path]
	}
}

// again presses the button until something is shown.
func again(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	for range 10 {
		if visible(t, ctx, want, "#retry") == want {
			return
		}
		says(t, ctx, "#notice-title", "The server does not answer just now")
		must(t, chromedp.Run(ctx, chromedp.Click("#retry")))
		e2etest.Eventually(t, func() error {
			var busy bool
			if err := chromedp.Run(ctx, chromedp.Evaluate(`!document.querySelector("#notice").hidden`, &busy)); err != nil || !busy {
				return err
			}
			return chromedp.Run(ctx, chromedp.Evaluate(`new Promise(ok => setTimeout(() => ok(1), 200))`, nil, awaitPromise))
		})
	}
	t.Fatalf("%s does not come", want)
}

// What is asked for does not arrive, or its answer is lost, at each step: there is one request in the end, and one file. A request that has lain here unseen for too
// long is signed anew, for the same key.
func TestRestoreSurvivesFailures(t *testing.T) {
	s := setup(t)
	pair := s.had(t, "alice", ca.P256)[0]
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/restore")
	asked := s.stumble("/api/v1/cases", "/collect", "/close")
	const secret = "my own old passphrase"
	askOfficers(t, ctx, pair.file(t, secret), secret)
	visible(t, ctx, "#retry")
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 || restores(t, ctx) != 1 {
		t.Errorf("%d cases", n)
	}
	var before string
	kept := `new Promise((ok, no) => { const r = indexedDB.open("sealpost-restore", 1); r.onerror = no; r.onsuccess = () => {
		const all = r.result.transaction("restores").objectStore("restores").getAll();
		all.onsuccess = () => { r.result.close(); ok(Array.from(all.result[0].%s, x => x.toString(16).padStart(2, "0")).join("")); }; }; })`
	must(t, chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(kept, "cases[0].signed"), &before, awaitPromise), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`{ const now = Date.now; Date.now = () => now() + 270_000; }`).Do(ctx) // more than four minutes later
		return err
	}), chromedp.Reload()))
	again(t, ctx, `[data-view="waiting"]`)
	k := s.asked(t, "alice")
	var recipient string
	must(t, chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(kept, "recipient"), &recipient, awaitPromise)))
	if first, err := record.ParseCase(unhex(t, before)); err != nil || first.ID == k.ID || !first.Deliveries[0].Recipient.Equal(k.Deliveries[0].Recipient) || recipient != fmt.Sprintf("%x", k.Deliveries[0].Recipient.Raw) {
		t.Errorf("the request was not signed anew for the same key: %v", err)
	}
	s.officerAgrees(t, "olivia", k.ID, false)
	s.officerAgrees(t, "otto", k.ID, false)
	choose(t, ctx)
	again(t, ctx, "#download")
	file := download(t, ctx, "alice@example.test-older.p12")
	if entries, _, err := pkcs12.Decode(file, passphrase); err != nil || len(entries) != 1 || !entries[0].Certificate.Equal(pair.encryption) {
		t.Errorf("the file has %d keys: %v", len(entries), err)
	}
	must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	visible(t, ctx, "#retry")
	if restores(t, ctx) != 1 {
		t.Error("the browser forgot before the server said that it knows")
	}
	must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	if visible(t, ctx, `[data-view="finished"]`, "#retry") == "#retry" { // the answer was lost, and Chromium did not ask again by itself
		must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	}
	visible(t, ctx, `[data-view="finished"]`)
	if k := s.asked(t, "alice"); k.State != archive.CaseClosed || asked("/close") < 2 || asked("/api/v1/cases") < 3 {
		t.Errorf("the case is %s after %d closings, %d openings", k.State, asked("/close"), asked("/api/v1/cases"))
	}
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 1 || restores(t, ctx) != 0 {
		t.Errorf("%d cases", n)
	}
}
