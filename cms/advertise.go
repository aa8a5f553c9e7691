package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// AdvertiseOptions say what somebody tells their correspondents.
type AdvertiseOptions struct {
	// Encryption is the certificate that they should encrypt to. It may be the signer's own.
	Encryption *x509.Certificate
	// Chain are the certificates above both; roots in it, and what is there twice, are left out.
	Chain []*x509.Certificate
	// SigningTime is when this is said.
	SigningTime time.Time
}

// Advertise returns what a directory shows of a person in userSMIMECertificate (RFC 2798 §2.8): SignedData in DER over an absent
// and empty content, signed by that person, with their certificates and those above them. The signed attributes say which
// ciphers their program reads (smimeCapabilities, RFC 8551 §2.5.2), which are those that the encryption certificate names or
// else DefaultCapabilities, and which certificate to encrypt to (RFC 8551 §2.5.3, and Microsoft's attribute for the same). As with
// Sign, the key may be on a token. A key or certificate that does not fit is ErrSigner or ErrRecipient.
func Advertise(signer crypto.Signer, cert *x509.Certificate, opt AdvertiseOptions) ([]byte, error) {
	if opt.Encryption == nil {
		return nil, errNotForEncryption
	}
	der, err := Sign(nil, signer, cert, SignOptions{Detached: true, SigningTime: opt.SigningTime, Encryption: opt.Encryption, Chain: opt.Chain})
	if err != nil {
		return nil, err
	}
	_, err = ReadAdvertisement(der) // nothing leaves that would not be taken
	return der, err
}

var errNotForEncryption = ErrRecipient.Withf("A certificate that is for encryption is needed.")

// addPreferences has a signature say what correspondents should encrypt to, and with what.
func (o *SignOptions) addPreferences(signer *x509.Certificate) error {
	if !mayUseForEncryption(o.Encryption) {
		return errNotForEncryption
	}
	capabilities, ok := capabilitiesOf(o.Encryption)
	if !ok {
		return ErrRecipient.Withf("The encryption certificate's capabilities cannot be read.")
	}
	o.Chain = advertisedWith(signer, append([]*x509.Certificate{o.Encryption}, o.Chain...))
	var err error
	o.attributes, err = buildPreferences(capabilities, o.Encryption)
	return err
}

// advertisedWith returns what goes beside the signer's certificate: each certificate once, and no root.
func advertisedWith(signer *x509.Certificate, all []*x509.Certificate) (out []*x509.Certificate) {
	for _, c := range all {
		if !selfIssued(c) && !c.Equal(signer) && !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	return out
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// buildPreferences returns the attributes that say what to encrypt with, and to which certificate.
func buildPreferences(capabilities []asn1.ObjectIdentifier, encryption *x509.Certificate) ([][]byte, error) {
	name, err := build(func(b *cryptobyte.Builder) { addIssuerAndSerial(b, encryption) })
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, a := range []struct {
		typ   asn1.ObjectIdentifier
		value func(*cryptobyte.Builder)
	}{
		{oidAttrCapabilities, func(b *cryptobyte.Builder) { addCapabilities(b, capabilities) }},
		{oidAttrEncrypKeyPref, func(b *cryptobyte.Builder) { b.AddBytes(withTag(name, context(0))) }},
		{oidAttrMicrosoftKeyPref, func(b *cryptobyte.Builder) { b.AddBytes(name) }},
	} {
		der, err := buildAttribute(a.typ, a.value)
		if err != nil {
			return nil, err
		}
		out = append(out, der)
	}
	return out, nil
}

// DefaultCapabilities are the ciphers of programs of whose certificates none are said, preferred first: what all mail
// programs read. (None that is common reads AES-GCM.)
func DefaultCapabilities() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{oidAES256CBC, oidAES128CBC}
}

// capabilitiesOf returns the ciphers that a certificate names (RFC 4262), or the default ones; false if they cannot be read.
func capabilitiesOf(cert *x509.Certificate) ([]asn1.ObjectIdentifier, bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidAttrCapabilities) {
			value := cryptobyte.String(e.Value)
			list, ok := readCapabilities(&value)
			return list, ok && value.Empty()
		}
	}
	return DefaultCapabilities(), true
}

// addCapabilities writes SMIMECapabilities. Parameters of AES are absent (RFC 8551 §2.5.2).
func addCapabilities(b *cryptobyte.Builder, list []asn1.ObjectIdentifier) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, oid := range list {
			addAlgorithm(b, oid, nil)
		}
	})
}

// maxCapabilities is how many capabilities are read.
const maxCapabilities = 32

// readCapabilities reads SMIMECapabilities: at least one, none of them twice.
func readCapabilities(s *cryptobyte.String) (out []asn1.ObjectIdentifier, ok bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) {
		return nil, false
	}
	var seen []string
	for !body.Empty() {
		var a algorithm
		before := body
		if !readAlgorithm(&body, &a) || len(out) == maxCapabilities {
			return nil, false
		}
		element := string(before[:len(before)-len(body)])
		if slices.Contains(seen, element) {
			return nil, false
		}
		seen, out = append(seen, element), append(out, a.oid)
	}
	return out, len(out) > 0
}
