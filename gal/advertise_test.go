package gal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// pair issues somebody of the sample company a pair of certificates.
func (b *bundle) pair(t *testing.T, login string) (audit.Actor, pkitest.Pair) {
	t.Helper()
	p, err := b.Directory.ByLogin(t.Context(), login)
	must(t, err)
	return p.Actor(audit.MethodCertificate, audit.StrengthCertificate), b.PKI.IssuePair(t, pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]})
}

// replace writes the values of an attribute anew, as the entry's administrator.
func (b *bundle) replace(t *testing.T, dn, attribute string, values ...[]byte) {
	t.Helper()
	b.Slapd.Modify(t, strings.Replace(add(dn, attribute, values...), "\nadd: ", "\nreplace: ", 1))
}

func parsed(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

// advertise is what the agent does with a pair.
func (b *bundle) advertise(t *testing.T, key crypto.Signer, signing, encryption ca.Certificate, chain ...*x509.Certificate) []byte {
	t.Helper()
	value, err := cms.Advertise(key, parsed(t, signing.DER), cms.AdvertiseOptions{Encryption: parsed(t, encryption.DER), Chain: chain, SigningTime: b.Clock.Now()})
	must(t, err)
	return value
}

func (b *bundle) ofPair(t *testing.T, p pkitest.Pair) []byte {
	t.Helper()
	return b.advertise(t, p.SigningKey, p.Signing, p.Encryption, b.PKI.Chain()...)
}

// unadvertised demands for which certificates the server wants a value.
func (b *bundle) unadvertised(t *testing.T, what string, person uuid.UUID, want ...ca.Certificate) {
	t.Helper()
	got, err := b.Unadvertised(t.Context(), person)
	must(t, err)
	if !slices.EqualFunc(got, want, func(a, b ca.Certificate) bool { return a.Number == b.Number }) {
		t.Errorf("%s: %d certificates wait for a value, want %d", what, len(got), len(want))
	}
}

// What a person's program signed is shown as long as it is right: from the first publication, over renewal and revocation.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	b := with(t, housetest.New(t), gal.Policy{SMIME: gal.Equal})
	dn := slapdtest.PersonDN("alice")
	by, first := b.pair(t, "alice")
	foreign, junk := pack(t, b.twin(t).Raw), []byte("\x30\x03\x02\x01\x01")
	b.put(t, dn, smime, foreign, junk)
	shows := func(what string, want ...[]byte) {
		t.Helper()
		_, err := b.Publish(t.Context(), by.Person)
		must(t, err)
		b.holds(t, what, dn, smime, append([][]byte{foreign, junk}, want...)...)
		if d, err := b.Compare(t.Context(), by.Person); err != nil || !d.Empty() {
			t.Errorf("%s: then %+v, %v", what, d, err)
		}
	}
	unsigned := func(p pkitest.Pair) []byte { return pack(t, p.Encryption.DER, b.PKI.Issuing.Raw) }
	shows("before", unsigned(first))
	b.unadvertised(t, "before", by.Person, first.Encryption)

	value := b.ofPair(t, first)
	waiting := b.Database.Count(t, `select count(*) from publication.due`)
	for range 2 { // the second changes nothing
		a, err := b.Advertise(t.Context(), by, value)
		must(t, err)
		if a.Signer.Number != first.Signing.Number || a.Encryption.Number != first.Encryption.Number {
			t.Errorf("handed in: %+v", a)
		}
	}
	if n := b.Database.Count(t, `select count(*) from publication.due`) - waiting; n != 1 {
		t.Errorf("%d publications wait", n)
	}
	if n := b.Database.Count(t, `select count(*) from audit.event where kind = 'gal.advertised'`); n != 1 {
		t.Errorf("%d events", n)
	}
	shows("handed in", value)
	b.unadvertised(t, "handed in", by.Person)

	// Signed once more, a moment later: the older one goes by its exact bytes, wherever it comes from.
	b.Clock.Advance(time.Hour)
	again := b.ofPair(t, first)
	_, err := b.Advertise(t.Context(), by, again)
	must(t, err)
	shows("again", again)
	b.replace(t, dn, smime, foreign, junk, again, value, b.signed(t, first))
	b.sweep(t, gal.Sweeping{Now: true, Repair: true})
	b.holds(t, "swept", dn, smime, foreign, junk, again)
	if d, err := b.Compare(t.Context(), by.Person); err != nil || !d.Empty() || d.Foreign != 1 || d.Undecodable != 1 {
		t.Errorf("swept: %+v, %v", d, err)
	}
	b.replace(t, dn, smime, foreign, junk)
	b.sweep(t, gal.Sweeping{Now: true, Repair: true})
	b.holds(t, "lost", dn, smime, foreign, junk, again)

	// Renewal.
	_, second := b.pair(t, "alice")
	shows("renewed", unsigned(second))
	b.unadvertised(t, "renewed", by.Person, second.Encryption)
	if _, err := b.Advertise(t.Context(), by, again); !errors.Is(err, gal.ErrAdvertisement) {
		t.Errorf("the old one: %v", err)
	}
	newest := b.ofPair(t, second)
	_, err = b.Advertise(t.Context(), by, newest)
	must(t, err)
	shows("renewed and handed in", newest)
	if n := b.Database.Count(t, `select count(*) from gal.advertisement`); n != 1 {
		t.Errorf("%d values are kept", n)
	}

	// Revocation of the one that signed, and of the one to encrypt to.
	b.revoke(t, second.Signing)
	shows("signer revoked", unsigned(second))
	b.unadvertised(t, "signer revoked", by.Person, second.Encryption)
	if _, err := b.Advertise(t.Context(), by, newest); !errors.Is(err, gal.ErrAdvertisement) {
		t.Errorf("signer revoked: %v", err)
	}
	mixed := b.advertise(t, first.SigningKey, first.Signing, second.Encryption, b.PKI.Chain()...)
	_, err = b.Advertise(t.Context(), by, mixed)
	must(t, err)
	shows("signed by another of theirs", mixed)
	b.revoke(t, second.Encryption)
	shows("encryption revoked", unsigned(first))
	b.revoke(t, first.Encryption)
	shows("all revoked")

	// Under the other policies nothing is wanted, and nothing shown.
	other := with(t, b.House, gal.Policy{})
	_, third := b.pair(t, "alice")
	if _, err := other.Advertise(t.Context(), by, b.ofPair(t, third)); !errors.Is(err, gal.ErrNotWanted) {
		t.Errorf("absent: %v", err)
	}
	other.unadvertised(t, "absent", by.Person)
	_, err = b.Advertise(t.Context(), by, b.ofPair(t, third))
	must(t, err)
	_, err = other.Publish(t.Context(), by.Person)
	must(t, err)
	b.holds(t, "absent", dn, smime, foreign, junk)
}

// With an overlap both are shown, each as its owner signed it.
func TestAdvertisedOverlap(t *testing.T) {
	t.Parallel()
	b := with(t, housetest.New(t), gal.Policy{SMIME: gal.Equal, Overlap: time.Hour})
	by, first := b.pair(t, "alice")
	_, second := b.pair(t, "alice")
	one, two := b.ofPair(t, first), b.ofPair(t, second)
	for _, v := range [][]byte{two, one} {
		_, err := b.Advertise(t.Context(), by, v)
		must(t, err)
	}
	_, err := b.Publish(t.Context(), by.Person)
	must(t, err)
	b.holds(t, "overlap", slapdtest.PersonDN("alice"), smime, one, two)
}

// A certificate for both signs and is encrypted to.
func TestAdvertisedSingle(t *testing.T) {
	t.Parallel()
	b := with(t, housetest.New(t), gal.Policy{SMIME: gal.Equal})
	by := b.Actor(t, "alice")
	s, keys := b.Submission(t, by, housetest.Single)
	r, err := b.Enroll.Submit(t.Context(), by, s)
	must(t, err)
	value := b.advertise(t, keys.Signing, r.Certificates[0], r.Certificates[0], b.PKI.Chain()...)
	_, err = b.Advertise(t.Context(), by, value)
	must(t, err)
	_, err = b.Publish(t.Context(), by.Person)
	must(t, err)
	b.holds(t, "single", slapdtest.PersonDN("alice"), smime, value)
}

// forged is signed with her key, whose certificate is by another authority with our name.
func (b *bundle) forged(t *testing.T, p pkitest.Pair) []byte {
	t.Helper()
	key := pkitest.NewKey(t, ca.P256)
	parent := *b.PKI.Issuing
	parent.PublicKey = key.Public()
	template := parsed(t, p.Signing.DER)
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, p.SigningKey.Public(), key)
	must(t, err)
	return b.advertise(t, p.SigningKey, ca.Certificate{DER: der}, p.Encryption, b.PKI.Chain()...)
}

// Nobody gets anything into an entry but what its person signed about themselves.
func TestAdvertiseRefuses(t *testing.T) {
	t.Parallel()
	b := with(t, housetest.New(t), gal.Policy{SMIME: gal.Equal})
	alice, hers := b.pair(t, "alice")
	bob, his := b.pair(t, "bob")
	_, old := b.pair(t, "carol")
	carol, _ := b.pair(t, "carol")
	good, chain := b.ofPair(t, hers), b.PKI.Chain()
	tampered := bytes.Clone(good)
	tampered[len(tampered)-1] ^= 1
	late, err := cms.Advertise(hers.SigningKey, parsed(t, hers.Signing.DER), cms.AdvertiseOptions{Encryption: parsed(t, hers.Encryption.DER), Chain: chain,
		SigningTime: b.Clock.Now().Add(48 * time.Hour)})
	must(t, err)
	twin := b.twin(t)
	for name, c := range map[string]struct {
		by    audit.Actor
		value []byte
		want  error
	}{
		"handed in by another":             {bob, good, gal.ErrAdvertisement},
		"signed by another":                {alice, b.advertise(t, his.SigningKey, his.Signing, hers.Encryption, chain...), gal.ErrAdvertisement},
		"another's encryption":             {alice, b.advertise(t, hers.SigningKey, hers.Signing, his.Encryption, chain...), gal.ErrAdvertisement},
		"superseded encryption":            {carol, b.ofPair(t, old), gal.ErrAdvertisement},
		"without the chain":                {alice, b.advertise(t, hers.SigningKey, hers.Signing, hers.Encryption), gal.ErrAdvertisement},
		"with another of ours":             {alice, b.advertise(t, hers.SigningKey, hers.Signing, hers.Encryption, append(chain, parsed(t, his.Encryption.DER))...), gal.ErrAdvertisement},
		"with another authority's":         {alice, b.advertise(t, hers.SigningKey, hers.Signing, hers.Encryption, append(chain, twin)...), gal.ErrAdvertisement},
		"signed the day after tomorrow":    {alice, late, gal.ErrAdvertisement},
		"a certificate of somebody else":   {alice, b.forged(t, hers), gal.ErrAdvertisement},
		"tampered with":                    {alice, tampered, cms.ErrVerify},
		"nothing":                          {alice, nil, cms.ErrMalformed},
		"huge":                             {alice, make([]byte, cms.MaxAdvertisement+1), cms.ErrTooLarge},
		"a bundle":                         {alice, pack(t, hers.Encryption.DER), fault.Malformed},
		"as other programs sign a message": {alice, b.signed(t, hers), fault.Malformed},
	} {
		if _, err := b.Advertise(t.Context(), c.by, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := b.Database.Count(t, `select count(*) from gal.advertisement`); n != 0 {
		t.Errorf("%d values were kept", n)
	}
	if n := b.Database.Count(t, `select count(*) from audit.event where kind = 'gal.advertisement-refused'`); n != 14 {
		t.Errorf("%d refusals are in the log", n)
	}
	// Expired: two years on, the encryption certificate is a new one and the signer's is not.
	b.Clock.Advance(731 * 24 * time.Hour)
	_, fresh := b.pair(t, "alice")
	if _, err := b.Advertise(t.Context(), alice, b.advertise(t, hers.SigningKey, hers.Signing, fresh.Encryption, chain...)); !errors.Is(err, gal.ErrAdvertisement) {
		t.Errorf("expired: %v", err)
	}
	// Left: nothing of theirs is shown.
	gone := with(t, b.House, gal.Policy{SMIME: gal.Equal}, func(c *gal.Config) {
		c.Left = func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) {
			return map[uuid.UUID]bool{alice.Person: true}, nil
		}
	})
	if _, err := gone.Advertise(t.Context(), alice, b.ofPair(t, fresh)); !errors.Is(err, gal.ErrAdvertisement) {
		t.Errorf("left: %v", err)
	}
	// The database is away: nothing is refused then.
	b.Database.Exec(t, `alter table gal.advertisement rename to elsewhere`)
	if _, err := b.Advertise(t.Context(), alice, b.ofPair(t, fresh)); err == nil || errors.Is(err, gal.ErrAdvertisement) {
		t.Errorf("no table: %v", err)
	}
}
