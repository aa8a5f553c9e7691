package record

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrSignature is returned when a signature does not hold or was made with a key that may not sign.
var ErrSignature = fault.New(fault.Denied, "archive-signature", "The signature does not hold.")

// Algorithm names how a signature was made.
type Algorithm uint8

const (
	ECDSA   Algorithm = 1 // P-256 or P-384, ASN.1 signature over the digest
	RSAPSS  Algorithm = 2 // at least 2048 bits, SHA-256, MGF1 with SHA-256, salt of 32 bytes
	Ed25519 Algorithm = 3 // the digest is the message
)

const minRSABits = 2048

// Signature is a signature over an object of this package: over SHA-256(label ‖ 0x00 ‖ the object's bytes without it).
type Signature struct {
	Algorithm Algorithm
	Value     []byte
}

// pssOptions are the ones of RSAPSS.
var pssOptions = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}

// digest is what is signed, and the name of the signed object wherever another refers to it.
func digest(statement []byte) Hash { return labelled(labelSignature, statement) }

// sign makes a signature over a statement.
func sign(signer crypto.Signer, statement []byte) (Signature, error) {
	if signer == nil {
		return Signature{}, ErrSignature.Withf("There is no key to sign with.")
	}
	alg, err := algorithmOf(signer.Public())
	if err != nil {
		return Signature{}, err
	}
	d := digest(statement)
	var opts crypto.SignerOpts = crypto.SHA256
	switch alg {
	case RSAPSS:
		opts = pssOptions
	case Ed25519:
		opts = crypto.Hash(0)
	}
	value, err := signer.Sign(rand.Reader, d[:], opts)
	if err != nil {
		return Signature{}, err
	}
	s := Signature{Algorithm: alg, Value: value}
	switch signer.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey: // the standard library signs what it is given
		return s, nil
	}
	return s, s.verify(signer.Public(), statement) // a token that signs something else must not go unnoticed
}

func (s Signature) verify(public crypto.PublicKey, statement []byte) error {
	alg, err := algorithmOf(public)
	if err != nil {
		return err
	}
	if alg != s.Algorithm {
		return ErrSignature.Withf("The signature was made with another kind of key.")
	}
	d := digest(statement)
	ok := false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, d[:], s.Value)
	case *rsa.PublicKey:
		ok = rsa.VerifyPSS(k, crypto.SHA256, d[:], s.Value, pssOptions) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, d[:], s.Value)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func algorithmOf(public crypto.PublicKey) (Algorithm, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return ECDSA, nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return RSAPSS, nil
		}
	case ed25519.PublicKey:
		return Ed25519, nil
	}
	return 0, ErrSignature.Withf("Signatures are made with ECDSA on P-256 or P-384, RSA of at least %d bits, or Ed25519.", minRSABits)
}

func (w *writer) signature(s Signature) {
	w.u8(uint8(s.Algorithm))
	w.blob16(s.Value)
}

func (r *reader) signature() Signature {
	s := Signature{Algorithm: Algorithm(r.u8("signature algorithm"))}
	s.Value = append([]byte(nil), r.blob16("signature", maxSignature)...)
	if r.err == nil && (s.Algorithm < ECDSA || s.Algorithm > Ed25519) {
		r.fail("signature algorithm", "is not known")
	}
	if len(s.Value) == 0 {
		r.fail("signature", "is missing")
	}
	return s
}

// Fingerprint returns the SHA-256 of a certificate's DER: what people compare.
func Fingerprint(c *x509.Certificate) Hash { return hashOf(c.Raw) }
