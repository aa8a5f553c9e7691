// Package pkcs12 writes and reads PKCS #12 files (RFC 7292) with any number of
// private keys, each with its certificate and a name: a whole key history in one
// file.
//
// It owns the file format and the passphrases that Sealpost generates for it. It
// does not decide which keys belong into a file or who may have them, and does not
// check certificates or chains.
//
// Of the profiles, Modern is for passphrases that people choose, ModernGenerated
// for those of [GeneratePassphrase], and Compatibility for programs that read
// neither, such as gpgsm 2.2.
//
// # One derivation for a file
//
// A modern file has one PBKDF2 salt and iteration count, so that the key is derived
// once for all bags, and a thousand keys open as quickly as one. This gives nothing
// away. The salt separates files and passphrases, not the bags of one file: whoever
// guesses passphrases tries each guess on one bag, or on the MAC, in either case.
// AES-CBC under one key is safe for many messages as long as each has an
// unpredictable initialisation vector, and every bag gets a fresh random one. The
// MAC has a salt of its own and the same number of iterations, lest it be the
// cheaper target.
//
// All functions are safe for concurrent use.
package pkcs12

import (
	"crypto"
	"crypto/x509"

	"github.com/sealpost/sealpost/internal/fault"
)

// Limits on what Decode reads.
const (
	// MaxSize is the size of a file in bytes: some ten thousand keys.
	MaxSize = 32 << 20
	// MaxIterations is how many iterations all derivations of one file together
	// may take: a few seconds of work.
	MaxIterations = 10_000_000
	// maxKeySize is the size in bytes of one private key, several times that of
	// RSA with 8192 bits: checking a larger one would take minutes.
	maxKeySize = 16 << 10
)

var (
	// ErrMalformed means that the bytes are not a PKCS #12 file in DER.
	ErrMalformed = fault.New(fault.Malformed, "pkcs12-malformed", "The file is not valid PKCS #12 in DER.")
	// ErrTooLarge means that a file exceeds one of the limits.
	ErrTooLarge = fault.New(fault.Malformed, "pkcs12-too-large", "The file is larger than what is accepted.")
	// ErrUnsupported means that a file is protected in a way that is not accepted.
	ErrUnsupported = fault.New(fault.Malformed, "pkcs12-unsupported", "The file uses something that is not accepted.")
	// ErrPassphrase means that the passphrase is wrong or the file was altered:
	// the two cannot be told apart.
	ErrPassphrase = fault.New(fault.Denied, "pkcs12-wrong-passphrase", "The passphrase is wrong, or the file is damaged.")
	// ErrEntry means that Encode was given something that it cannot write.
	ErrEntry = fault.New(fault.Malformed, "pkcs12-bad-entry", "The keys and certificates cannot be written to one file.")
)

// Entry is one private key with its certificate.
type Entry struct {
	// Key is any private key that [x509.MarshalPKCS8PrivateKey] takes, among
	// them *rsa.PrivateKey, *ecdsa.PrivateKey, and *ecdh.PrivateKey for X25519.
	Key crypto.PrivateKey
	// Certificate certifies the key. Decode leaves it nil when a file has a key
	// without a certificate; Encode does not write such.
	Certificate *x509.Certificate
	// Name is the friendlyName that programs show; may be empty.
	Name string
}

// Profile is how a file is protected. The zero value is Modern.
type Profile int

// The profiles. Who reads which is in the decision record on CMS and PKCS #12.
const (
	// Modern is AES-256-CBC with a key from PBKDF2 with HMAC-SHA-256, and a MAC
	// with SHA-256, all at 600,000 iterations: for a passphrase chosen by a person.
	Modern Profile = iota
	// ModernGenerated is Modern at 10,000 iterations, which suffices for a
	// passphrase from GeneratePassphrase. Encode refuses any other.
	ModernGenerated
	// Compatibility is 3DES and SHA-1 at 100,000 iterations, one key to a file:
	// for programs that read no other, such as gpgsm 2.2. Use a passphrase from
	// GeneratePassphrase, because that is all the protection there is.
	Compatibility
)

// String returns the profile's name.
func (p Profile) String() string {
	switch p {
	case Modern:
		return "modern"
	case ModernGenerated:
		return "modern-generated"
	case Compatibility:
		return "compatibility"
	}
	return "unknown"
}

// parameters are the numbers of a profile.
type parameters struct {
	modern     bool
	iterations int
	saltSize   int // bytes
}

func (p Profile) parameters() (parameters, bool) {
	switch p {
	case Modern:
		return parameters{modern: true, iterations: 600_000, saltSize: 16}, true
	case ModernGenerated:
		return parameters{modern: true, iterations: 10_000, saltSize: 16}, true
	case Compatibility:
		return parameters{iterations: 100_000, saltSize: 8}, true
	}
	return parameters{}, false
}
