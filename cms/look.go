package cms

import (
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SignatureLook is what a signed message says of itself. Nothing of it was verified: it is for telling people what their
// mail program does.
type SignatureLook struct {
	Signer       *x509.Certificate   // as the message names it; nil if it is not in the message
	Certificates []*x509.Certificate // all in the message
	Digest       asn1.ObjectIdentifier
	Algorithm    asn1.ObjectIdentifier
	Capabilities []asn1.ObjectIdentifier // that the signer's program announces, preferred first; nil: none, or not readable
}

// LookAtSignature looks at SignedData with exactly one signer, in DER or BER. Algorithms that Verify does not accept are
// told like others. maxSize is as in VerifyOptions.
func LookAtSignature(message []byte, maxSize int) (*SignatureLook, error) {
	der, err := readable(message, maxSize, true)
	if err != nil {
		return nil, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, err
	}
	if len(data.signers) != 1 {
		return nil, ErrVerify.Withf("The message has %d signers; exactly one is required.", len(data.signers))
	}
	body := data.signers[0]
	var s signerInfo
	var version int
	var set, signature cryptobyte.String
	var attributed bool
	if !body.ReadASN1Integer(&version) || !s.readIdentity(&body, version) || !readAlgorithm(&body, &s.digest) ||
		!body.ReadOptionalASN1(&set, &attributed, context(0)) || !readAlgorithm(&body, &s.algorithm) || !body.ReadASN1(&signature, cbasn1.OCTET_STRING) {
		return nil, ErrMalformed
	}
	out := &SignatureLook{Certificates: data.certificates, Digest: s.digest.oid, Algorithm: s.algorithm.oid}
	for _, cert := range data.certificates {
		if s.matches(cert) {
			out.Signer = cert
			break
		}
	}
	if attrs, ok := parseAttributes(set); attributed && ok {
		if value, there := attrs[oidAttrCapabilities.String()]; there {
			if list, ok := readCapabilities(&value); ok {
				out.Capabilities = list
			}
		}
	}
	return out, nil
}

// EnvelopeLook is what an encrypted message says of itself.
type EnvelopeLook struct {
	Cipher  asn1.ObjectIdentifier // of the content
	Key     asn1.ObjectIdentifier // by which the content's key is encrypted to the first of the certificates; nil if to none
	For     *x509.Certificate     // that certificate
	Strong  bool                  // Open knows the cipher, and it is not an old one
	Opaque  bool                  // Open does not know the cipher
	Entries int                   // how many recipients there are
}

// LookAtEnvelope looks at EnvelopedData or AuthEnvelopedData, in DER or BER, and whether it is for one of the certificates.
func LookAtEnvelope(message []byte, certs []*x509.Certificate, maxSize int) (*EnvelopeLook, error) {
	der, err := readable(message, maxSize, true)
	if err != nil {
		return nil, err
	}
	typ, body, err := contentInfo(der)
	if err != nil {
		return nil, err
	}
	e := &envelope{pieces: true, authenticated: typ.Equal(OIDAuthEnvelopedData)}
	if !e.authenticated && !typ.Equal(OIDEnvelopedData) {
		return nil, ErrMalformed.Withf("The message is not an enveloped one (content type %v).", typ)
	}
	var version int
	if !body.ReadASN1Integer(&version) || !e.versionFits(version) || !body.SkipOptionalASN1(context(0)) {
		return nil, ErrMalformed
	}
	if err := e.readRecipients(&body); err != nil {
		return nil, err
	}
	var info cryptobyte.String
	var a algorithm
	if !body.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&e.contentType) || !readAlgorithm(&info, &a) {
		return nil, ErrMalformed
	}
	out := &EnvelopeLook{Cipher: a.oid, Entries: len(e.recipients)}
	parse := parseCBC
	if e.authenticated {
		parse = parseGCM
	}
	_, err = parse(a)
	out.Opaque = err != nil
	out.Strong = err == nil && !a.oid.Equal(oid3DESCBC)
	for _, cert := range certs {
		if found := e.find(cert); found != nil {
			out.For, out.Key = cert, found.algorithm.oid
			break
		}
	}
	return out, nil
}

// TypeOf returns the content type of a message in DER or BER, such as OIDSignedData.
func TypeOf(message []byte, maxSize int) (asn1.ObjectIdentifier, error) {
	der, err := readable(message, maxSize, true)
	if err != nil {
		return nil, err
	}
	typ, _, err := contentInfo(der)
	return typ, err
}

// AlgorithmName returns how people call an algorithm of mail, and whether it is not too old to be used; an unknown one has its
// number for a name, and is none to be used.
func AlgorithmName(oid asn1.ObjectIdentifier) (name string, good bool) {
	for _, a := range []struct {
		oid  asn1.ObjectIdentifier
		name string
		good bool
	}{
		{oidAES256CBC, "AES-256", true}, {oidAES192CBC, "AES-192", true}, {oidAES128CBC, "AES-128", true},
		{oidAES256GCM, "AES-256-GCM", true}, {oidAES192GCM, "AES-192-GCM", true}, {oidAES128GCM, "AES-128-GCM", true},
		{oidChaCha20Poly1305, "ChaCha20-Poly1305", true},
		{oid3DESCBC, "Triple-DES", false}, {oidRC2CBC, "RC2", false}, {oidDESCBC, "DES", false}, {oidRC4, "RC4", false},
		{oidSHA256, "SHA-256", true}, {oidSHA384, "SHA-384", true}, {oidSHA512, "SHA-512", true}, {oidSHA1, "SHA-1", false}, {oidMD5, "MD5", false},
		{oidRSA, "RSA", true}, {oidRSAOAEP, "RSA-OAEP", true}, {oidRSAPSS, "RSA-PSS", true},
		{oidRSASHA256, "RSA, SHA-256", true}, {oidRSASHA384, "RSA, SHA-384", true}, {oidRSASHA512, "RSA, SHA-512", true}, {oidRSASHA1, "RSA, SHA-1", false},
		{oidECDSASHA256, "ECDSA, SHA-256", true}, {oidECDSASHA384, "ECDSA, SHA-384", true}, {oidECDSASHA512, "ECDSA, SHA-512", true},
		{oidEd25519, "Ed25519", true},
		{oidECDH256, "ECDH, SHA-256", true}, {oidECDH384, "ECDH, SHA-384", true}, {oidECDH512, "ECDH, SHA-512", true},
	} {
		if a.oid.Equal(oid) {
			return a.name, a.good
		}
	}
	return oid.String(), false
}
