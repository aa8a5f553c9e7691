//go:build !cgo

package keys

import (
	"context"
	"crypto"

	"go.step.sm/crypto/kms/apiv1"
)

var errNoToken = ErrToken.Withf("This program was built without support for tokens (cgo).")

func createOnToken(context.Context, string, *apiv1.CreateKeyRequest, Unlock) (crypto.Signer, error) {
	return nil, errNoToken
}

func openOnToken(context.Context, string, Unlock) (crypto.Signer, error) { return nil, errNoToken }

func createAgreement(context.Context, string, Unlock) (crypto.Signer, error) { return nil, errNoToken }

func openAgreement(context.Context, string, Unlock) (crypto.Signer, error) { return nil, errNoToken }
