package keys

import (
	"context"
	"crypto"

	"go.step.sm/crypto/kms/apiv1"
)

// CreateDecryption makes a P-256 key that opens what is sealed to it, where uri says, and returns it. It never replaces
// one. The key also signs, for its own certificate request. For a file it is an *ecdsa.PrivateKey; for a token it has the
// method ECDH, which computes the shared secret inside.
func CreateDecryption(ctx context.Context, uri string, u Unlock) (crypto.Signer, error) {
	kind, _, err := place(uri)
	if err != nil {
		return nil, err
	}
	if kind == apiv1.PKCS11 {
		return createAgreement(ctx, uri, u)
	}
	return Create(ctx, uri, P256, u)
}

// OpenDecryption returns the key that CreateDecryption made.
func OpenDecryption(ctx context.Context, uri string, u Unlock) (crypto.Signer, error) {
	kind, _, err := place(uri)
	if err != nil {
		return nil, err
	}
	if kind == apiv1.PKCS11 {
		return openAgreement(ctx, uri, u)
	}
	return Open(ctx, uri, u)
}

// OnToken reports whether the address is of a token, which is unlocked by a PIN.
func OnToken(uri string) bool {
	kind, _, err := place(uri)
	return err == nil && kind == apiv1.PKCS11
}
