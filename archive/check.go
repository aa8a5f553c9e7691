package archive

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of a key that cannot be archived.
var (
	ErrKeyFormat      = fault.New(fault.Malformed, "archived-key-format", "The private key is not PKCS#8, its numbers do not agree with one another, or its algorithm is one that the archive cannot check.")
	ErrKeyMismatch    = fault.New(fault.Malformed, "archived-key-mismatch", "The private key does not belong to the public key in the certificate request.")
	ErrKeyWeak        = fault.New(fault.Malformed, "archived-key-weak", "The private key is weak. Make a new one.")
	ErrKeyDoesNotWork = fault.New(fault.Malformed, "archived-key-broken", "The private key does not decrypt what its public key encrypts. Make a new one.")
)

// Bounds of RSA keys, in bits. Below, they are weak; above, checking one takes seconds.
const (
	minRSABits = 2048
	maxRSABits = 8192
	maxPKCS8   = 16 << 10 // bytes
)

// checkKey proves that a private key (PKCS#8, DER) is the one of a public key (SubjectPublicKeyInfo, DER) and works, and
// returns it with its algorithm's name (as docs/archive-format.md has them), as encoded by us: what is archived has exactly one form, and nothing that the sender added. The caller
// clears both.
//
// An archive that takes a key on trust finds out when the mail is needed that it opens nothing.
func checkKey(pkcs8, spki []byte) (encoded []byte, algorithm string, err error) {
	if len(pkcs8) > maxPKCS8 {
		return nil, "", ErrKeyFormat.Withf("The private key is larger than %d bytes.", maxPKCS8)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		// The parser's text could quote the key's values.
		return nil, "", ErrKeyFormat
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		algorithm, err = fmt.Sprintf("rsa-%d", k.N.BitLen()), checkRSA(k)
	case *ecdsa.PrivateKey:
		algorithm, err = "ec-"+strings.ToLower(strings.ReplaceAll(k.Curve.Params().Name, "-", "")), checkEC(k)
	case *ecdh.PrivateKey:
		algorithm = "x25519" // its public key is derived from the private one, and compared below
	default:
		return nil, "", ErrKeyFormat.Withf("A key of this algorithm cannot be archived, because it cannot be checked.")
	}
	if err != nil {
		return nil, "", err
	}
	public := key.(interface{ Public() crypto.PublicKey }).Public()
	derived, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, "", ErrKeyFormat
	}
	if subtle.ConstantTimeCompare(derived, spki) != 1 {
		return nil, "", ErrKeyMismatch
	}
	encoded, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", ErrKeyFormat
	}
	return encoded, algorithm, nil
}

// checkRSA checks size, exponent, the primes' distance and the numbers' agreement, and then that the key decrypts: of a
// key whose "prime" is composite, all the rest may agree.
func checkRSA(k *rsa.PrivateKey) error {
	bits := k.N.BitLen()
	switch {
	case bits < minRSABits || bits > maxRSABits:
		return ErrKeyWeak.Withf("The RSA key has %d bits; between %d and %d are taken.", bits, minRSABits, maxRSABits)
	case k.E < 65537:
		return ErrKeyWeak.Withf("The RSA key's public exponent is %d; at least 65537 is taken.", k.E)
	case len(k.Primes) != 2:
		return ErrKeyWeak.Withf("The RSA key has %d primes; keys of two are taken.", len(k.Primes))
	}
	// FIPS 186-5, A.1.3: |p - q| > 2^(bits/2 - 100), or Fermat's method finds them.
	distance := new(big.Int).Sub(k.Primes[0], k.Primes[1])
	if distance.BitLen() <= bits/2-100 {
		return ErrKeyWeak.Withf("The RSA key's primes lie too close together.")
	}
	// FIPS 186-5, A.1.1: d > 2^(bits/2), or Wiener's method finds it.
	if k.D.BitLen() <= bits/2 {
		return ErrKeyWeak.Withf("The RSA key's private exponent is too small.")
	}
	if err := k.Validate(); err != nil {
		return ErrKeyDoesNotWork
	}
	probe := make([]byte, 32)
	_, _ = rand.Read(probe) // never fails
	c, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.PublicKey, probe, nil)
	if err != nil {
		return ErrKeyDoesNotWork
	}
	m, err := rsa.DecryptOAEP(sha256.New(), nil, k, c, nil)
	if err != nil || !bytes.Equal(m, probe) {
		return ErrKeyDoesNotWork
	}
	return nil
}

// checkEC makes no trial, which RSA needs because of its many numbers: an EC key is one number. Its public key was
// derived from it by the parser, is derived here once more, and the caller compares it with the one that is certified.
// Who has that number decrypts whatever is sent to that public key.
func checkEC(k *ecdsa.PrivateKey) error {
	d, err := k.ECDH()
	if err != nil {
		return ErrKeyFormat.Withf("A key on this curve cannot be archived.")
	}
	public, err := k.PublicKey.ECDH()
	if err != nil || !public.Equal(d.PublicKey()) {
		return ErrKeyDoesNotWork
	}
	return nil
}
