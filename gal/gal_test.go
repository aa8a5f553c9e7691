package gal_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }

type bundle struct {
	*housetest.House
	*gal.Publisher
	alice audit.Actor
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	return with(t, housetest.New(t), gal.Policy{})
}

// with is setup on a house that the test has, with a policy.
func with(t *testing.T, h *housetest.House, policy gal.Policy, change ...func(*gal.Config)) *bundle {
	t.Helper()
	c := gal.Config{DB: h.DB, Authority: h.PKI.Authority, Directory: h.Directory, Audit: h.Audit, Policy: policy, Now: h.Clock.Now}
	for _, f := range change {
		f(&c)
	}
	p, err := gal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{h, p, h.Actor(t, "alice")}
}

func (b *bundle) enrol(t *testing.T) *enroll.Request {
	t.Helper()
	s, _ := b.Submission(t, b.alice, housetest.Pair)
	r, err := b.Enroll.Submit(t.Context(), b.alice, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bundle) publish(t *testing.T) gal.Difference {
	t.Helper()
	d, err := b.Publish(t.Context(), b.alice.Person)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shown returns the certificates that ldapsearch sees.
func (b *bundle) shown(t *testing.T) [][]byte {
	t.Helper()
	var out [][]byte
	for line := range strings.Lines(b.Slapd.Search(t, b.Slapd.Lookup, "-b", slapdtest.PersonDN("alice"), "userCertificate")) {
		if text, ok := strings.CutPrefix(line, "userCertificate;binary:: "); ok {
			der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, der)
		}
	}
	return out
}

func TestTheEncryptionCertificateComesAndGoes(t *testing.T) {
	b := setup(t)
	first := b.enrol(t)
	b.publish(t)
	if shown := b.shown(t); len(shown) != 1 || !bytes.Equal(shown[0], first.Certificates[1].DER) {
		t.Fatalf("%d values after enrolment", len(shown))
	}
	if d := b.publish(t); !d.Empty() {
		t.Errorf("a second publication found something to do: %+v", d)
	}
	b.Clock.Advance(time.Hour)
	second := b.enrol(t)
	b.publish(t)
	if shown := b.shown(t); len(shown) != 1 || !bytes.Equal(shown[0], second.Certificates[1].DER) {
		t.Errorf("%d values after renewal", len(shown))
	}
	for _, r := range []*enroll.Request{second, first} {
		c := r.Certificates[1]
		if err := b.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: ca.KeyCompromise}); err != nil {
			t.Fatal(err)
		}
		b.publish(t)
		for _, der := range b.shown(t) {
			if bytes.Equal(der, c.DER) {
				t.Error("a revoked certificate is shown")
			}
		}
	}
	if shown := b.shown(t); len(shown) != 0 {
		t.Errorf("%d values when all are revoked", len(shown))
	}
}

func TestForeignCertificatesStay(t *testing.T) {
	b := setup(t)
	b.enrol(t)
	// Another authority with the very name of ours, and its certificate for the same person.
	foreign := b.twin(t)
	b.Slapd.Modify(t, fmt.Sprintf("dn: %s\nchangetype: modify\nadd: userCertificate;binary\nuserCertificate;binary:: %s\n",
		slapdtest.PersonDN("alice"), base64.StdEncoding.EncodeToString(foreign.Raw)))
	if d := b.publish(t); d.Foreign != 1 || len(d.Stale) != 0 || len(d.Missing) != 1 {
		t.Errorf("difference: %d missing, %d stale, %d foreign", len(d.Missing), len(d.Stale), d.Foreign)
	}
	shown := b.shown(t)
	if len(shown) != 2 {
		t.Errorf("%d values, want ours and the foreign one", len(shown))
	}
	for _, der := range shown {
		if _, err := x509.ParseCertificate(der); err != nil {
			t.Error(err)
		}
	}
}

// twin returns a certificate whose issuer has our issuer's name and another key.
func (b *bundle) twin(t *testing.T) *x509.Certificate {
	t.Helper()
	return b.twinNumbered(t, 4711)
}

// numbered is a twin with a serial number: OpenLDAP takes two with the same one for the same value.
func (b *bundle) numbered(t *testing.T, serial int64) []byte {
	t.Helper()
	return b.twinNumbered(t, serial).Raw
}

func (b *bundle) twinNumbered(t *testing.T, serial int64) *x509.Certificate {
	t.Helper()
	key := pkitest.NewKey(t, ca.P256)
	parent := *b.PKI.Issuing
	parent.PublicKey = key.Public()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Alice elsewhere"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), EmailAddresses: []string{"alice@example.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, pkitest.NewKey(t, ca.P256).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishForNobody(t *testing.T) {
	b := setup(t)
	if _, err := b.Publish(t.Context(), uuid.New()); !errors.Is(err, directory.ErrUnknownPerson) {
		t.Errorf("unknown person: %v", err)
	}
	b.Slapd.Kill()
	b.enrolled(t)
	if _, err := b.Publish(t.Context(), b.alice.Person); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("directory away: %v", err)
	}
}

// enrolled issues without asking the directory.
func (b *bundle) enrolled(t *testing.T) {
	t.Helper()
	p := pkitest.Person{ID: b.alice.Person, Name: "alice", Mailbox: "alice@example.test"}
	b.PKI.IssuePair(t, p)
}
