package ca

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
)

// Names of our own checks, of what no lint of zlint looks at.
const (
	lintOrganisationID = "sealpost_organization_identifier"  // S/MIME BR §7.1.4.2.4
	lintValidity       = "sealpost_validity"                 // S/MIME BR §6.3.2, and never past the issuer
	lintNames          = "sealpost_names_as_requested"       // the alternative names are the requested ones and no others
	lintKeyUsage       = "sealpost_key_usage_exact"          // the bits are those of the algorithm, and critical
	lintExtKeyUsage    = "sealpost_extended_key_usage_exact" // the profile's and no others
	lintKey            = "sealpost_key_as_requested"
	lintIssuer         = "sealpost_issuer" // issuer, key identifiers and addresses are the issuer's
	lintPolicy         = "sealpost_policy"
	lintEscrow         = "sealpost_no_escrow_of_signing_keys" // EN 319 411-1, SDP-6.3.12
)

var ownLints = []string{lintOrganisationID, lintValidity, lintNames, lintKeyUsage, lintExtKeyUsage, lintKey, lintIssuer,
	lintPolicy, lintEscrow}

// ownChecks reads the certificate back with zlint's parser, which shares no code with what wrote it, and compares it
// with what was asked for.
func (q *asked) ownChecks(c *zx509.Certificate) (bad []broken) {
	p, i := q.profile, q.profile.issuer
	no := func(ok bool, name, format string, args ...any) {
		if !ok {
			bad = append(bad, broken{name, fmt.Sprintf(format, args...)})
		}
	}
	lasts := c.NotAfter.Sub(c.NotBefore) + time.Second
	no(lasts > 0 && lasts <= p.validity && lasts <= MaxValidityDays*24*time.Hour && !c.NotAfter.After(i.cert.NotAfter) &&
		!c.NotBefore.Before(i.cert.NotBefore), lintValidity, "%v, until %v", lasts, c.NotAfter)
	no(q.namesAsRequested(c), lintNames, "%v %v %d others", c.EmailAddresses, c.DNSNames, len(c.OtherNames))
	no(bytes.Equal(c.RawSubjectPublicKeyInfo, q.key.spki), lintKey, "the key is another")
	no(bytes.Equal(c.RawIssuer, i.cert.RawSubject) && bytes.Equal(c.AuthorityKeyId, i.cert.SubjectKeyId), lintIssuer, "the issuer is another")
	if !p.ocsp() {
		no(slices.Equal(c.CRLDistributionPoints, i.crlOf(q.partition)), lintIssuer, "the revocation list is another")
	}
	no(len(c.PolicyIdentifiers) == 1 && p.policy.Equal(asn1.ObjectIdentifier(c.PolicyIdentifiers[0])), lintPolicy, "%v", c.PolicyIdentifiers)
	no(q.usageExact(c), lintKeyUsage, "%b", c.KeyUsage)
	no(len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == len(p.usages) && bytes.Equal(extensionOf(c, oidExtKeyUsage), valueOf(p.encoded.extKeyUsage)),
		lintExtKeyUsage, "%v %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
	const signing = zx509.KeyUsageDigitalSignature | zx509.KeyUsageContentCommitment | zx509.KeyUsageCertSign | zx509.KeyUsageCRLSign
	no(!(p.EscrowRequired() && c.KeyUsage&signing != 0), lintEscrow, "%b", c.KeyUsage)
	if p.claims != nil && (p.claims[5] == 2 || p.claims[5] == 3) { // organization, sponsor
		no(len(c.Subject.OrganizationIDs) == 1, lintOrganisationID, "the subject has no organizationIdentifier")
	}
	return bad
}

func (q *asked) namesAsRequested(c *zx509.Certificate) bool {
	var ascii []string
	others := 0
	for _, m := range q.mailboxes {
		if m.ascii() {
			ascii = append(ascii, m.String())
		} else {
			others++
		}
	}
	for _, o := range c.OtherNames {
		if !oidSMTPUTF8.Equal(asn1.ObjectIdentifier(o.TypeID)) {
			return false
		}
	}
	return slices.Equal(c.EmailAddresses, ascii) && slices.Equal(c.DNSNames, q.hosts) && len(c.OtherNames) == others &&
		len(c.IPAddresses) == 0 && len(c.URIs) == 0 && len(c.DirectoryNames) == 0 && len(c.EDIPartyNames) == 0 && len(c.RegisteredIDs) == 0
}

// usageExact compares the bits with a table of its own (S/MIME BR §7.1.2.3 e), not with the code that wrote them.
func (q *asked) usageExact(c *zx509.Certificate) bool {
	var want zx509.KeyUsage
	if q.profile.keyUsage&digitalSignature != 0 {
		want |= zx509.KeyUsageDigitalSignature
	}
	if q.profile.keyUsage&nonRepudiation != 0 {
		want |= zx509.KeyUsageContentCommitment
	}
	if q.profile.keyUsage&encipherment != 0 {
		switch q.key.algorithm {
		case RSA2048, RSA3072, RSA4096:
			want |= zx509.KeyUsageKeyEncipherment
		case P256, P384:
			want |= zx509.KeyUsageKeyAgreement
		}
	}
	for _, e := range c.Extensions {
		if oidKeyUsage.Equal(asn1.ObjectIdentifier(e.Id)) {
			return e.Critical && c.KeyUsage == want && want != 0
		}
	}
	return false
}

func extensionOf(c *zx509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if id.Equal(asn1.ObjectIdentifier(e.Id)) {
			return e.Value
		}
	}
	return nil
}
