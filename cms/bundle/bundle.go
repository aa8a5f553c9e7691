// Package bundle writes certificates-only messages (RFC 8551 §3.8; SignedData without content and signers), as servers
// publish their chains. It is apart from package cms because its library, go.mozilla.org/pkcs7, links Go's testing
// package: programs on workstations read bundles, with cms.ParseCertsOnly, and need not carry that.
package bundle

import (
	"crypto/x509"

	"go.mozilla.org/pkcs7"

	"github.com/sealpost/sealpost/cms"
)

// Write packs certificates, in the order given. Nothing vouches for such a bundle. It returns cms.ErrMalformed for none,
// and for more than cms.MaxCertificates.
func Write(certs []*x509.Certificate) ([]byte, error) {
	if len(certs) == 0 || len(certs) > cms.MaxCertificates {
		return nil, cms.ErrMalformed.Withf("A bundle has between 1 and %d certificates, not %d.", cms.MaxCertificates, len(certs))
	}
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		return nil, cms.ErrMalformed.Because(err)
	}
	return der, nil
}
