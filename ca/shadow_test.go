package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
)

// TestShadowIsWhatReadingItWouldYield writes the shadow as bytes, reads it, and compares the verdict of every lint.
func TestShadowIsWhatReadingItWouldYield(t *testing.T) {
	t.Parallel()
	a := testAuthority(t)
	for name, p := range a.profiles {
		if p.claims == nil {
			continue
		}
		q, d := testDraft(t, a, name)
		real, err := a.lint.parse(p.issuer, d.tbs)
		if err != nil {
			t.Fatal(err)
		}
		p.encoded.policies, err = policiesExtension(p.claims, p.cps)
		if err != nil {
			t.Fatal(err)
		}
		a.serial = func() (Serial, error) { return d.serial, nil }
		p.policy = p.claims // the own checks would refuse it otherwise
		written, err := a.draft(q, a.now())
		if err != nil {
			t.Fatal(err)
		}
		read, err := a.lint.parse(p.issuer, written.tbs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(verdicts(a.lint, read), verdicts(a.lint, shadowOf(real, p))); diff != "" {
			t.Errorf("%s: the copied shadow is judged otherwise than the read one (-read +copied):\n%s", name, diff)
		}
		if n := len(verdicts(a.lint, read)); n < 100 {
			t.Errorf("only %d lints ran", n)
		}
	}
}

func verdicts(l *linter, c *zx509.Certificate) map[string]string {
	out := make(map[string]string)
	for _, set := range [][]*lint.CertificateLint{l.smime, l.rfc} {
		for _, one := range set {
			r := one.Execute(c, l.none)
			out[one.Name] = r.Status.String() + " " + r.Details
		}
	}
	return out
}

// testAuthority is an Authority without a database, for what is not exported.
func testAuthority(t *testing.T) *Authority {
	t.Helper()
	now := time.Now()
	rootKey, key := testKey(t), testKey(t)
	root, err := CreateRoot(rootKey, CACertificate{CommonName: "Root", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	usages, err := RequiredUsages(DefaultProfiles())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := CreateIssuing(root, rootKey, key.Public(), CACertificate{CommonName: "Issuing", Now: now, Usages: usages,
		CRL: []string{"http://pki.example.com/root.crl"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := Config{
		Issuers: []IssuerConfig{{ID: "issuing", CRL: []string{"http://pki.example.com/issuing.crl"}, OCSP: "http://pki.example.com/ocsp",
			Chain: []*x509.Certificate{cert, root}, Signer: key}},
		Organisation: Organisation{Name: "Example", Country: "DE", Identifier: "NTRDE-HRB12345"},
		Names:        NamePolicy{MailDomains: []string{"example.com"}, Hosts: []string{"*.example.com"}},
	}.authority()
	if err != nil {
		t.Fatal(err)
	}
	if a.lint, err = newLinter(a.issuers); err != nil {
		t.Fatal(err)
	}
	return a
}

func testKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testDraft(t *testing.T, a *Authority, profile string) (*asked, *draft) {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(testKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	q, err := a.read(Request{ID: uuid.New(), Profile: profile, Person: uuid.New(), PublicKey: spki, Mailboxes: []string{"alice@example.com"},
		Subject: Subject{CommonName: "Alice Example", GivenName: "Alice", Surname: "Example"}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.draft(q, a.now())
	if err != nil {
		t.Fatal(err)
	}
	return q, d
}

// TestLintsCatch spoils one thing at a time and expects the check that catches it.
func TestLintsCatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*asked, *tbs)
		want  string
	}{
		{"key usage of another kind of key", func(q *asked, b *tbs) { b.extensions[0], _ = keyUsageExtension(bitKeyEncipherment) }, "e_ec_other_key_usages"},
		{"a bit too many", func(q *asked, b *tbs) { b.extensions[0], _ = keyUsageExtension(bitKeyAgreement | bitDigitalSignature) }, lintEscrow},
		{"another key identifier of the issuer", func(q *asked, b *tbs) { b.extensions[3], _ = authorityKeyID(make([]byte, 20)) }, lintIssuer},
		{"no revocation list", func(q *asked, b *tbs) { b.extensions[6] = nil }, "e_subscribers_shall_have_crl_distribution_points"},
		{"an address nobody asked for", func(q *asked, b *tbs) {
			b.extensions[5], _ = subjectAltNames([]Mailbox{{"alice", "example.com"}, {"eve", "example.com"}}, nil, false)
		}, lintNames},
		{"another policy", func(q *asked, b *tbs) { b.extensions[4], _ = policiesExtension(oidClientAuth, "") }, lintPolicy},
		{"another usage", func(q *asked, b *tbs) { b.extensions[1] = q.profile.encoded.noCheck }, "e_smime_strict_eku_check"},
		{"longer than its profile", func(q *asked, b *tbs) { b.notAfter = b.notAfter.Add(time.Second) }, lintValidity},
		{"longer than its issuer", func(q *asked, b *tbs) { b.notAfter = q.profile.issuer.cert.NotAfter.Add(time.Hour) }, lintValidity},
		{"another key", func(q *asked, b *tbs) {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err == nil {
				b.spki, _ = x509.MarshalPKIXPublicKey(k.Public())
			}
		}, lintKey},
		{"another issuer", func(q *asked, b *tbs) { b.issuer = q.subject }, lintIssuer},
		{"a serial of zero", func(q *asked, b *tbs) { b.serial = "" }, "e_serial_number_not_positive"},
		{"a serial of 21 octets", func(q *asked, b *tbs) { b.serial = "\x41" + Serial(make([]byte, 20)) }, "e_serial_number_longer_than_20_octets"},
		{"an extension twice", func(q *asked, b *tbs) { b.extensions = append(b.extensions, b.extensions[2]) }, "e_ext_duplicate_extension"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := testAuthority(t)
			q, d := testDraft(t, a, SMIMEEncryption)
			b, err := d.parts()
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(q, &b)
			raw, err := b.marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := a.lint.check(q, raw); !errors.Is(err, ErrLint) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
