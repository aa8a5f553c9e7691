package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"io"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
)

// guard is an issuer's key that signs one digest and no other: the one that was stored.
type guard struct {
	crypto.Signer
	hash   crypto.Hash
	digest []byte
}

// Sign implements crypto.Signer.
func (g guard) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != g.hash || len(g.digest) != g.hash.Size() || subtle.ConstantTimeCompare(digest, g.digest) != 1 {
		return nil, ErrTampered
	}
	return g.Signer.Sign(rand, digest, opts)
}

// sign makes the certificate of stored bytes. softcas builds it anew from their contents; the guard refuses to sign
// unless that yields the very digest that was stored, and x509.CreateCertificate, beneath it, verifies the signature.
func (i *Issuer) sign(ctx context.Context, tbs, digest []byte) ([]byte, error) {
	if i.signer == nil {
		return nil, ErrNoSigner.Withf("The key of the issuer %s is not at hand.", i.id)
	}
	h := i.algorithm.hash.New()
	h.Write(tbs)
	if subtle.ConstantTimeCompare(h.Sum(nil), digest) != 1 {
		return nil, ErrTampered
	}
	template, err := templateOf(tbs, i.algorithm.x509)
	if err != nil {
		return nil, ErrTampered.Because(err)
	}
	c, err := softcas.New(ctx, apiv1.Options{
		CertificateChain: []*x509.Certificate{i.cert},
		Signer:           guard{i.signer, i.algorithm.hash, digest},
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", i.id, err)
	}
	r, err := c.CreateCertificate(&apiv1.CreateCertificateRequest{Template: template, Lifetime: template.NotAfter.Sub(template.NotBefore)})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", i.id, err)
	}
	if !bytes.Equal(r.Certificate.RawTBSCertificate, tbs) {
		return nil, ErrTampered
	}
	return r.Certificate.Raw, nil
}
