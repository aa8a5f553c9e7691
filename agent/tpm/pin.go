package tpm

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// ChangePIN returns what Open needs to use a key under another PIN, which change returns once the old one was got. The TPM keeps nothing of a key, so what
// Open needed before still works, with the old PIN. A key that was made without a PIN cannot get one: the TPM would not count wrong ones.
func (p *TPM) ChangePIN(_ string, blob []byte, change func() (string, error)) ([]byte, error) {
	signer, err := p.Open("", blob)
	if err != nil {
		return nil, err
	}
	k, ok := signer.(*key)
	if !ok || !k.object.PIN {
		return nil, ErrTPM.Withf("The key in the TPM was made without a PIN and cannot get one. Run enroll with --again and a PIN: that makes a new key.")
	}
	made := k.object
	err = p.use(func(t transport.TPM) error {
		return k.under(t, func(parent, in loaded, auth tpm2.Session) error {
			text, err := change()
			if err != nil {
				return err
			}
			value := authValue(text)
			defer clear(value)
			got, err := tpm2.ObjectChangeAuth{
				ObjectHandle: tpm2.AuthHandle{Handle: in.handle, Name: in.name, Auth: auth},
				ParentHandle: tpm2.NamedHandle{Handle: parent.handle, Name: parent.name},
				NewAuth:      tpm2.TPM2BAuth{Buffer: value},
			}.Execute(t)
			if err != nil {
				return fmt.Errorf("change PIN: %w", err)
			}
			made.Private = got.OutPrivate.Buffer
			p.pin.Changed(text)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(made)
}
