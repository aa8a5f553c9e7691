package agent

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
)

// maxChain is how many certificates a chain may have.
const maxChain = 8

// CheckExchange decides whether a private key may be sent to the exchange certificate: it is there, chains to a trusted
// root, is valid now, serves this one purpose and can be encrypted to.
func CheckExchange(x *api.Exchange, anchors *x509.CertPool, now time.Time) (*x509.Certificate, error) {
	if x == nil {
		return nil, ErrExchange.Withf("The server wants the encryption key and names no certificate to send it to. Nothing was sent.")
	}
	cert, err := x509.ParseCertificate(x.Certificate)
	if err != nil {
		return nil, ErrExchange.Withf("The server's exchange certificate cannot be read. Nothing was sent.").Because(err)
	}
	intermediates, err := parseChain(x.Chain)
	if err != nil {
		return nil, ErrExchange.Because(err)
	}
	// Any usage, because x509 knows ours only as an unknown one; it is looked for below.
	_, err = cert.Verify(x509.VerifyOptions{Roots: anchors, Intermediates: pool(intermediates), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, ErrExchange.Withf("The server's exchange certificate does not chain to the trusted roots or is not valid now. Nothing was sent.").Because(err)
	}
	if cert.IsCA || len(cert.ExtKeyUsage) > 0 || len(cert.UnknownExtKeyUsage) != 1 || !cert.UnknownExtKeyUsage[0].Equal(api.OIDExchange) {
		return nil, ErrExchange.Withf("The certificate that the server names for sending keys is not an exchange certificate. Nothing was sent.")
	}
	const agreement = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	if cert.KeyUsage&agreement == 0 || cert.KeyUsage&^agreement != 0 {
		return nil, ErrExchange.Withf("The server's exchange certificate is not for encryption alone. Nothing was sent.")
	}
	return cert, nil
}

// seal encrypts a private key (PKCS#8) to the exchange certificate, bound to person, requests and nonce.
func seal(pkcs8 []byte, exchange *x509.Certificate, person uuid.UUID, signingCSR, encryptionCSR []byte, nonce string) ([]byte, error) {
	content, err := cms.EncKeyWithID{
		PrivateKey: pkcs8,
		Identifier: api.EscrowIdentifier(person, signingCSR, encryptionCSR, nonce),
	}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	defer clear(content)
	message, err := cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	if err != nil {
		return nil, fmt.Errorf("seal private key: %w", err)
	}
	return message, nil
}

func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) > maxChain {
		return nil, fmt.Errorf("chain of %d certificates", len(chain))
	}
	var out []*x509.Certificate
	for _, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
	return slices.Clip(out), nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, cert := range certs {
		p.AddCert(cert)
	}
	return p
}
