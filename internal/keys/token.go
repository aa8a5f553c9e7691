//go:build cgo

package keys

import (
	"context"
	"crypto"
	"errors"

	"go.step.sm/crypto/kms/apiv1"
	_ "go.step.sm/crypto/kms/pkcs11" // the scheme pkcs11
)

// createOnToken makes a key on a token that cannot be taken out of it.
func createOnToken(ctx context.Context, uri string, req *apiv1.CreateKeyRequest, u Unlock) (crypto.Signer, error) {
	if req.SignatureAlgorithm == apiv1.PureEd25519 {
		return nil, ErrAlgorithm.Withf("Ed25519 keys are not made on tokens. Use P-256.")
	}
	m, err := manager(ctx, apiv1.Options{Type: apiv1.PKCS11, URI: uri, Pin: string(u)})
	if err != nil {
		return nil, tokenFault(err)
	}
	made, err := m.CreateKey(req)
	if errors.Is(err, apiv1.AlreadyExistsError{}) {
		return nil, errors.Join(ErrExists, m.Close())
	}
	if err != nil {
		return nil, errors.Join(tokenFault(err), m.Close())
	}
	s, err := m.CreateSigner(&made.CreateSignerRequest)
	if err != nil {
		return nil, errors.Join(tokenFault(err), m.Close())
	}
	return s, nil
}

// openOnToken finds a key on a token. The session lasts as long as the process.
func openOnToken(ctx context.Context, uri string, u Unlock) (crypto.Signer, error) {
	m, err := manager(ctx, apiv1.Options{Type: apiv1.PKCS11, URI: uri, Pin: string(u)})
	if err != nil {
		return nil, tokenFault(err)
	}
	s, err := m.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: uri})
	if err != nil {
		return nil, errors.Join(tokenFault(err), m.Close())
	}
	return s, nil
}

func tokenFault(err error) error { return ErrToken.Because(err) }
