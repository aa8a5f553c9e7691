// Package pkitest makes a small PKI for the tests of other rooms: a root, an issuing authority, an Authority on a test's
// database, certificate requests, and keys that are made once per test binary. It is imported by tests only.
package pkitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// Domain is the mail domain that test authorities certify.
const Domain = "example.test"

// IssuerID names the issuer of a test's Authority.
const IssuerID = "issuing"

// Base is where a test's issuer says it publishes.
const Base = "http://pki.example.test"

// Hierarchy is a root and an issuing authority with their keys.
type Hierarchy struct {
	Root       *x509.Certificate
	RootKey    crypto.Signer
	Issuing    *x509.Certificate
	IssuingKey crypto.Signer
}

// NewHierarchy makes a hierarchy with P-256 keys whose certificates begin an hour before now.
func NewHierarchy(t testing.TB, now time.Time) Hierarchy {
	t.Helper()
	return NewHierarchyWith(t, now, NewKey(t, ca.P256), NewKey(t, ca.P256))
}

// NewHierarchyWith makes a hierarchy with the given keys.
func NewHierarchyWith(t testing.TB, now time.Time, rootKey, issuingKey crypto.Signer) Hierarchy {
	t.Helper()
	h := Hierarchy{RootKey: rootKey, IssuingKey: issuingKey}
	var err error
	h.Root, err = ca.CreateRoot(h.RootKey, ca.CACertificate{CommonName: "Test Root", Organisation: Organisation(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	if err != nil {
		t.Fatal(err)
	}
	h.Issuing, err = ca.CreateIssuing(h.Root, h.RootKey, h.IssuingKey.Public(), ca.CACertificate{CommonName: "Test Issuing",
		Organisation: Organisation(), Now: now, Usages: usages, CRL: []string{Base + "/root.crl"}, CAIssuers: Base + "/root.cer"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Chain returns the issuing certificate and the root.
func (h Hierarchy) Chain() []*x509.Certificate { return []*x509.Certificate{h.Issuing, h.Root} }

// RootCRL returns an empty list of the root.
func (h Hierarchy) RootCRL(t testing.TB, now time.Time) []byte {
	t.Helper()
	der, err := ca.RootCRL(h.Root, h.RootKey, 1, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// IssuerConfig returns the configuration of the issuing authority, with an HTTP and an LDAP distribution point.
func (h Hierarchy) IssuerConfig() ca.IssuerConfig {
	return ca.IssuerConfig{
		ID: IssuerID,
		CRL: []string{Base + "/issuing.crl",
			"ldap://ldap.example.test/cn=issuing,ou=pki,dc=example,dc=test?certificateRevocationList;binary?base?(objectClass=cRLDistributionPoint)"},
		OCSP: Base + "/ocsp", CAIssuers: Base + "/issuing.cer",
		Chain: h.Chain(), Signer: h.IssuingKey,
	}
}

// Organisation is the organisation in test certificates.
func Organisation() ca.Organisation { return ca.Organisation{Name: "Example", Country: "DE"} }

// Config returns the configuration of an Authority that issues in Domain, without a database.
func (h Hierarchy) Config() ca.Config {
	return ca.Config{
		Issuers: []ca.IssuerConfig{h.IssuerConfig()}, Organisation: Organisation(),
		Names: ca.NamePolicy{MailDomains: []string{Domain}, Hosts: []string{"*." + Domain, "localhost"}},
	}
}

// PKI is an Authority with all that stands behind it.
type PKI struct {
	*ca.Authority
	Hierarchy
	Jobs *jobs.Queue
}

// NewAuthority makes a hierarchy and an Authority on db. Its clock is the real one.
func NewAuthority(t testing.TB, db *pg.DB) *PKI {
	t.Helper()
	return NewAuthorityAt(t, db, time.Now)
}

// NewAuthorityAt makes an Authority with a clock of the test's own.
func NewAuthorityAt(t testing.TB, db *pg.DB, now func() time.Time) *PKI {
	t.Helper()
	p := &PKI{Hierarchy: NewHierarchy(t, now())}
	var err error
	if p.Jobs, err = jobs.New(jobs.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	c := p.Config()
	c.DB, c.Jobs, c.Now = db, p.Jobs, now
	c.Profiles = ca.WithTestMailbox(ca.DefaultProfiles())
	if p.Authority, err = ca.New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return p
}

// Actor is who does things in tests that do not care.
func Actor() audit.Actor { return audit.System("test") }

// Person is somebody to certify.
type Person struct {
	ID      uuid.UUID
	Name    string
	Mailbox string
}

// NewPerson returns a person called name, with a mailbox of that name in Domain.
func NewPerson(name string) Person { return Person{uuid.New(), name, name + "@" + Domain} }

// Request asks for a certificate of a profile for the person. Each call is another enrolment.
func (p Person) Request(profile string, key crypto.PublicKey) ca.Request {
	return ca.Request{ID: uuid.New(), Profile: profile, Person: p.ID, Mailboxes: []string{p.Mailbox}, PublicKey: SPKI(key),
		Subject: ca.Subject{CommonName: p.Name + " Example", GivenName: p.Name, Surname: "Example", SerialNumber: "1001"}}
}

// Issue prepares and signs one certificate for each request.
func (p *PKI) Issue(t testing.TB, reqs ...ca.Request) []ca.Certificate {
	t.Helper()
	prepared, err := p.Prepare(t.Context(), Actor(), reqs...)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := p.Sign(t.Context(), Actor(), prepared)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

// Pair is a person's two certificates and keys.
type Pair struct {
	Signing, Encryption       ca.Certificate
	SigningKey, EncryptionKey crypto.Signer
}

// IssuePair issues a signing and an encryption certificate, both with P-256 keys, under one enrolment.
func (p *PKI) IssuePair(t testing.TB, who Person) Pair {
	t.Helper()
	out := Pair{SigningKey: NewKey(t, ca.P256), EncryptionKey: NewKey(t, ca.P256)}
	s, e := who.Request(ca.SMIMESigning, out.SigningKey.Public()), who.Request(ca.SMIMEEncryption, out.EncryptionKey.Public())
	e.ID = s.ID
	certs := p.Issue(t, s, e)
	out.Signing, out.Encryption = certs[0], certs[1]
	return out
}

// NewKey makes a key. RSA keys are slow to make: RSAKey has some that are shared.
func NewKey(t testing.TB, a ca.KeyAlgorithm) crypto.Signer {
	t.Helper()
	key, err := newKey(a)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey(a ca.KeyAlgorithm) (crypto.Signer, error) {
	switch a {
	case ca.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ca.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ca.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case ca.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ca.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case ca.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	default:
		return nil, fmt.Errorf("no such algorithm: %s", a)
	}
}

// shared are RSA keys that live as long as the test binary.
var shared struct {
	sync.Mutex
	keys map[string]crypto.Signer
}

// RSAKey returns the n-th RSA key of that algorithm; the same number yields the same key throughout a test binary.
func RSAKey(t testing.TB, a ca.KeyAlgorithm, n int) crypto.Signer {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	name := fmt.Sprintf("%s/%d", a, n)
	if k := shared.keys[name]; k != nil {
		return k
	}
	k := NewKey(t, a)
	if shared.keys == nil {
		shared.keys = make(map[string]crypto.Signer)
	}
	shared.keys[name] = k
	return k
}

// SPKI returns a public key as SubjectPublicKeyInfo in DER.
func SPKI(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil // what is tested will refuse it
	}
	return der
}

// CSR returns a certificate request in DER.
func CSR(t testing.TB, key crypto.Signer, commonName string, mailboxes ...string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: commonName}, EmailAddresses: mailboxes}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// PEM returns certificates in PEM.
func PEM(der ...[]byte) []byte {
	var out []byte
	for _, d := range der {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d})...)
	}
	return out
}

// CRL returns a list of the issuing authority that revokes what is given.
func (p *PKI) CRL(t testing.TB, number int64, now time.Time, revoked ...x509.RevocationListEntry) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, crlTemplate(number, now, revoked), p.Issuing, p.IssuingKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func crlTemplate(number int64, now time.Time, revoked []x509.RevocationListEntry) *x509.RevocationList {
	return &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(24 * time.Hour),
		RevokedCertificateEntries: revoked}
}
