package web_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/web"
)

// withPoint gives a server deltas and a distribution point.
func withPoint(t *testing.T, lists **crl.Publisher) func(*web.Config) {
	return func(c *web.Config) {
		place, err := point.NewFolder(point.FolderConfig{Path: t.TempDir()})
		must(t, err)
		old := c.CRL.(*crl.Publisher).Config
		old.Points = []crl.Point{{Name: "share", Place: place}}
		old.Schedule = crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
		old.Deltas = func(issuer string, n int) []string {
			return []string{pkitest.Base + "/crl/" + crl.Kind{Partition: n, Delta: true}.FileName(issuer)}
		}
		*lists, err = crl.New(old)
		must(t, err)
		c.CRL = *lists
	}
}

// Operators and auditors see how lists and points stand, others do not.
func TestCRLStatus(t *testing.T) {
	var lists *crl.Publisher
	r := setup(t, withPoint(t, &lists))
	_, err := lists.Build(t.Context(), pkitest.IssuerID, 0)
	must(t, err)
	r.Clock.Advance(time.Hour)
	for _, login := range []string{"operator", "auditor"} {
		got := read[api.CRLStatus](t, r.ask(t, person(login), http.MethodGet, "/crl/status", nil))
		if len(got.Lists) != 1 || len(got.Points) != 3 || !got.Urgent {
			t.Fatalf("%s: %+v", login, got)
		}
		l, p := got.Lists[0], got.Points[0]
		if l.File != "issuing.crl" || l.Number != 1 || l.State != api.CRLOK || l.Urgent || *l.MinutesLeft > 71*60 || *l.MinutesLeft < 71*60-2 || l.Size == 0 {
			t.Errorf("%+v", l)
		}
		if p.Point != "share" || p.File != "issuing.crl" || p.Newest != 1 || p.Number != 0 || p.State != api.CRLUnknown || !p.Urgent || p.SeenAt != nil || !strings.Contains(p.Failure, "Nobody has looked") {
			t.Errorf("%+v", p)
		}
	}
	for who, c := range map[string]struct {
		as     as
		status int
		code   string
	}{"nobody": {as{}, 401, "credentials-missing"}, "a subscriber": {person("alice"), 403, "crl-not-allowed"}, "a registrar": {person("rita"), 403, "crl-not-allowed"}} {
		if got := r.ask(t, c.as, http.MethodGet, "/crl/status", nil); got.status != c.status || got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", who, got.status, got.body)
		}
	}
	r.Clock.Advance(80 * time.Hour)
	got := read[api.CRLStatus](t, r.ask(t, person("operator"), http.MethodGet, "/crl/status", nil))
	if l := got.Lists[0]; l.State != api.CRLRunOut || !l.Urgent || *l.MinutesLeft > -9*60 || *l.MinutesLeft < -9*60-2 {
		t.Errorf("after its end: %+v", l)
	}
	none := setupIn(t, r, func(c *web.Config) { c.CRL = nil })
	if got := none.ask(t, person("operator"), http.MethodGet, "/crl/status", nil); got.status != 404 || got.code(t) != "no-revocation-list" {
		t.Errorf("without lists: status %d, %s", got.status, got.body)
	}
}

// The interface gives out every kind of list.
func TestListsOfEveryKind(t *testing.T) {
	var lists *crl.Publisher
	r := setup(t, withPoint(t, &lists))
	for range 2 {
		r.Clock.Advance(time.Second)
		_, err := lists.Renew(t.Context(), pkitest.IssuerID)
		must(t, err)
	}
	r.Clock.Advance(2 * time.Second)
	for query, delta := range map[string]bool{"": false, "?delta=false&partition=0": false, "?delta=true": true} {
		got := r.ask(t, as{}, http.MethodGet, "/issuers/issuing/crl"+query, nil)
		h, err := list.Read(strings.NewReader(string(got.body)), nil)
		if err != nil || h.Delta() != delta || h.Number.Int64() != 2 || got.header.Get("Content-Type") != "application/pkix-crl" {
			t.Errorf("%q: status %d, %+v, %v", query, got.status, h, err)
		}
		file := filepath.Join(t.TempDir(), "list")
		must(t, os.WriteFile(file, got.body, 0o600))
		if out, err := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-noout", "-text", "-in", file).CombinedOutput(); err != nil || strings.Contains(string(out), "Delta CRL Indicator") != delta {
			t.Errorf("%q: openssl: %v, %s", query, err, out)
		}
	}
	for query, code := range map[string]string{"?partition=1": "no-crl", "?partition=1&delta=true": "no-crl", "?partition=-1": "request-invalid", "?partition=1025": "request-invalid",
		"?delta=maybe": "request-invalid", "?base=1": "request-invalid"} {
		if got := r.ask(t, as{}, http.MethodGet, "/issuers/issuing/crl"+query, nil); got.status/100 != 4 || got.code(t) != code {
			t.Errorf("%s: status %d, %s", query, got.status, got.body)
		}
	}
}
