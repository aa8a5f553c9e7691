package crl_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/migrations"
)

// A database from before lists were kept in pieces: its list is served as it was, and the next one is complete, follows it
// and is made without waiting until the old one is due.
func TestListsFromBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "folder")
	alice, bob := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	r.revoke(bob.Signing, ca.Superseded)
	// As the former code left it: 41 lists were made, of which the last two are kept.
	up := func(name string) string {
		t.Helper()
		b, err := migrations.FS.ReadFile(name)
		must(t, err)
		return string(b)
	}
	r.database.Exec(t, `drop schema crl cascade; `+up("00008_crl.sql"))
	now := r.clock.Now().UTC().Truncate(time.Second)
	revoked := []x509.RevocationListEntry{{SerialNumber: alice.Signing.Serial.Big(), RevocationTime: now, ReasonCode: 1}, {SerialNumber: bob.Signing.Serial.Big(), RevocationTime: now, ReasonCode: 4}}
	old := r.pki.CRL(t, 41, now, revoked...)
	r.database.Exec(t, `insert into crl.issuer (id, number, changes, this_update, next_update) values ($1, 41, 2, $2, $3)`, pkitest.IssuerID, now, now.Add(24*time.Hour))
	for number, der := range map[int64][]byte{40: r.pki.CRL(t, 40, now.Add(-time.Hour), revoked[:1]...), 41: old} {
		r.database.Exec(t, `insert into crl.list (issuer, number, this_update, next_update, der) values ($1, $2, $3, $4, $5)`, pkitest.IssuerID, number, now, now.Add(24*time.Hour), der)
	}
	r.database.Exec(t, `insert into crl.point (issuer, point, number, seen_at) values ($1, 'ldap', 41, $2)`, pkitest.IssuerID, now)
	r.database.Exec(t, up("00019_crl_lists.sql"))

	r.schedule = crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
	s := r.site(func(c *crl.Config) { c.Deltas = deltaAddress })
	l, err := s.Newest(t.Context(), pkitest.IssuerID)
	if err != nil || !bytes.Equal(l.Bytes(), old) || l.Number != 41 || l.SHA256 != sha256.Sum256(old) || !l.NextUpdate.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("the old list is served as %+v, %v", l, err)
	}
	s.run()
	s.arrive("the next list", 20*time.Second, []string{"folder"}, alice.Signing, bob.Signing)
	if l, err = s.Newest(t.Context(), pkitest.IssuerID); err != nil || l.Number < 42 || l.Entries != 2 {
		t.Errorf("the next list: %+v, %v", l, err)
	}
	if d, err := s.Find(t.Context(), pkitest.IssuerID, crl.Kind{Delta: true}); err == nil && d.Base != 42 {
		t.Errorf("there is a delta of %d", d.Base)
	}
	r.clock.Advance(time.Minute)
	r.revoke(alice.Encryption, ca.Superseded)
	if l, err = s.Build(t.Context(), pkitest.IssuerID, 3); err != nil || l.Number < 43 || l.Entries != 3 { // a delta may have taken a number
		t.Errorf("the one after that: %+v, %v", l, err)
	}
	d, err := s.Find(t.Context(), pkitest.IssuerID, crl.Kind{Delta: true})
	if err != nil || d.Base != 42 || d.Entries != 1 {
		t.Errorf("its delta: %+v, %v", d, err)
	}
	must(t, s.Tidy(t.Context(), pkitest.IssuerID))
	if out := opensslCRL(t, l, "-crlnumber"); out != fmt.Sprintf("crlNumber=0x%X", l.Number) {
		t.Errorf("openssl reads: %s", out)
	}
	if _, err := list.Read(l.Open(), nil); err != nil {
		t.Error(err)
	}
}
