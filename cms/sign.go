package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// SignOptions choose what goes into a signature beside the content.
type SignOptions struct {
	// Chain are further certificates to include, usually the intermediates.
	Chain []*x509.Certificate
	// Detached leaves the content out of the message.
	Detached bool
	// ContentType says what the content is; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// SigningTime is written as a signed attribute unless it is zero.
	SigningTime time.Time
}

// Sign signs content and returns SignedData in DER with one signer, signed
// attributes, and the signer's certificate. RSA keys sign with PKCS #1 v1.5 and
// SHA-256, ECDSA keys with the hash that fits their curve, Ed25519 as in RFC 8419.
// The signer may be on a token. A certificate that is not the signer's, or is
// not for signing, is ErrSigner.
func Sign(content []byte, signer crypto.Signer, cert *x509.Certificate, opt SignOptions) ([]byte, error) {
	return nil, ErrSigner
}
