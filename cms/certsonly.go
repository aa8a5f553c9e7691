package cms

import (
	"crypto/x509"

	"go.mozilla.org/pkcs7"
)

// CertsOnly packs certificates into SignedData without content and signer
// (RFC 8551 §3.8), in the order given. Nothing vouches for such a bundle.
func CertsOnly(certs []*x509.Certificate) ([]byte, error) {
	if len(certs) == 0 || len(certs) > MaxCertificates {
		return nil, ErrMalformed.Withf("A bundle has between 1 and %d certificates, not %d.", MaxCertificates, len(certs))
	}
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		return nil, ErrMalformed.Because(err)
	}
	return der, nil
}

// ParseCertsOnly unpacks what CertsOnly and others write, at most DefaultMaxSize
// bytes. A message with a signer or content is refused, so that no signature
// passes unverified.
func ParseCertsOnly(der []byte) ([]*x509.Certificate, error) {
	if err := checkDER(der, DefaultMaxSize); err != nil {
		return nil, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, err
	}
	if len(data.signers) != 0 || data.content != nil {
		return nil, ErrMalformed.Withf("The message is signed; a bundle of certificates alone is required.")
	}
	if len(data.certificates) == 0 {
		return nil, ErrMalformed.Withf("The message carries no certificates.")
	}
	return data.certificates, nil
}
