package portal_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/ocsp"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/portal"
)

// published has an installation make revocation lists, and name a point where nobody has seen them.
func published(t *testing.T) func(*site, *web.Config) {
	return func(s *site, c *web.Config) {
		lists, err := crl.New(crl.Config{DB: s.DB, Authority: s.PKI.Authority, Jobs: s.PKI.Jobs, Schedule: crl.Schedule{Period: time.Hour, Lifetime: 24 * time.Hour}, Now: s.Clock.Now,
			Open: func(context.Context, string) (io.ReadCloser, error) { return nil, fmt.Errorf("nobody answers") },
			Points: []crl.Point{{Name: "http", Address: func(_ *ca.Issuer, file string) string { return "http://pki.example.test/" + file }},
				{Name: "mirror", Address: func(_ *ca.Issuer, file string) string { return "http://mirror.example.test/" + file }}}})
		must(t, err)
		_, err = lists.Build(t.Context(), pkitest.IssuerID, 0)
		must(t, err)
		s.Database.Exec(t, `insert into crl.point (issuer, point, file, number, next_update, seen_at, looked_at, shown)
			select issuer, 'http', 'issuing.crl', number, next_update, now(), now(), true from crl.list where not delta`)
		c.CRL = lists
		c.Parts = []web.Part{{Name: "database", Check: s.DB.Ping}, {Name: "directory", Check: s.Directory.Ping}}
		c.Standing = portal.Standing{Made: lists.Made, OCSP: func() ocsp.Stats { return ocsp.Stats{Seen: map[string]time.Time{pkitest.IssuerID: s.Clock.Now()}} },
			Queues: func(ctx context.Context) ([]jobs.Backlog, error) { return s.PKI.Jobs.Backlogs(ctx, s.Clock.Now()) },
			Backup: func(context.Context) (portal.Backup, error) {
				return portal.Backup{Failed: s.Clock.Now().Add(-time.Hour)}, nil
			}}
	}
}

func TestOperatorsAlone(t *testing.T) {
	s := setup(t)
	for _, login := range []string{"bob", "auditor", "rita"} {
		b := s.browser(t)
		b.signIn(login)
		for _, page := range []string{"/operator", "/operator/profiles", "/operator/profiles/smime-signing"} {
			b.get(page).is(t, login, 403, page, "This page is not for you")
		}
	}
}

// One page has everything, the worst first; what nobody knows is said.
func TestOperatorSeesHowItStands(t *testing.T) {
	s := setup(t, published(t))
	s.withPair(t, "alice")
	s.Clock.Advance(3 * 24 * time.Hour) // the list runs out, and nobody looks
	b := s.browser(t)
	b.signIn("operator")
	page := b.get("/operator")
	page.is(t, "the page", 200, "/operator", "What needs you", "has run out", "docs/runbooks/crl-stale.md", "http://pki.example.test/issuing.crl", "never", "<meter",
		"Checkpoints are kept nowhere outside", "Bringing the database’s log away fails.", "The officers never showed", "is not kept here", "The server’s parts",
		"Certificates that end, by week", "<svg", "<rect", "Entries of the revocation list", "These answer: database, directory.")
	bad, warn := strings.Index(page.body, `class="notice bad"`), strings.Index(page.body, `class="notice warn"`)
	if bad < 0 || warn < 0 || bad > warn || strings.LastIndex(page.body, `class="notice bad"`) > warn {
		t.Errorf("the worst is not first: bad at %d, warn at %d", bad, warn)
	}
	german := s.browser(t)
	german.header.Set("Accept-Language", "de")
	german.signIn("operator")
	german.get("/operator").is(t, "in German", 200, "/operator", "Was zu tun ist", "ist abgelaufen", "Zertifikate, die enden, nach Wochen")
}

// What cannot be asked is said, and keeps nothing else from being told.
func TestOperatorWithoutTheRest(t *testing.T) {
	evil := `"><script>alert(1)</script>`
	s := setup(t, func(_ *site, c *web.Config) {
		c.Standing.Queues = func(context.Context) ([]jobs.Backlog, error) { return nil, fmt.Errorf("secret: %s", evil) }
		c.Standing.Backup = func(context.Context) (portal.Backup, error) { return portal.Backup{}, nil }
		c.Parts = []web.Part{{Name: evil, Check: func(context.Context) error { return fmt.Errorf("no") }}}
	})
	b := s.browser(t)
	b.signIn("operator")
	page := b.get("/operator")
	page.is(t, "the page", 200, "/operator", "It cannot be read how this stands.", "makes no revocation lists", "When the database was last backed up is not known", "docs/runbooks/backup-and-restore.md", "No directory shows certificates here")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "secret:") {
		t.Error("something is shown that must not be")
	}
}

func TestOperatorSeesProfiles(t *testing.T) {
	s := setup(t)
	before := s.Database.Count(t, `select count(*) from ca.prepared`)
	b := s.browser(t)
	b.signIn("operator")
	list := b.get("/operator/profiles")
	for _, name := range s.PKI.Authority.Profiles() {
		if !strings.Contains(list.body, `href="/operator/profiles/`+name+`"`) {
			t.Errorf("%s is not there", name)
		}
		if page := b.get("/operator/profiles/" + name); page.status != 200 || !strings.Contains(page.body, `class="explained"`) {
			t.Errorf("%s: status %d", name, page.status)
		}
	}
	b.get("/operator/profiles/smime-encryption").is(t, "one", 200, "/operator/profiles/smime-encryption", "Alex Example", "No issuer has signed it", "RSA-3072")
	for _, name := range []string{"none", "%3Cscript%3E", ".."} {
		if got := b.get("/operator/profiles/" + name); got.status != 404 {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	if n := s.Database.Count(t, `select count(*) from ca.prepared`); n != before {
		t.Errorf("%d certificates were prepared", n-before)
	}
	if found, err := s.Audit.Events(t.Context(), audit.Query{Kind: "certificate.prepared"}); err != nil || len(found) != int(before) {
		t.Errorf("%d events, %v", len(found), err)
	}
}
