package cms

import (
	"crypto/x509"
	"encoding/asn1"
)

// Recipient is who opens: a certificate that the message was sealed to and its
// private key.
type Recipient struct {
	Certificate *x509.Certificate
	Key         Decrypter
}

// OpenOptions loosen what Open accepts. The zero value is the strict one.
type OpenOptions struct {
	// AllowPKCS1v15 accepts RSA key transport with PKCS #1 v1.5 padding, as
	// Windows and most mail programs write it. Use a key for it that serves
	// nothing else.
	AllowPKCS1v15 bool
	// AllowUnauthenticated accepts EnvelopedData, whose CBC content anybody can
	// alter without it being noticed.
	AllowUnauthenticated bool
	// MaxSize in bytes of the whole message; zero means DefaultMaxSize.
	MaxSize int
}

// Opened is what was inside a message.
type Opened struct {
	ContentType asn1.ObjectIdentifier
	// Content is the plaintext. The caller clears it when it is a secret.
	Content []byte
	// Recipient is the certificate it was opened for.
	Recipient *x509.Certificate
	// Authenticated is true when alterations would have been noticed
	// (AuthEnvelopedData). It says nothing about who sealed it: anybody can.
	Authenticated bool
}

// Open decrypts a message in DER. Structural faults are ErrMalformed, ErrTooLarge
// or ErrUnsupported; a key that does not belong to its certificate is
// ErrRecipient; everything that fails from there on is ErrOpen, after the same work.
func Open(der []byte, r Recipient, opt OpenOptions) (*Opened, error) {
	return nil, ErrOpen
}
