package portal_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/pkcs12"
)

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
