package client

import (
	"crypto"
	"crypto/tls"
	"io"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/fault"
)

// witness is a signer that remembers why it did not sign: crypto/tls tells it as text alone, and a key in a token or TPM
// has faults that a person can do something about.
type witness struct {
	crypto.Signer
	failed atomic.Pointer[fault.Error]
}

// Sign signs, as crypto.Signer says.
func (w *witness) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := w.Signer.Sign(rand, digest, opts)
	w.failed.Store(fault.Of(err))
	return signature, err
}

// witnessed returns a certificate whose key is watched, and who watches it; nil if there is none.
func witnessed(cert *tls.Certificate) (*tls.Certificate, *witness) {
	if cert == nil {
		return nil, nil
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert, nil
	}
	watched, w := *cert, &witness{Signer: signer}
	watched.PrivateKey = w
	return &watched, w
}
