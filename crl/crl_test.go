package crl_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestMain(m *testing.M) {
	childMain()
	pgtest.Main(m, sambatest.Ends())
}

var schedule = crl.Schedule{Period: time.Hour, Lifetime: 12 * time.Hour}

const entry = "cn=Test Issuing," + slapdtest.PKI

type bundle struct {
	*housetest.House
	*crl.Publisher
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	h := housetest.New(t)
	place, err := point.NewLDAP(point.LDAPConfig{DN: entry, Directory: h.Directory})
	if err != nil {
		t.Fatal(err)
	}
	p, err := crl.New(crl.Config{DB: h.DB, Authority: h.PKI.Authority, Jobs: h.PKI.Jobs, Now: h.Clock.Now, Schedule: schedule,
		Points: []crl.Point{{Name: "ldap", Place: place}}})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{h, p}
}

func (b *bundle) build(t *testing.T, atLeast int64) *crl.List {
	t.Helper()
	l, err := b.Build(t.Context(), pkitest.IssuerID, atLeast)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (b *bundle) revoke(t *testing.T, c ca.Certificate, reason ca.Reason) {
	t.Helper()
	if err := b.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason}); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, l *crl.List) *x509.RevocationList {
	t.Helper()
	p, err := x509.ParseRevocationList(l.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestListHoldsWhatIsRevokedAndOpensslReadsIt(t *testing.T) {
	b := setup(t)
	alice, bob, carol := b.PKI.IssuePair(t, pkitest.NewPerson("alice")), b.PKI.IssuePair(t, pkitest.NewPerson("bob")), b.PKI.IssuePair(t, pkitest.NewPerson("carol"))
	first := b.build(t, 0)
	if first.Number != 1 || len(parse(t, first).RevokedCertificateEntries) != 0 {
		t.Fatalf("first list: number %d", first.Number)
	}
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	b.revoke(t, bob.Signing, ca.Unspecified)
	b.revoke(t, carol.Signing, ca.CertificateHold)
	if err := b.PKI.Release(t.Context(), pkitest.Actor(), carol.Signing.Issuer, carol.Signing.Serial); err != nil {
		t.Fatal(err)
	}
	l := b.build(t, 4)
	entries := parse(t, l).RevokedCertificateEntries
	if l.Number != 2 || len(entries) != 2 || entries[0].ReasonCode != int(ca.KeyCompromise) || entries[0].SerialNumber.Cmp(alice.Signing.Serial.Big()) != 0 {
		t.Fatalf("number %d, entries %v", l.Number, entries)
	}
	for name, want := range map[string]string{"alice": "certificate revoked", "carol": "OK"} {
		der := map[string][]byte{"alice": alice.Signing.DER, "carol": carol.Signing.DER}[name]
		if out := b.openssl(t, l, der); !strings.Contains(out, want) {
			t.Errorf("openssl says of %s: %s", name, out)
		}
	}
}

// openssl verifies a certificate with root, issuing certificate and list.
func (b *bundle) openssl(t *testing.T, l *crl.List, leaf []byte) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := write("list.der", l.Bytes())
	pem, err := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-in", list).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl crl: %v: %s", err, pem)
	}
	args := []string{"verify", "-purpose", "smimesign", "-crl_check", "-CAfile", write("root.pem", pkitest.PEM(b.PKI.Root.Raw)),
		"-untrusted", write("issuing.pem", pkitest.PEM(b.PKI.Issuing.Raw)), "-CRLfile", write("list.pem", pem), write("leaf.pem", pkitest.PEM(leaf))}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func TestNothingNewAndNotDueMakesNoList(t *testing.T) {
	b := setup(t)
	first := b.build(t, 0)
	if again := b.build(t, 0); again.Number != first.Number {
		t.Errorf("a list was made for nothing: %d", again.Number)
	}
	b.Clock.Advance(61 * time.Minute)
	due := b.build(t, 0)
	if due.Number != 2 || !due.ThisUpdate.After(first.ThisUpdate) {
		t.Errorf("the list that was due: %+v", due)
	}
	b.Clock.Advance(-50 * time.Minute) // this server's clock was wrong, or is now
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.Superseded)
	back := b.build(t, 1)
	if back.Number != 3 || back.ThisUpdate.Before(due.ThisUpdate) {
		t.Errorf("after the clock went back: %v, was %v", back.ThisUpdate, due.ThisUpdate)
	}
}

func TestSerialWhoseSigningWasGivenUpIsListed(t *testing.T) {
	b := setup(t)
	alice := pkitest.NewPerson("alice")
	prepared, err := b.PKI.Prepare(t.Context(), pkitest.Actor(), alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
	if err != nil {
		t.Fatal(err)
	}
	b.Clock.Advance(11 * time.Minute)
	if n, err := b.PKI.AbandonStale(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d abandoned, %v", n, err)
	}
	entries := parse(t, b.build(t, 1)).RevokedCertificateEntries
	if len(entries) != 1 || entries[0].SerialNumber.Cmp(prepared[0].Serial.Big()) != 0 {
		t.Errorf("entries %v", entries)
	}
}

func TestNumbersRiseWithSeveralServers(t *testing.T) {
	b := setup(t)
	var mu sync.Mutex
	seen := map[int64]string{}
	var wg sync.WaitGroup
	for range 4 {
		db := pgtest.Open(t, b.Database)
		p, err := crl.New(crl.Config{DB: db, Authority: b.PKI.Authority, Jobs: b.PKI.Jobs, Schedule: schedule})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range 5 {
				l, err := p.Build(context.WithoutCancel(t.Context()), pkitest.IssuerID, int64(1000+i)) // more than there are: always a new list
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if have, twice := seen[l.Number]; twice && have != string(l.Bytes()) {
					t.Errorf("number %d was used twice", l.Number)
				}
				seen[l.Number] = string(l.Bytes())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 20 {
		t.Errorf("%d numbers, want 20", len(seen))
	}
}

func TestRevocationReachesTheDirectoryByItself(t *testing.T) {
	b := setup(t)
	b.Register(b.PKI.Jobs)
	if err := b.PKI.Jobs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := b.PKI.Jobs.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	deadline := time.Now().Add(30 * time.Second)
	for {
		e, err := b.Directory.Authority(t.Context(), entry)
		if err == nil && len(e.CRLs) == 1 {
			l, err := x509.ParseRevocationList(e.CRLs[0])
			if err != nil {
				t.Fatal(err)
			}
			if len(l.RevokedCertificateEntries) == 1 {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the list did not arrive: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for { // the certificate is brought by whoever looks first
		out := b.Slapd.Search(t, b.Slapd.Lookup, "-b", entry, "-s", "base", "certificateRevocationList", "cACertificate")
		if strings.Contains(out, "certificateRevocationList;binary::") && strings.Contains(out, "cACertificate;binary::") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ldapsearch shows: %s", out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for status, err := b.Status(t.Context(), pkitest.Actor()); ; status, err = b.Status(t.Context(), pkitest.Actor()) {
		if err != nil {
			t.Fatal(err)
		}
		if settled(status) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("status: %+v", status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestServe(t *testing.T) {
	b := setup(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := b.Serve(w, r, r.URL.Path[1:], crl.Kind{}); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	get := func(method, issuer, etag string) *http.Response {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, server.URL+"/"+issuer, nil)
		req.Header.Set("Accept-Encoding", "identity")
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	if r := get("GET", pkitest.IssuerID, ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("before the first list: %d", r.StatusCode)
	}
	l := b.build(t, 0)
	r := get("GET", pkitest.IssuerID, "")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/pkix-crl" || r.ContentLength != int64(len(l.Bytes())) ||
		!strings.HasPrefix(r.Header.Get("Cache-Control"), "public, max-age=3") || r.Header.Get("Last-Modified") != l.ThisUpdate.UTC().Format(http.TimeFormat) {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if again := get("GET", pkitest.IssuerID, r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", again.StatusCode)
	}
	if head := get("HEAD", pkitest.IssuerID, ""); head.StatusCode != 200 || head.ContentLength != int64(len(l.Bytes())) {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, head.ContentLength)
	}
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	b.build(t, 1)
	b.Clock.Advance(2 * time.Second)
	if newer := get("GET", pkitest.IssuerID, r.Header.Get("ETag")); newer.StatusCode != 200 || newer.Header.Get("ETag") == r.Header.Get("ETag") {
		t.Errorf("after a revocation: %d", newer.StatusCode)
	}
	if r := get("GET", "nobody", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("unknown issuer: %d", r.StatusCode)
	}
}

// settled reports whether every file is where it should be.
func settled(status *crl.Status) bool {
	for _, s := range status.Points {
		if s.State != crl.OK {
			return false
		}
	}
	return len(status.Points) > 0
}
