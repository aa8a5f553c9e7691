package cms

import (
	"crypto/x509"
	"encoding/asn1"
)

// SealOptions choose how Seal writes. The zero value is right for everything
// that Sealpost itself will read.
type SealOptions struct {
	// ContentType says what the content is; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// Legacy writes EnvelopedData with AES-256-CBC, which mail programs read
	// but which does not notice alterations, in place of AuthEnvelopedData.
	Legacy bool
}

// Seal encrypts content to every one of the recipients and returns DER. Any one
// of them can open it. RSA keys get RSAES-OAEP with SHA-256; P-256, P-384, P-521
// and X25519 keys get ephemeral-static ECDH with AES-256 key wrap. No recipient,
// more than MaxRecipients, or a certificate whose key or key usage does not fit
// is ErrRecipient.
func Seal(content []byte, recipients []*x509.Certificate, opt SealOptions) ([]byte, error) {
	return nil, ErrUnsupported
}
