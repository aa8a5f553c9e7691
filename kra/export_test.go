package kra

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"io"
)

// Uses counts how often an officer's keys were used.
type Uses struct{ Signatures, Decryptions int }

// Count has every use of the unlocked keys counted.
func (o *Officer) Count() *Uses {
	u := &Uses{}
	o.keys = &pair{countedSigner{o.keys.signing, u}, countedOpener{o.keys.decryption, u}}
	return u
}

type countedSigner struct {
	crypto.Signer
	uses *Uses
}

func (s countedSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.uses.Signatures++
	return s.Signer.Sign(r, digest, opts)
}

type countedOpener struct {
	crypto.Signer
	uses *Uses
}

func (s countedOpener) ECDH(remote *ecdh.PublicKey) ([]byte, error) {
	s.uses.Decryptions++
	if k, ok := s.Signer.(*ecdsa.PrivateKey); ok {
		own, err := k.ECDH()
		if err != nil {
			return nil, err
		}
		return own.ECDH(remote)
	}
	return s.Signer.(interface {
		ECDH(*ecdh.PublicKey) ([]byte, error)
	}).ECDH(remote)
}
