package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"go.step.sm/crypto/x509util"
)

// Lifetimes of the certificates above a person's, unless told otherwise.
const (
	RootLasts    = 20 * 365 * 24 * time.Hour
	IssuingLasts = 10 * 365 * 24 * time.Hour
	// RootCRLLasts is how long a root's list is good: a year, the longest the S/MIME BR §4.9.7 allow for one that lists
	// issuers alone. The root's key is needed once a year.
	RootCRLLasts = 365 * 24 * time.Hour
)

// caBackdate lets the first certificates that an issuer signs begin before they are made.
const caBackdate = time.Hour

// CACertificate describes the certificate of a root or of an issuing authority.
type CACertificate struct {
	CommonName   string
	Organisation Organisation
	Lasts        time.Duration // zero means RootLasts or IssuingLasts
	Now          time.Time

	// The rest is for issuing authorities alone.

	// Usages are the extended key usages of what it will sign; RequiredUsages collects them from profiles.
	Usages []asn1.ObjectIdentifier
	// CRL are the addresses of the list that would revoke it: its root's. CAIssuers is the address of the root's
	// certificate. Both as in IssuerConfig.
	CRL       []string
	CAIssuers string
	// MailDomains, when not empty, become critical name constraints: it can certify no mail address elsewhere. GnuPG
	// (gpgsm) refuses such a chain unless told not to, so the default is none and the name policy does the work.
	MailDomains []string
}

// RequiredUsages returns the extended key usages that an issuing certificate must list so that clients accept what the
// profiles yield, and no more. OCSP signing is never among them: an issuer that lists it could answer for its root.
func RequiredUsages(profiles []ProfileConfig) ([]asn1.ObjectIdentifier, error) {
	var out []asn1.ObjectIdentifier
	for n, p := range profiles {
		for m, name := range p.ExtendedKeyUsage {
			oid, err := usageOID(name)
			if err != nil {
				return nil, ErrConfig.Withf("profiles[%d].extended_key_usage[%d]: %q is neither a known name nor an OID", n, m, name)
			}
			if !oid.Equal(oidOCSPSigning) && !containsOID(out, oid) {
				out = append(out, oid)
			}
		}
	}
	return out, nil
}

// CreateRoot returns a self-signed certificate for key.
func CreateRoot(key crypto.Signer, c CACertificate) (*x509.Certificate, error) {
	t, err := c.template(key.Public(), RootLasts)
	if err != nil {
		return nil, err
	}
	alg, err := algorithmFor(key.Public())
	if err != nil {
		return nil, ErrConfig.Withf("root key: %v", err)
	}
	t.SignatureAlgorithm = alg.x509
	t.AuthorityKeyId = t.SubjectKeyId
	cert, err := x509util.CreateCertificate(t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create root: %w", err)
	}
	return cert, nil
}

// CreateIssuing returns the certificate of an issuing authority with the public key pub, signed by the root.
func CreateIssuing(root *x509.Certificate, rootKey crypto.Signer, pub crypto.PublicKey, c CACertificate) (*x509.Certificate, error) {
	t, err := c.template(pub, IssuingLasts)
	if err != nil {
		return nil, err
	}
	alg, err := algorithmFor(rootKey.Public())
	if err != nil {
		return nil, ErrConfig.Withf("root key: %v", err)
	}
	t.SignatureAlgorithm = alg.x509
	t.MaxPathLen, t.MaxPathLenZero = 0, true
	if t.NotBefore.Before(root.NotBefore) {
		t.NotBefore = root.NotBefore
	}
	if t.NotAfter.After(root.NotAfter) {
		t.NotAfter = root.NotAfter
	}
	if err := c.constrain(t); err != nil {
		return nil, err
	}
	cert, err := x509util.CreateCertificate(t, root, pub, rootKey)
	if err != nil {
		return nil, fmt.Errorf("create issuing certificate: %w", err)
	}
	return cert, nil
}

// template has what roots and issuing authorities share.
func (c CACertificate) template(pub crypto.PublicKey, lasts time.Duration) (*x509.Certificate, error) {
	if _, err := algorithmFor(pub); err != nil {
		return nil, ErrConfig.Withf("key: %v", err)
	}
	if err := errors.Join(append(c.Organisation.check(), attribute("common name", c.CommonName, maxCommonName))...); err != nil {
		return nil, err
	}
	if c.CommonName == "" {
		return nil, ErrConfig.Withf("common_name: is empty")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, ErrKeyAlgorithm.Because(err)
	}
	id, err := keyIdentifier(spki)
	if err != nil {
		return nil, err
	}
	if c.Lasts > 0 {
		lasts = c.Lasts
	}
	from := c.Now.UTC().Add(-caBackdate).Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber: serial.Big(), Subject: c.subject(), NotBefore: from, NotAfter: from.Add(lasts - time.Second),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1,
		SubjectKeyId: id,
	}, nil
}

func (c CACertificate) subject() pkix.Name {
	var n pkix.Name
	for _, a := range []struct {
		oid   asn1.ObjectIdentifier
		value string
	}{{oidCountry, c.Organisation.Country}, {oidOrganization, c.Organisation.Name}, {oidOrganizationID, c.Organisation.Identifier}, {oidCommonName, c.CommonName}} {
		if a.value != "" {
			n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: a.oid, Value: a.value})
		}
	}
	return n
}

// constrain adds what makes the certificate that of an issuing authority (S/MIME BR §7.1.2.2).
func (c CACertificate) constrain(t *x509.Certificate) error {
	f := &findings{path: "issuing"}
	if len(c.Usages) == 0 {
		f.add("usages", "is empty: without extended key usages it could certify anything")
	}
	for n, u := range c.CRL {
		if err := crlURL(u, n == 0); err != nil {
			f.add(fmt.Sprintf("crl[%d]", n), "%v", err)
		}
	}
	if len(c.CRL) == 0 {
		f.add("crl", "is empty: nobody would learn of its revocation")
	}
	if c.CAIssuers != "" {
		if err := httpURL(c.CAIssuers); err != nil {
			f.add("ca_issuers", "%v", err)
		}
		t.IssuingCertificateURL = []string{c.CAIssuers}
	}
	t.UnknownExtKeyUsage = slices.Clone(c.Usages)
	oid, err := x509.OIDFromInts([]uint64{2, 5, 29, 32, 0})
	if err != nil {
		return err
	}
	t.Policies = []x509.OID{oid} // anyPolicy: the leaf says which
	t.PermittedEmailAddresses, t.PermittedDNSDomainsCritical = c.MailDomains, len(c.MailDomains) > 0
	if err := errors.Join(f.errs...); err != nil {
		return err
	}
	points, err := crlPoints(c.CRL) // Go would write a DistributionPoint for each address
	if err != nil {
		return err
	}
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidCRLPoints, Value: valueOf(points)})
	return nil
}

// IssuingRequest returns a certificate request (PKCS #10, DER) for an issuing authority that a root outside Sealpost is
// to sign. It asks for the extensions that CreateIssuing would set; the root's owner decides.
func IssuingRequest(key crypto.Signer, c CACertificate) ([]byte, error) {
	t, err := c.template(key.Public(), IssuingLasts)
	if err != nil {
		return nil, err
	}
	alg, err := algorithmFor(key.Public())
	if err != nil {
		return nil, ErrConfig.Withf("issuing key: %v", err)
	}
	usage, err := keyUsageExtension(bitKeyCertSign | bitCRLSign)
	if err != nil {
		return nil, err
	}
	basic, err := asn1.Marshal(struct {
		CA      bool
		PathLen int
	}{true, 0})
	if err != nil {
		return nil, err
	}
	extended, err := asn1.Marshal(c.Usages)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: t.Subject, SignatureAlgorithm: alg.x509, ExtraExtensions: []pkix.Extension{
			{Id: oidBasicConstraints, Critical: true, Value: basic},
			{Id: oidKeyUsage, Critical: true, Value: valueOf(usage)},
			{Id: oidExtKeyUsage, Value: extended},
		}}, key)
	if err != nil {
		return nil, fmt.Errorf("create request for issuing certificate: %w", err)
	}
	return der, nil
}

// AcceptIssuing checks the answer to IssuingRequest: chain begins with the certificate for pub and ends with a root.
// Everything that would later fail is reported now: another key, rights that are missing, usages that are missing, no
// revocation list, signatures that do not verify, a validity that is over or not begun.
func AcceptIssuing(pub crypto.PublicKey, chain []*x509.Certificate, usages []asn1.ObjectIdentifier, now time.Time) error {
	f := &findings{path: "issuing"}
	if len(chain) < 2 {
		f.add("chain", "needs the issuing certificate and those above it, the root last")
		return errors.Join(f.errs...)
	}
	c, root := chain[0], chain[len(chain)-1]
	if k, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(c.PublicKey) {
		f.add("certificate", "is for another key")
	}
	if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || c.KeyUsage&x509.KeyUsageCRLSign == 0 {
		f.add("certificate", "may not sign certificates and lists")
	}
	if len(c.SubjectKeyId) == 0 {
		f.add("certificate", "has no subject key identifier")
	}
	if len(c.CRLDistributionPoints) == 0 {
		f.add("certificate", "names no revocation list")
	}
	for _, u := range usages {
		for _, above := range chain {
			if !allowsUsage(above, u) {
				f.add("certificate", "%q does not allow the extended key usage %s", above.Subject.CommonName, u)
			}
		}
	}
	for n, one := range chain {
		if now.Before(one.NotBefore) || now.After(one.NotAfter) {
			f.add("chain", "certificate %d is valid from %s to %s", n, one.NotBefore.Format(time.DateOnly), one.NotAfter.Format(time.DateOnly))
		}
		if n+1 < len(chain) {
			if err := one.CheckSignatureFrom(chain[n+1]); err != nil {
				f.add("chain", "certificate %d is not signed by the next: %v", n, err)
			}
		}
	}
	if !bytes.Equal(root.RawIssuer, root.RawSubject) || root.CheckSignatureFrom(root) != nil {
		f.add("chain", "the last certificate is not a root")
	}
	return errors.Join(f.errs...)
}

// RootCRL returns a root's revocation list, in DER. number must be larger than that of every list before it.
func RootCRL(root *x509.Certificate, key crypto.Signer, number int64, revoked []x509.RevocationListEntry, now time.Time) ([]byte, error) {
	alg, err := algorithmFor(key.Public())
	if err != nil {
		return nil, ErrConfig.Withf("root key: %v", err)
	}
	next := now.Add(RootCRLLasts)
	if next.After(root.NotAfter) {
		next = root.NotAfter
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		SignatureAlgorithm: alg.x509, Number: big.NewInt(number), RevokedCertificateEntries: revoked,
		ThisUpdate: now.UTC().Truncate(time.Second), NextUpdate: next.UTC().Truncate(time.Second),
	}, root, key)
	if err != nil {
		return nil, fmt.Errorf("create the root's list: %w", err)
	}
	return der, nil
}
