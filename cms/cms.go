// Package cms seals, opens, signs and verifies Cryptographic Message Syntax
// messages (RFC 5652, RFC 5083) for the holders of X.509 certificates.
//
// It owns the bytes of CMS: AuthEnvelopedData with AES-256-GCM for everything
// Sealpost itself reads, EnvelopedData with AES-256-CBC for mail programs that
// know nothing newer, SignedData with exactly one signer, what somebody tells their correspondents in a directory
// (Advertise), reading certificate bundles
// without a signer ("certs-only"; bundle writes them), and the EncKeyWithID content in which a
// private key travels to an archive (RFC 4211).
//
// It does not decide whom to trust, which certificate belongs to whom, or
// whether a certificate is revoked; and it writes DER only. A message in BER with
// indefinite lengths is refused with an error that says so, unless the caller asks
// for what mail programs write (OpenOptions.BER, VerifyOptions.BER). LookAtSignature
// and LookAtEnvelope tell what a message says of itself, and prove nothing.
//
// All functions are pure and safe for concurrent use, as long as the keys given
// to them are.
package cms

import (
	"crypto"
	"crypto/ecdh"

	"github.com/sealpost/sealpost/internal/fault"
)

// Limits on what is read. They bound memory and time for bytes that come from
// outside; every legitimate message of Sealpost stays far below them.
const (
	// DefaultMaxSize is the size in bytes above which Open and Verify refuse a
	// message when their options name no other limit.
	DefaultMaxSize = 1 << 20
	// MaxRecipients is how many recipients one message may name. Seal refuses
	// to write more, Open to read more.
	MaxRecipients = 1000
	// MaxCertificates is how many certificates one message may carry.
	MaxCertificates = 1000
	// maxDepth is how deeply DER may nest. A certificate inside SignedData
	// needs about 12.
	maxDepth = 32
	// RSA keys outside of these sizes in bits are neither sealed to nor signed
	// with. The upper one is that of crypto/tls: the time that a signature takes
	// to verify grows with the square of the size, and crypto/rsa knows no limit.
	minRSABits = 2048
	maxRSABits = 8192
)

var (
	// ErrMalformed means that the bytes are not the CMS structure asked for.
	ErrMalformed = fault.New(fault.Malformed, "cms-malformed", "The message is not valid CMS in DER.")
	// ErrTooLarge means that the message exceeds one of the limits.
	ErrTooLarge = fault.New(fault.Malformed, "cms-too-large", "The message is larger than what is accepted.")
	// ErrUnsupported means that the message uses an algorithm that this package
	// does not know or that the caller's options do not allow.
	ErrUnsupported = fault.New(fault.Malformed, "cms-unsupported-algorithm", "The message uses an algorithm that is not accepted.")
	// ErrOpen is the one answer to everything that fails after the structure
	// was understood: not for this recipient, wrong key, altered, bad padding.
	// It deliberately carries no cause.
	ErrOpen = fault.New(fault.Denied, "cms-cannot-open", "The message cannot be opened with this key.")
	// ErrRecipient means that a certificate cannot receive, or that the key
	// given to open with does not belong to the certificate beside it.
	ErrRecipient = fault.New(fault.Malformed, "cms-bad-recipient", "The recipient cannot be used.")
	// ErrSigner means that a key or certificate cannot sign.
	ErrSigner = fault.New(fault.Malformed, "cms-bad-signer", "The signer cannot be used.")
	// ErrVerify means that a signature, or the trust in its signer, does not hold.
	ErrVerify = fault.New(fault.Denied, "cms-not-verified", "The signature cannot be verified.")
)

// Decrypter is a private key that messages are opened with. All private keys of
// the standard library satisfy it. Open needs one of these beyond it:
// [crypto.Decrypter] for RSA, [ECDHKey] or *ecdsa.PrivateKey for elliptic curves.
type Decrypter interface {
	Public() crypto.PublicKey
}

// ECDHKey is a private key for key agreement: *ecdh.PrivateKey, or a key on a
// token that computes the shared secret (the x coordinate, RFC 5753 §7.1).
type ECDHKey interface {
	Public() crypto.PublicKey // *ecdh.PublicKey or *ecdsa.PublicKey
	ECDH(remote *ecdh.PublicKey) ([]byte, error)
}
