package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// KeyAlgorithm is a kind of public key and its size, as profiles name it.
type KeyAlgorithm string

// The kinds of key that can be certified. X25519 is missing: Go's crypto/x509, through which softcas signs, does not
// write certificates for it.
const (
	P256    KeyAlgorithm = "P-256"
	P384    KeyAlgorithm = "P-384"
	Ed25519 KeyAlgorithm = "Ed25519"
	RSA2048 KeyAlgorithm = "RSA-2048"
	RSA3072 KeyAlgorithm = "RSA-3072"
	RSA4096 KeyAlgorithm = "RSA-4096"
)

// maxSPKI bounds a SubjectPublicKeyInfo in DER. RSA-4096 has 550 octets.
const maxSPKI = 1024

// publicKey is a public key that has passed every check that does not depend on a profile.
type publicKey struct {
	key       crypto.PublicKey
	algorithm KeyAlgorithm
	spki      []byte // DER
}

// parseKey reads a SubjectPublicKeyInfo and refuses keys that are weak, unknown or oddly encoded.
func parseKey(spki []byte) (publicKey, error) {
	if len(spki) > maxSPKI {
		return publicKey{}, ErrKeySize.Withf("The public key is too large; at most RSA-4096 is accepted.")
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return publicKey{}, ErrKeyAlgorithm.Because(err)
	}
	return checkKey(key, spki)
}

func checkKey(key crypto.PublicKey, spki []byte) (publicKey, error) {
	alg, err := algorithmOf(key)
	if err != nil {
		return publicKey{}, err
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		if err := checkRSA(k); err != nil {
			return publicKey{}, err
		}
	}
	// The bytes are certified as they are, so there must be only one way to write a key.
	canonical, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return publicKey{}, ErrKeyAlgorithm.Because(err)
	}
	if !bytes.Equal(canonical, spki) {
		return publicKey{}, ErrKeyEncoding
	}
	return publicKey{key, alg, canonical}, nil
}

func algorithmOf(key crypto.PublicKey) (KeyAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return P256, nil
		case elliptic.P384():
			return P384, nil
		}
		return "", ErrKeyAlgorithm.Withf("The curve %s is not accepted. Use P-256 or P-384.", k.Params().Name)
	case ed25519.PublicKey:
		return Ed25519, nil
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); n {
		case 2048, 3072, 4096:
			return KeyAlgorithm(fmt.Sprintf("RSA-%d", n)), nil
		default:
			return "", ErrKeySize.Withf("The RSA key has %d bits. Use 3072 or 4096.", n)
		}
	default:
		return "", ErrKeyAlgorithm
	}
}

func (a KeyAlgorithm) rsa() bool { return a == RSA2048 || a == RSA3072 || a == RSA4096 }

func (a KeyAlgorithm) known() bool {
	return a.rsa() || a == P256 || a == P384 || a == Ed25519
}

// Known reports whether a is a kind of key that can be certified.
func (a KeyAlgorithm) Known() bool { return a.known() }

// Algorithm returns the kind of the certificate's key.
func (c Certificate) Algorithm() (KeyAlgorithm, error) {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return "", fmt.Errorf("read certificate %s of %s: %w", c.Serial, c.Issuer, err)
	}
	return algorithmOf(leaf.PublicKey)
}
