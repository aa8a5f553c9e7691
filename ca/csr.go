package ca

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxCSR is the largest certificate request that is read, in octets. With RSA-4096 and 64 mailboxes it has some 6000.
const MaxCSR = 16 << 10

// CSR is what a certificate request (PKCS #10, RFC 2986) says. Its names are the requester's claim and nothing more.
type CSR struct {
	PublicKey []byte            // SubjectPublicKeyInfo, DER
	Algorithm KeyAlgorithm      // of the key
	Subject   pkix.Name         // as claimed
	Mailboxes []string          // as claimed: rfc822Name, SmtpUTF8Mailbox and emailAddress, normalised where they can be
	DNSNames  []string          // as claimed
	Digest    [sha256.Size]byte // SHA-256 of the whole request
}

// ParseCSR reads a request in DER. It checks the size, the signature, that the algorithms are known and strong and that
// the key is sound; each failing has a fault of its own.
func ParseCSR(der []byte) (CSR, error) {
	if len(der) > MaxCSR {
		return CSR{}, ErrCSRTooLarge.Withf("The certificate request has %d bytes; at most %d are read.", len(der), MaxCSR)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return CSR{}, csrFault(err)
	}
	key, err := checkKey(r.PublicKey, r.RawSubjectPublicKeyInfo)
	if err != nil {
		return CSR{}, err
	}
	if !strongSignature(r.SignatureAlgorithm) {
		return CSR{}, ErrCSRAlgorithm
	}
	if err := r.CheckSignature(); err != nil {
		return CSR{}, ErrCSRSignature.Because(err)
	}
	c := CSR{PublicKey: key.spki, Algorithm: key.algorithm, Subject: r.Subject, DNSNames: r.DNSNames, Digest: sha256.Sum256(der)}
	return c, c.claimMailboxes(r)
}

// csrFault tells a request whose key nobody here can read from what is no request.
func csrFault(err error) error {
	switch s := err.Error(); {
	case strings.Contains(s, "unknown public key algorithm"), strings.Contains(s, "unsupported elliptic curve"):
		return ErrKeyAlgorithm.Because(err)
	case strings.Contains(s, "RSA"), strings.Contains(s, "elliptic curve point"), strings.Contains(s, "not on curve"), strings.Contains(s, "wrong Ed25519"):
		return ErrKeyEncoding.Withf("The public key in the request cannot be read.").Because(err)
	default:
		return ErrCSRMalformed.Because(err)
	}
}

func strongSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return true
	default:
		return false
	}
}

func (c *CSR) claimMailboxes(r *x509.CertificateRequest) error {
	claimed := r.EmailAddresses
	for _, e := range r.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			more, err := utf8Mailboxes(e.Value)
			if err != nil {
				return ErrCSRMalformed.Withf("The alternative names in the request cannot be read.")
			}
			claimed = append(claimed, more...)
		}
	}
	for _, a := range r.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidEmailAddress) {
			claimed = append(claimed, s)
		}
	}
	seen := make(map[string]bool, len(claimed))
	for _, s := range claimed {
		if m, err := ParseMailbox(s); err == nil {
			s = m.String()
		}
		if !seen[s] {
			seen[s] = true
			c.Mailboxes = append(c.Mailboxes, s)
		}
	}
	if len(c.Mailboxes) > maxMailboxes {
		return ErrCSRMalformed.Withf("The request names %d mail addresses; at most %d are read.", len(c.Mailboxes), maxMailboxes)
	}
	return nil
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// utf8Mailboxes returns the SmtpUTF8Mailbox names (RFC 9598 §3) of a subjectAltName's value.
func utf8Mailboxes(san []byte) ([]string, error) {
	var out []string
	var names cryptobyte.String
	in := cryptobyte.String(san)
	if !in.ReadASN1(&names, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
		return nil, ErrCSRMalformed
	}
	for !names.Empty() {
		var name cryptobyte.String
		var tag cryptobyte_asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return nil, ErrCSRMalformed
		}
		if tag != otherNameTag {
			continue
		}
		var id asn1.ObjectIdentifier
		var value, text cryptobyte.String
		if !name.ReadASN1ObjectIdentifier(&id) || !name.ReadASN1(&value, explicit0) || !name.Empty() {
			return nil, ErrCSRMalformed
		}
		if !id.Equal(oidSMTPUTF8) {
			continue
		}
		if !value.ReadASN1(&text, cryptobyte_asn1.UTF8String) || !value.Empty() {
			return nil, ErrCSRMalformed
		}
		out = append(out, string(text))
	}
	return out, nil
}

// MailboxesOf returns the mail addresses of a certificate of this authority, as they stand in it.
func MailboxesOf(c *x509.Certificate) ([]Mailbox, error) {
	all := slices.Clone(c.EmailAddresses)
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			more, err := utf8Mailboxes(e.Value)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	out := make([]Mailbox, len(all))
	for n, s := range all {
		var err error
		if out[n], err = ParseMailbox(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Tags of GeneralName (RFC 5280 §4.2.1.6).
var (
	otherNameTag  = cryptobyte_asn1.Tag(0).Constructed().ContextSpecific()
	rfc822NameTag = cryptobyte_asn1.Tag(1).ContextSpecific()
	dnsNameTag    = cryptobyte_asn1.Tag(2).ContextSpecific()
	uriTag        = cryptobyte_asn1.Tag(6).ContextSpecific()
	explicit0     = cryptobyte_asn1.Tag(0).Constructed().ContextSpecific()
	explicit3     = cryptobyte_asn1.Tag(3).Constructed().ContextSpecific()
)
