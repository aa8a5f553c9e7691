package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	zasn1 "github.com/zmap/zcrypto/encoding/asn1"
	zx509 "github.com/zmap/zcrypto/x509"
	_ "github.com/zmap/zlint/v3" // registers the lints
	"github.com/zmap/zlint/v3/lint"
)

// linter judges to-be-signed bytes before they are stored. It does not change and is safe for concurrent use.
//
// The lints of the S/MIME Baseline Requirements sleep unless a certificate asserts one of their reserved policies. An
// internal authority must not assert one. So they are run on a shadow: the same bytes but for the policy, which is the
// reserved one that the profile claims to follow. The lints of the RFCs are run on the bytes themselves.
type linter struct {
	smime []*lint.CertificateLint
	rfc   []*lint.CertificateLint
	none  lint.Configuration
	// signature stands where the issuer's will: made once by a throw-away key of the issuer's algorithm, over bytes
	// that are no certificate. No lint verifies signatures, and so no key ever signs a certificate's bytes before they
	// are stored, not even a throw-away one.
	signatures map[string][]byte
}

var (
	smimeSources = lint.SourceList{lint.CABFSMIMEBaselineRequirements}
	rfcSources   = lint.SourceList{lint.RFC5280, lint.RFC5480, lint.RFC8813}
)

func newLinter(issuers []*Issuer) (*linter, error) {
	l := &linter{signatures: make(map[string][]byte)}
	for _, set := range []struct {
		to      *[]*lint.CertificateLint
		sources lint.SourceList
	}{{&l.smime, smimeSources}, {&l.rfc, rfcSources}} {
		r, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: set.sources})
		if err != nil {
			return nil, fmt.Errorf("choose lints: %w", err)
		}
		*set.to = slices.Clone(r.CertificateLints().Lints())
		l.none = r.GetConfiguration()
	}
	for _, i := range issuers {
		if l.signatures[string(i.algorithm.der)] != nil {
			continue
		}
		sig, err := throwAwaySignature(i)
		if err != nil {
			return nil, err
		}
		l.signatures[string(i.algorithm.der)] = sig
	}
	return l, nil
}

func throwAwaySignature(i *Issuer) ([]byte, error) {
	var key crypto.Signer
	var err error
	switch k := i.cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		key, err = ecdsa.GenerateKey(k.Curve, rand.Reader)
	case *rsa.PublicKey:
		// Only the length shows; 2048 bits are made in a blink.
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("make throw-away key: %w", err)
	}
	h := i.algorithm.hash.New()
	h.Write([]byte("not a certificate"))
	return key.Sign(rand.Reader, h.Sum(nil), i.algorithm.hash)
}

// knownLint reports whether name is a lint that is run here.
func knownLint(name string) bool {
	if slices.Contains(ownLints, name) {
		return true
	}
	c := lint.GlobalRegistry().CertificateLints().ByName(name)
	return c != nil && (slices.Contains(smimeSources, c.Source) || slices.Contains(rfcSources, c.Source))
}

// check returns ErrLint, naming every lint that fails and is no exception of the profile. Warnings count.
func (l *linter) check(q *asked, tbs []byte) error {
	c, err := l.parse(q.profile.issuer, tbs)
	if err != nil {
		return err
	}
	bad := l.run(l.rfc, c, q.profile)
	if q.profile.claims != nil {
		bad = append(bad, l.run(l.smime, shadowOf(c, q.profile), q.profile)...)
	}
	for _, f := range q.ownChecks(c) {
		if _, except := q.profile.exceptions[f.name]; !except {
			bad = append(bad, f)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	names := make([]string, len(bad))
	details := make([]error, len(bad))
	for n, f := range bad {
		names[n], details[n] = f.name, errors.New(f.name+": "+f.detail)
	}
	return ErrLint.Withf("The certificate would break these rules of the profile %s: %s.", q.profile.name,
		strings.Join(names, ", ")).Because(errors.Join(details...))
}

// broken is a lint that failed.
type broken struct{ name, detail string }

func (l *linter) run(lints []*lint.CertificateLint, c *zx509.Certificate, p *Profile) (bad []broken) {
	for _, one := range lints {
		r := one.Execute(c, l.none)
		if r.Status < lint.Warn { // notices are opinions
			continue
		}
		if _, except := p.exceptions[one.Name]; !except {
			bad = append(bad, broken{one.Name, r.Status.String() + " " + r.Details})
		}
	}
	return bad
}

// shadowOf returns c as it would be read with the reserved policy in place of its own. Reading is the dearer half of
// linting, so the shadow is not written and read anew; a test compares the two ways.
func shadowOf(c *zx509.Certificate, p *Profile) *zx509.Certificate {
	s := *c
	s.PolicyIdentifiers = []zasn1.ObjectIdentifier{zasn1.ObjectIdentifier(p.claims)}
	s.Extensions = slices.Clone(c.Extensions)
	s.ExtensionsMap = maps.Clone(c.ExtensionsMap)
	for n, e := range s.Extensions {
		if oidPolicies.Equal(asn1.ObjectIdentifier(e.Id)) {
			s.Extensions[n].Value = p.encoded.shadowPolicies
			s.ExtensionsMap[e.Id.String()] = s.Extensions[n]
		}
	}
	return &s
}

func (l *linter) parse(i *Issuer, tbs []byte) (*zx509.Certificate, error) {
	der, err := signedDER(tbs, i.algorithm.der, l.signatures[string(i.algorithm.der)])
	if err != nil {
		return nil, err
	}
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		return nil, ErrLint.Withf("The certificate could not be read back.").Because(err)
	}
	return c, nil
}

// lintVersion is what the audit log says of the rules a certificate was judged by.
const lintVersion = "zlint v3.7.1: CABF_SMIME_BR, RFC5280, RFC5480, RFC8813; sealpost 1"

// keyIdentifier names a key in subjectKeyIdentifier: the first 160 bits of the SHA-256 of the key (RFC 7093 §2, 1).
func keyIdentifier(spki []byte) ([]byte, error) {
	bits, err := publicKeyBits(spki)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(bits)
	return h[:20], nil
}
