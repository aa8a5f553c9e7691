package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of what ReadAdvertisement reads. Two certificates of RSA-4096 with a chain of three have 10 KiB.
const (
	MaxAdvertisement = 32 << 10 // bytes
	maxAdvertised    = 16       // certificates
)

// Advertisement is what somebody told their correspondents, as Advertise writes it. The signature and the form held;
// nobody is trusted yet, and no certificate was checked.
type Advertisement struct {
	Signer       *x509.Certificate
	Encryption   *x509.Certificate // to encrypt to; may be the signer's own
	Certificates []*x509.Certificate
	Capabilities []asn1.ObjectIdentifier // at least one of AES-CBC or AES-GCM among them
	SigningTime  time.Time               // as the signer claims
}

// ReadAdvertisement reads what Advertise writes, strictly: SignedData in DER of at most MaxAdvertisement bytes, version 1, with an
// absent content of type id-data, one digest, one signer named by issuer and serial number, no certificate twice, no revocation
// lists, no unsigned attributes, and exactly the signed attributes that Advertise writes, once each (of those, Microsoft's may be
// missing). It verifies the signature with the signer's certificate in the message, and that the certificate to encrypt to is
// there, too. Faults are those of Verify.
func ReadAdvertisement(der []byte) (*Advertisement, error) {
	if err := checkDER(der, MaxAdvertisement); err != nil {
		return nil, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, err
	}
	if err := data.advertises(); err != nil {
		return nil, err
	}
	signer, err := parseSignerInfo(data.signers[0])
	if err != nil {
		return nil, err
	}
	if signer.unsigned || signer.serial == nil || !ascending(signer.signed) {
		return nil, ErrMalformed.Withf("The signer's part has something that is not accepted here, or is not in DER.")
	}
	out := &Advertisement{Certificates: data.certificates}
	if err := out.readPreferences(signer.attributes); err != nil {
		return nil, err
	}
	if out.Signer, err = data.signerCertificate(signer, VerifyOptions{}); err != nil {
		return nil, err
	}
	if err := data.checkAttributes(signer, nil); err != nil {
		return nil, err
	}
	if err := checkSignature(out.Signer, signer.hash, signer.algorithm, signer.signed, signer.signature); err != nil {
		return nil, err
	}
	return out, nil
}

// advertises checks the frame around the signer.
func (d *signedData) advertises() error {
	switch {
	case d.version != 1 || d.crls || d.content != nil || !d.contentType.Equal(OIDData) || len(d.digests) != 1:
		return ErrMalformed.Withf("The message is not signed over an absent content in the one form that is accepted here.")
	case len(d.signers) != 1:
		return ErrVerify.Withf("The message has %d signers; exactly one is required.", len(d.signers))
	case len(d.certificates) > maxAdvertised:
		return ErrTooLarge.Withf("The message carries more than %d certificates.", maxAdvertised)
	}
	for i, c := range d.certificates {
		if slices.ContainsFunc(d.certificates[:i], c.Equal) {
			return ErrMalformed.Withf("The message carries a certificate twice.")
		}
	}
	return nil
}

// readPreferences reads the attributes that buildPreferences writes, and finds the certificate that they name.
func (a *Advertisement) readPreferences(attrs attributes) error {
	for _, typ := range []asn1.ObjectIdentifier{oidAttrContentType, oidAttrMessageDigest, oidAttrSigningTime, oidAttrCapabilities, oidAttrEncrypKeyPref} {
		if _, ok := attrs[typ.String()]; !ok {
			return ErrMalformed.Withf("The signed attribute %v is missing.", typ)
		}
	}
	expected := 5
	var preferred, microsoft identity
	var ok bool
	if value, has := attrs[oidAttrMicrosoftKeyPref.String()]; has {
		expected++
		if !readKeyPreference(value, cbasn1.SEQUENCE, &microsoft) {
			return ErrMalformed.Withf("Microsoft's preference of a certificate cannot be read.")
		}
	}
	if len(attrs) != expected {
		return ErrMalformed.Withf("There is a signed attribute that is not accepted here.")
	}
	a.SigningTime, _ = attrs.signingTime() // checkAttributes looks at it, too
	value := attrs[oidAttrCapabilities.String()]
	if a.Capabilities, ok = readCapabilities(&value); !ok || !value.Empty() {
		return ErrMalformed.Withf("The capabilities cannot be read.")
	}
	if !slices.ContainsFunc(a.Capabilities, modern) {
		return ErrUnsupported.Withf("The capabilities name no cipher that is still good.")
	}
	if !readKeyPreference(attrs[oidAttrEncrypKeyPref.String()], context(0), &preferred) {
		return ErrMalformed.Withf("The preferred certificate is not named by issuer and serial number.")
	}
	for _, c := range a.Certificates {
		if preferred.matches(c) {
			a.Encryption = c
		}
	}
	switch {
	case a.Encryption == nil:
		return ErrVerify.Withf("The certificate to encrypt to is missing.")
	case microsoft.serial != nil && !microsoft.matches(a.Encryption):
		return ErrVerify.Withf("The two attributes name different certificates to encrypt to.")
	case !mayUseForEncryption(a.Encryption):
		return ErrVerify.Withf("The certificate to encrypt to is not for encryption.")
	}
	return nil
}

// readKeyPreference reads the one value of an attribute that names a certificate by issuer and serial number, under a tag.
func readKeyPreference(value cryptobyte.String, tag cbasn1.Tag, id *identity) bool {
	var name cryptobyte.String
	return value.ReadASN1(&name, tag) && value.Empty() && id.readIssuerAndSerial(name)
}

// modern reports whether a capability is a cipher that Seal would use.
func modern(oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc([]asn1.ObjectIdentifier{oidAES256CBC, oidAES192CBC, oidAES128CBC, oidAES256GCM, oidAES192GCM, oidAES128GCM}, oid.Equal)
}

func mayUseForEncryption(cert *x509.Certificate) bool {
	return cert.KeyUsage == 0 || cert.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0
}

// ascending reports whether the elements of a SET OF are in the order that DER asks for.
func ascending(set []byte) bool {
	input := cryptobyte.String(set)
	var body, last, next cryptobyte.String
	var tag cbasn1.Tag
	if !input.ReadASN1(&body, cbasn1.SET) {
		return false
	}
	for ; body.ReadAnyASN1Element(&next, &tag); last = next {
		if bytes.Compare(last, next) >= 0 {
			return false
		}
	}
	return body.Empty()
}
