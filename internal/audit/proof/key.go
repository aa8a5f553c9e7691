package proof

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// VerifierKey returns a log's public key as one word, name+hash+key, which is what note.NewVerifier and other programs of
// this kind take. Auditors and officers get it once, by a way that they trust.
func VerifierKey(name string, key ed25519.PublicKey) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(name, key)
}

// Known are the keys of a log, by which its checkpoints are verified.
type Known = note.Verifiers

// Verifiers returns the keys in vkeys, each as VerifierKey gives it.
func Verifiers(vkeys ...string) (note.Verifiers, error) {
	var list []note.Verifier
	for _, k := range vkeys {
		v, err := note.NewVerifier(k)
		if err != nil {
			return nil, ErrMalformed.Withf("%q is no audit verifier key.", k).Because(err)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

// NewSigner returns a signer of notes in the name of a log, with an Ed25519 key that may lie in a file or a device.
func NewSigner(name string, key crypto.Signer) (*Signer, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the audit log's key is %T, not Ed25519", key.Public())
	}
	vkey, err := VerifierKey(name, pub)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &Signer{Verifier: v, vkey: vkey, key: key}, nil
}

// Signer signs notes. Its methods are those of note.Signer and note.Verifier. It is safe for concurrent use if its key is.
type Signer struct {
	note.Verifier
	vkey string
	key  crypto.Signer
}

// VerifierKey returns the public half.
func (s *Signer) VerifierKey() string { return s.vkey }

// Sign signs msg, and checks the signature: a device may fail quietly.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	sig, err := s.key.Sign(rand.Reader, msg, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	if !s.Verify(msg, sig) {
		return nil, errors.New("the audit log's key makes signatures that do not verify")
	}
	return sig, nil
}
