package contact

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/ber"
)

// maxInput bounds what is handed in, in bytes, and maxCertificates how many certificates are in it.
const (
	maxInput        = 256 << 10
	maxCertificates = 32
)

// Read returns the certificates of a file: one in DER, some in PEM, or those of a SignedData, such as the signature of a mail
// (smime.p7s), in BER, PEM or base64. Nothing is verified.
func Read(b []byte) ([]*x509.Certificate, error) {
	if len(b) == 0 || len(b) > maxInput {
		return nil, ErrCertificate.Withf("There must be 1 to %d bytes.", maxInput)
	}
	var out []*x509.Certificate
	var err error
	switch {
	case bytes.Contains(b, []byte("-----BEGIN ")):
		for block, rest := pem.Decode(b); block != nil && err == nil; block, rest = pem.Decode(rest) {
			var some []*x509.Certificate
			some, err = readBinary(block.Bytes)
			out = append(out, some...)
		}
	default:
		if text, e := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(b), nil))); e == nil {
			b = text
		}
		out, err = readBinary(b)
	}
	switch {
	case err != nil:
		return nil, ErrCertificate.Because(err)
	case len(out) == 0 || len(out) > maxCertificates:
		return nil, ErrCertificate.Withf("There must be 1 to %d certificates.", maxCertificates)
	}
	return out, nil
}

// readBinary reads a certificate, or those of a SignedData.
func readBinary(b []byte) ([]*x509.Certificate, error) {
	c, failed := x509.ParseCertificate(b)
	if failed == nil {
		return []*x509.Certificate{c}, nil
	}
	der, err := ber.ToDER(b)
	if err != nil {
		return nil, failed
	}
	list, _, err := cms.CertificatesIn(der)
	if err != nil {
		return nil, failed
	}
	return list, nil
}
