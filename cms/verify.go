package cms

import (
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// VerifyOptions say what is expected of a signature. Who is trusted must be said:
// one of Roots, Signer or AllowAnySigner has to be set.
type VerifyOptions struct {
	// Content is the signed content of a detached signature. It must be nil
	// when the message carries its content, and non-nil when it does not.
	Content []byte
	// ContentType is what the content has to be; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// Signer is the certificate that must have signed, byte for byte. It need
	// not be in the message.
	Signer *x509.Certificate
	// Roots that the signer's chain must reach. Intermediates are taken from
	// the message and from Intermediates.
	Roots         *x509.CertPool
	Intermediates []*x509.Certificate
	// ExtKeyUsages of which the chain must allow one; empty means any. Only
	// looked at together with Roots.
	ExtKeyUsages []x509.ExtKeyUsage
	// At is the time for which the chain is checked; zero means now. The
	// signing time in the message is the signer's claim and is not used.
	At time.Time
	// AllowAnySigner accepts whoever signed, with whatever certificate came in
	// the message: it proves possession of a key and nothing about a person.
	AllowAnySigner bool
	// MaxSize in bytes of the whole message; zero means DefaultMaxSize.
	MaxSize int
}

// Signed is a message whose signature held.
type Signed struct {
	ContentType asn1.ObjectIdentifier
	Content     []byte
	Signer      *x509.Certificate
	// Certificates are all that came in the message, unchecked.
	Certificates []*x509.Certificate
	// SigningTime is what the signer claims; zero when absent.
	SigningTime time.Time
}

// Verify checks SignedData in DER with exactly one signer. Signed attributes are
// required. A message that is not understood is ErrMalformed, ErrTooLarge or
// ErrUnsupported (SHA-1 among others); one that does not hold is ErrVerify.
func Verify(der []byte, opt VerifyOptions) (*Signed, error) {
	return nil, ErrVerify
}
