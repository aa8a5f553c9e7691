package foreign

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/ber"
)

// recoveryBlob is what "certutil -getkey" writes ([MS-CSRA] 3.1.4.2.9): SignedData of the authority, whose content is the
// EnvelopedData that it made when the key was archived, one recipient for each recovery agent of that day.
//
// The signature is not verified: whether the key is right, the certificate tells, and the server decides who may bring it.
type recoveryBlob struct {
	envelope     []byte // ContentInfo with EnvelopedData, DER
	certificates []*x509.Certificate
}

// isContentInfo reports whether DER begins as CMS does.
func isContentInfo(der []byte) bool {
	var body cryptobyte.String
	input := cryptobyte.String(der)
	return input.ReadASN1(&body, cbasn1.SEQUENCE) && body.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER)
}

// parseRecoveryBlob takes a blob apart, in DER. An EnvelopedData that nobody signed is taken too; then the certificate must
// be found elsewhere. For a bundle of certificates the envelope is nil.
func parseRecoveryBlob(der []byte) (*recoveryBlob, error) {
	input := cryptobyte.String(der)
	var info, content, body cryptobyte.String
	var typ asn1.ObjectIdentifier
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !input.Empty() || !info.ReadASN1ObjectIdentifier(&typ) ||
		!info.ReadASN1(&content, explicit(0)) || !info.Empty() || !content.ReadASN1(&body, cbasn1.SEQUENCE) || !content.Empty() {
		return nil, ErrBlob
	}
	switch {
	case typ.Equal(cms.OIDEnvelopedData), typ.Equal(cms.OIDAuthEnvelopedData):
		return &recoveryBlob{envelope: der}, nil
	case typ.Equal(cms.OIDSignedData):
		return parseSignedBlob(body)
	}
	return nil, ErrBlob
}

func explicit(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// parseSignedBlob reads SignedData as RFC 5652 and PKCS #7 1.5 have it.
func parseSignedBlob(body cryptobyte.String) (*recoveryBlob, error) {
	var info, content, certs cryptobyte.String
	var typ asn1.ObjectIdentifier
	var version int
	var has, hasCerts bool
	if !body.ReadASN1Integer(&version) || !body.SkipASN1(cbasn1.SET) || !body.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1ObjectIdentifier(&typ) || !info.ReadOptionalASN1(&content, &has, explicit(0)) || !info.Empty() ||
		!body.ReadOptionalASN1(&certs, &hasCerts, explicit(0)) || !body.SkipOptionalASN1(explicit(1)) || !body.SkipASN1(cbasn1.SET) || !body.Empty() {
		return nil, ErrBlob
	}
	out := &recoveryBlob{}
	for !certs.Empty() {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !certs.ReadAnyASN1Element(&element, &tag) || len(out.certificates) == cms.MaxCertificates {
			return nil, ErrBlob
		}
		if c, err := x509.ParseCertificate(element); err == nil { // one that Go does not read is of no use, and may not be needed
			out.certificates = append(out.certificates, c)
		}
	}
	if !has {
		return out, nil
	}
	var err error
	out.envelope, err = envelopeIn(content)
	return out, err
}

// envelopeIn finds the EnvelopedData in the content of SignedData: in an OCTET STRING or bare, with its ContentInfo or without.
func envelopeIn(content cryptobyte.String) ([]byte, error) {
	if content.PeekASN1Tag(cbasn1.OCTET_STRING) {
		var octets cryptobyte.String
		if !content.ReadASN1(&octets, cbasn1.OCTET_STRING) || !content.Empty() {
			return nil, ErrBlob
		}
		der, err := ber.ToDER(octets)
		if err != nil {
			return nil, ErrBlob.Withf("The authority signed something that is no archived key.")
		}
		content = der
	}
	if isContentInfo(content) {
		return content, nil
	}
	var body cryptobyte.String
	inner := content
	if !inner.ReadASN1(&body, cbasn1.SEQUENCE) || !inner.Empty() || !body.PeekASN1Tag(cbasn1.INTEGER) {
		return nil, ErrBlob.Withf("The authority signed something that is no archived key.")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(cms.OIDEnvelopedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
	return b.Bytes()
}

// open returns the archived key, PKCS #8, with one of the recovery agents' keys. The caller erases it.
func (r *recoveryBlob) open(agents []cms.Recipient) ([]byte, error) {
	if len(agents) == 0 {
		return nil, ErrAgent.Withf("This is a key recovery blob. Give the recovery agent's key.")
	}
	for _, agent := range agents {
		// As Windows writes them: RSA with PKCS #1 padding, and CBC without a MAC. Whoever altered it gets nothing to see of it.
		opened, err := cms.Open(r.envelope, agent, cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true, MaxSize: MaxFile})
		if errors.Is(err, cms.ErrOpen) {
			continue
		}
		if err != nil {
			return nil, err
		}
		key, err := parseKeyBlob(opened.Content)
		clear(opened.Content)
		return key, err
	}
	return nil, ErrAgent
}
