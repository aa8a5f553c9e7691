package cms

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// signedData is a SignedData taken apart, with nothing verified yet.
type signedData struct {
	version      int
	digests      []algorithm
	contentType  asn1.ObjectIdentifier
	content      []byte // nil when the content is not in the message
	certificates []*x509.Certificate
	crls         bool                // there are some, or something else in their place
	signers      []cryptobyte.String // bodies of SignerInfo
}

// signerInfo is a SignerInfo taken apart.
type signerInfo struct {
	identity
	digest     algorithm
	hash       crypto.Hash
	signed     []byte // the signed attributes as the SET OF that the signature covers
	attributes attributes
	algorithm  algorithm
	signature  []byte
	unsigned   bool // there are unsigned attributes
}

// maxSigners is how many SignerInfo are counted before a message is refused.
const maxSigners = 16

func parseSignedData(der []byte) (*signedData, error) {
	typ, body, err := contentInfo(der)
	if err != nil {
		return nil, err
	}
	if !typ.Equal(OIDSignedData) {
		return nil, ErrMalformed.Withf("The message is not a signed one (content type %v).", typ)
	}
	s := new(signedData)
	var digests, certs, crls, signers cryptobyte.String
	var hasCerts bool
	if !body.ReadASN1Integer(&s.version) || s.version != 1 && (s.version < 3 || s.version > 5) ||
		!body.ReadASN1(&digests, cbasn1.SET) || !s.readDigests(digests) ||
		!s.readContent(&body) ||
		!body.ReadOptionalASN1(&certs, &hasCerts, context(0)) ||
		!body.ReadOptionalASN1(&crls, &s.crls, context(1)) || // of no use here
		!body.ReadASN1(&signers, cbasn1.SET) || !body.Empty() {
		return nil, ErrMalformed
	}
	if err := s.readCertificates(certs); err != nil {
		return nil, err
	}
	for !signers.Empty() {
		var signer cryptobyte.String
		if !signers.ReadASN1(&signer, cbasn1.SEQUENCE) {
			return nil, ErrMalformed
		}
		if s.signers = append(s.signers, signer); len(s.signers) > maxSigners {
			return nil, ErrTooLarge.Withf("The message has more than %d signers.", maxSigners)
		}
	}
	return s, nil
}

func (s *signedData) readDigests(set cryptobyte.String) bool {
	for !set.Empty() && len(s.digests) < maxSigners {
		var a algorithm
		if !readAlgorithm(&set, &a) {
			return false
		}
		s.digests = append(s.digests, a)
	}
	return set.Empty()
}

// readContent reads EncapsulatedContentInfo (RFC 5652 §5.2). The content is one
// primitive OCTET STRING; the forms of PKCS #7 1.5 and of BER are refused.
func (s *signedData) readContent(body *cryptobyte.String) bool {
	var info, content, octets cryptobyte.String
	var has bool
	if !body.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1ObjectIdentifier(&s.contentType) ||
		!info.ReadOptionalASN1(&content, &has, context(0)) || !info.Empty() {
		return false
	}
	if !has {
		return true
	}
	if !content.ReadASN1(&octets, cbasn1.OCTET_STRING) || !content.Empty() {
		return false
	}
	s.content = append([]byte{}, octets...)
	return true
}

// readCertificates reads the certificates [0]. Only X.509 certificates are
// accepted; the attribute certificates and other choices of RFC 5652 §10.2.2 are not.
func (s *signedData) readCertificates(set cryptobyte.String) error {
	for !set.Empty() {
		var element cryptobyte.String
		if !set.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			return ErrMalformed
		}
		if len(s.certificates) == MaxCertificates {
			return ErrTooLarge.Withf("The message carries more than %d certificates.", MaxCertificates)
		}
		cert, err := x509.ParseCertificate(element)
		if err != nil {
			return ErrMalformed.Withf("The message carries a certificate that cannot be read.").Because(err)
		}
		if pub, ok := cert.PublicKey.(*rsa.PublicKey); ok && pub.N.BitLen() > maxRSABits {
			return ErrTooLarge.Withf("The message carries an RSA key of %d bits; at most %d are accepted.", pub.N.BitLen(), maxRSABits)
		}
		s.certificates = append(s.certificates, cert)
	}
	return nil
}

// parseSignerInfo reads a SignerInfo (RFC 5652 §5.3). Signed attributes are
// required: without them, the attributes of one message could be passed off as
// the content of another.
func parseSignerInfo(body cryptobyte.String) (*signerInfo, error) {
	s := new(signerInfo)
	var version int
	if !body.ReadASN1Integer(&version) || !s.readIdentity(&body, version) || !readAlgorithm(&body, &s.digest) {
		return nil, ErrMalformed
	}
	hash, ok := hashByOID(s.digest.oid)
	if !ok || !s.digest.plain() {
		return nil, ErrUnsupported.Withf("The digest algorithm %v is not accepted.", s.digest.oid)
	}
	s.hash = hash
	if !body.PeekASN1Tag(context(0)) {
		return nil, ErrUnsupported.Withf("The signature has no signed attributes.")
	}
	var element, set, signature, unsigned cryptobyte.String
	if !body.ReadASN1Element(&element, context(0)) {
		return nil, ErrMalformed
	}
	s.signed = withTag(element, cbasn1.SET)
	if !element.ReadASN1(&set, context(0)) {
		return nil, ErrMalformed
	}
	if s.attributes, ok = parseAttributes(set); !ok {
		return nil, ErrMalformed
	}
	if !readAlgorithm(&body, &s.algorithm) || !body.ReadASN1(&signature, cbasn1.OCTET_STRING) ||
		!body.ReadOptionalASN1(&unsigned, &s.unsigned, context(1)) || !body.Empty() { // nothing vouches for them
		return nil, ErrMalformed
	}
	s.signature = signature
	return s, nil
}

func (s *signerInfo) readIdentity(body *cryptobyte.String, version int) bool {
	var id cryptobyte.String
	switch version {
	case 1:
		return body.ReadASN1(&id, cbasn1.SEQUENCE) && s.readIssuerAndSerial(id)
	case 3:
		ok := body.ReadASN1(&id, contextPrimitive(0))
		s.keyID = id
		return ok
	}
	return false
}
