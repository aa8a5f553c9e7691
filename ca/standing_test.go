package ca_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// Good tells valid certificates from revoked ones and held ones, and from numbers that nobody has.
func TestGood(t *testing.T) {
	t.Parallel()
	p := pkitest.NewAuthority(t, pgtest.Open(t, pgtest.NewDatabase(t)))
	pair, other := p.IssuePair(t, pkitest.NewPerson("alice")), p.IssuePair(t, pkitest.NewPerson("bob"))
	numbers := []int64{pair.Signing.Number, pair.Encryption.Number, other.Signing.Number, other.Encryption.Number, 4711}
	holds := func(want map[int64]bool) {
		t.Helper()
		got, err := p.Good(t.Context(), numbers)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	revoke := func(c ca.Certificate, r ca.Reason) {
		t.Helper()
		if err := p.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: r}); err != nil {
			t.Fatal(err)
		}
	}
	holds(map[int64]bool{numbers[0]: true, numbers[1]: true, numbers[2]: true, numbers[3]: true})
	revoke(pair.Signing, ca.KeyCompromise)
	revoke(other.Signing, ca.CertificateHold)
	holds(map[int64]bool{numbers[1]: true, numbers[3]: true})
	if err := p.Release(t.Context(), pkitest.Actor(), other.Signing.Issuer, other.Signing.Serial); err != nil {
		t.Fatal(err)
	}
	holds(map[int64]bool{numbers[1]: true, numbers[2]: true, numbers[3]: true})
	if got, err := p.Good(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
}
