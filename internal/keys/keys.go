// Package keys makes and opens the private keys of the system itself: issuers, OCSP responders, audit checkpoints. It is
// the one door to go.step.sm/crypto/kms; where a key lies is a URI, so that an HSM needs another line of configuration
// and no other code.
//
//	/etc/sealpost/issuing.key, file:/etc/sealpost/issuing.key, softkms:/etc/sealpost/issuing.key
//	    a file: PKCS #8, always encrypted (PBES2: AES-256-CBC, PBKDF2 with HMAC-SHA-256 and 600,000 iterations), mode 0600
//	pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=sealpost;id=01;object=issuing
//	    a key that never leaves its token (RFC 7512); needs a build with cgo
//
// Cloud key managements are not built in. It owns no configuration and reads no environment: the passphrase or PIN is
// given by the caller. Keys of people never come here: they are made where they are used.
package keys

import (
	"context"
	"crypto"
	"strings"

	"go.step.sm/crypto/kms/apiv1"

	"github.com/sealpost/sealpost/internal/fault"
)

// Algorithm is a kind of key and its size.
type Algorithm string

// The algorithms. Ed25519 is for audit checkpoints; it is not for issuers, and tokens do not make it here.
const (
	P256    Algorithm = "P-256"
	P384    Algorithm = "P-384"
	RSA3072 Algorithm = "RSA-3072"
	RSA4096 Algorithm = "RSA-4096"
	Ed25519 Algorithm = "Ed25519"
)

// Unlock is the passphrase of a key file, or the PIN of a token. The caller clears it.
type Unlock []byte

// Faults that this package returns.
var (
	ErrURI         = fault.New(fault.Malformed, "key-uri", "This is not the address of a key: give a path, or a URI that begins with file: or pkcs11:.")
	ErrAlgorithm   = fault.New(fault.Malformed, "key-algorithm-unknown", "There is no such kind of key. Use P-256, P-384, RSA-3072, RSA-4096 or Ed25519.")
	ErrMissing     = fault.New(fault.Unavailable, "key-missing", "There is no key at this place.")
	ErrExists      = fault.New(fault.Conflict, "key-exists", "There is a key at this place already. It was not touched.")
	ErrPassphrase  = fault.New(fault.Denied, "key-passphrase", "The passphrase does not open this key.")
	ErrNoUnlock    = fault.New(fault.Malformed, "key-without-passphrase", "A passphrase is needed: keys are never kept in the clear.")
	ErrPermissions = fault.New(fault.Denied, "key-permissions", "Others may read or change this key file. Set its mode to 0600.")
	ErrNotKey      = fault.New(fault.Malformed, "key-unreadable", "This is not an encrypted private key (PKCS #8 in PEM).")
	ErrNotInClear  = fault.New(fault.Denied, "key-in-clear", "This key file is not encrypted. Encrypt it, for example with: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000")
	ErrToken       = fault.New(fault.Unavailable, "key-token", "The token does not answer, or has no such key.")
)

// Create makes a key where uri says and returns it. It never replaces one.
func Create(ctx context.Context, uri string, a Algorithm, u Unlock) (crypto.Signer, error) {
	req, err := a.request()
	if err != nil {
		return nil, err
	}
	kind, path, err := place(uri)
	if err != nil {
		return nil, err
	}
	if kind == apiv1.PKCS11 {
		req.Name = uri
		return createOnToken(ctx, uri, req, u)
	}
	return createFile(ctx, path, req, u)
}

// Open returns the key where uri says. For a file it is the private key itself (*ecdsa.PrivateKey, *rsa.PrivateKey,
// ed25519.PrivateKey); for a token it is a handle, which an RSA key lets decrypt too (crypto.Decrypter).
func Open(ctx context.Context, uri string, u Unlock) (crypto.Signer, error) {
	kind, path, err := place(uri)
	if err != nil {
		return nil, err
	}
	if kind == apiv1.PKCS11 {
		return openOnToken(ctx, uri, u)
	}
	return openFile(path, u)
}

// place tells files from tokens.
func place(uri string) (kind apiv1.Type, path string, err error) {
	scheme, rest, found := strings.Cut(uri, ":")
	switch {
	case uri == "":
		return "", "", ErrURI
	case !found || strings.ContainsAny(scheme, "/."):
		return apiv1.SoftKMS, uri, nil
	case scheme == "file" || scheme == "softkms":
		path = strings.TrimPrefix(strings.TrimPrefix(rest, "path="), "//")
		if path == "" {
			return "", "", ErrURI
		}
		return apiv1.SoftKMS, path, nil
	case scheme == "pkcs11":
		return apiv1.PKCS11, "", nil
	default:
		return "", "", ErrURI.Withf("Keys at %q are not supported: give a path, or a URI that begins with file: or pkcs11:.", scheme)
	}
}

func (a Algorithm) request() (*apiv1.CreateKeyRequest, error) {
	switch a {
	case P256:
		return &apiv1.CreateKeyRequest{SignatureAlgorithm: apiv1.ECDSAWithSHA256}, nil
	case P384:
		return &apiv1.CreateKeyRequest{SignatureAlgorithm: apiv1.ECDSAWithSHA384}, nil
	case RSA3072:
		return &apiv1.CreateKeyRequest{SignatureAlgorithm: apiv1.SHA256WithRSA, Bits: 3072}, nil
	case RSA4096:
		return &apiv1.CreateKeyRequest{SignatureAlgorithm: apiv1.SHA256WithRSA, Bits: 4096}, nil
	case Ed25519:
		return &apiv1.CreateKeyRequest{SignatureAlgorithm: apiv1.PureEd25519}, nil
	default:
		return nil, ErrAlgorithm.Withf("There is no kind of key %q. Use P-256, P-384, RSA-3072, RSA-4096 or Ed25519.", string(a))
	}
}
