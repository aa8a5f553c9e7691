package ca_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// room is an Authority on a database of the test's own, with a clock that the test moves.
type room struct {
	*pkitest.PKI
	d   pgtest.Database
	now time.Time
}

func setup(t *testing.T) *room {
	t.Helper()
	t.Parallel()
	r := &room{d: pgtest.NewDatabase(t), now: time.Now().UTC().Truncate(time.Second)}
	r.PKI = pkitest.NewAuthorityAt(t, pgtest.Open(t, r.d), func() time.Time { return r.now })
	return r
}

var by = audit.Actor{Name: "registrar", Method: audit.MethodPassword, Strength: audit.StrengthPassword}

func TestPairIsIssued(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	p := r.IssuePair(t, alice)
	for _, c := range []ca.Certificate{p.Signing, p.Encryption} {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignatureFrom(r.Issuing); err != nil {
			t.Error(err)
		}
		if c.Person != alice.ID || cert.SerialNumber.Cmp(c.Serial.Big()) != 0 || c.Status.State != ca.Good {
			t.Errorf("%+v", c)
		}
		again, err := r.Certificate(t.Context(), c.Issuer, c.Serial)
		if err != nil || !bytes.Equal(again.DER, c.DER) {
			t.Errorf("stored certificate: %v", err)
		}
	}
	if n := r.d.Count(t, `select count(*) from audit.event where kind in ('certificate.prepared', 'certificate.issued')`); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

func TestPrepareIsIdempotent(t *testing.T) {
	r := setup(t)
	req := pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())
	first, err := r.Prepare(t.Context(), by, req)
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	second, err := r.Prepare(t.Context(), by, req)
	if err != nil || second[0].Serial != first[0].Serial || !second[0].At.Equal(first[0].At) {
		t.Fatalf("second: %+v, %v; want %+v", second, err, first)
	}
	certs, err := r.Sign(t.Context(), by, first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Sign(t.Context(), by, second)
	if err != nil || !bytes.Equal(again[0].DER, certs[0].DER) {
		t.Errorf("signed twice: %v", err)
	}
	req.Mailboxes = []string{"other@example.test"}
	if _, err := r.Prepare(t.Context(), by, req); !errors.Is(err, ca.ErrRequestChanged) {
		t.Errorf("changed request: %v", err)
	}
}

func TestAbandonedSerialsAreRevoked(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	s, e := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()), alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
	e.ID = s.ID
	prepared, err := r.Prepare(t.Context(), by, s, e)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := r.Status(t.Context(), pkitest.IssuerID, prepared[0].Serial); err != nil || st.State != ca.Unknown {
		t.Errorf("prepared: %v, %v", st, err)
	}
	r.now = r.now.Add(11 * time.Minute)
	if _, err := r.Sign(t.Context(), by, prepared); !errors.Is(err, ca.ErrStale) {
		t.Errorf("stale: %v", err)
	}
	if n, err := r.AbandonStale(t.Context()); n != 2 || err != nil {
		t.Fatalf("abandoned %d, %v", n, err)
	}
	if _, err := r.Sign(t.Context(), by, prepared); !errors.Is(err, ca.ErrAbandoned) {
		t.Errorf("abandoned: %v", err)
	}
	seen := map[ca.Serial]bool{}
	for c, err := range r.Revoked(t.Context(), pkitest.IssuerID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		seen[c.Serial] = true
	}
	for _, p := range prepared {
		if !seen[p.Serial] {
			t.Errorf("serial %s is not on the list", p.Serial)
		}
		if st, err := r.Status(t.Context(), p.Issuer, p.Serial); err != nil || st.State != ca.Revoked {
			t.Errorf("status: %v, %v", st, err)
		}
	}
	if again, err := r.Prepare(t.Context(), by, s, e); err != nil || again[0].Serial == prepared[0].Serial {
		t.Errorf("prepared anew: %v, %v", again, err)
	}
}

func TestRevokeHoldRelease(t *testing.T) {
	r := setup(t)
	p := r.IssuePair(t, pkitest.NewPerson("alice"))
	serial := p.Signing.Serial
	do := func(want error, f func() error) {
		t.Helper()
		r.now = r.now.Add(time.Second)
		if err := f(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	revoke := func(reason ca.Reason) func() error {
		return func() error {
			return r.Revoke(t.Context(), by, ca.Revocation{Issuer: pkitest.IssuerID, Serial: serial, Reason: reason})
		}
	}
	release := func() error { return r.Release(t.Context(), by, pkitest.IssuerID, serial) }
	do(ca.ErrNotHeld, release)
	do(nil, revoke(ca.CertificateHold))
	do(ca.ErrRevoked, revoke(ca.CertificateHold))
	do(nil, release)
	do(nil, revoke(ca.CertificateHold))
	heldAt := r.now
	do(nil, revoke(ca.AffiliationChanged))
	do(ca.ErrRevoked, revoke(ca.Superseded))
	do(ca.ErrNotHeld, release)
	do(nil, revoke(ca.KeyCompromise))
	do(ca.ErrRevoked, revoke(ca.KeyCompromise))
	do(ca.ErrReason, revoke(2))
	st, err := r.Status(t.Context(), pkitest.IssuerID, serial)
	if err != nil || st.State != ca.Revoked || st.Reason != ca.KeyCompromise || !st.At.Equal(heldAt) {
		t.Errorf("status %+v, %v; held at %v", st, err, heldAt)
	}
	var counts []int64
	for c, err := range r.Revoked(t.Context(), pkitest.IssuerID, 2) {
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, c.Count)
	}
	if len(counts) != 3 || counts[0] != 3 || counts[2] != 5 {
		t.Errorf("counts %v, want 3 4 5", counts)
	}
	if n := r.d.Count(t, `select count(*) from river.river_job where kind = 'crl.build'`); n != 5 {
		t.Errorf("%d jobs, want 5", n)
	}
	if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: pkitest.IssuerID, Serial: "\x01"}); !errors.Is(err, ca.ErrNotFound) {
		t.Errorf("unknown serial: %v", err)
	}
}

func TestPrepareBeginsAnewWhenTooLateToSign(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	s, e := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()), alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
	e.ID = s.ID
	first, err := r.Prepare(t.Context(), by, s, e)
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(11 * time.Minute)
	second, err := r.Prepare(t.Context(), by, s, e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sign(t.Context(), by, second); err != nil {
		t.Fatal(err)
	}
	for i, p := range first {
		if st, err := r.Status(t.Context(), p.Issuer, p.Serial); err != nil || st.State != ca.Revoked || p.Serial == second[i].Serial {
			t.Errorf("the first serial: %v, %v", st, err)
		}
	}
}
