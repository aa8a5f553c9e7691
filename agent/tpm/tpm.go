// Package tpm keeps signing keys in a TPM 2.0: they are made there, with the attributes that say that they can never leave
// it (fixedTPM, fixedParent, sensitiveDataOrigin), and used there.
//
// A key is a child of the TPM's storage primary, which is made anew from the TCG's template each time and is always the same. What
// the TPM keeps of a key is nothing: the key comes out encrypted to the storage primary, is kept with the agent's files, and
// goes in again for each signature. So keys cost the TPM no room, and no other TPM can use the files.
//
// It knows nothing of certificates, and does not decide where a key should be (package agent).
package tpm

import (
	"crypto"
	"encoding/json"
	"errors"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of the TPM.
var (
	ErrAbsent = fault.New(fault.Unavailable, "tpm-absent", "There is no TPM 2.0 here that this user may use.")
	ErrTPM    = fault.New(fault.Unavailable, "tpm", "The TPM refused.")
	ErrKey    = fault.New(fault.Denied, "tpm-key", "The TPM does not know this key. It was made by another TPM, or the TPM was cleared since: enrol again.")
)

// Config says which TPM.
type Config struct {
	Address string     // "" the system's own; a device's path; unix:PATH or tcp:HOST:PORT of a simulator
	PIN     pin.Source // asked for only where a key has one
}

// TPM is a place for keys. It is safe for concurrent use; what is done with the device is done one at a time.
type TPM struct {
	mu      sync.Mutex
	address string
	pin     *pin.PIN
}

// New returns the place. The TPM is not touched before it is used.
func New(c Config) *TPM { return &TPM{address: c.Address, pin: pin.New(c.PIN)} }

// Name is that of api.KeyPlan.
func (*TPM) Name() string { return api.PlaceTPM }

// object is a key as it is kept: both halves in the TPM's own encoding, the private one encrypted by it.
type object struct {
	Public  []byte `json:"public"`        // TPMT_PUBLIC
	Private []byte `json:"private"`       // TPM2B_PRIVATE without its length
	PIN     bool   `json:"pin,omitempty"` // it has an authorization value
}

// Algorithms asks the TPM which of the kinds of key that are used here it can make.
func (p *TPM) Algorithms() (able []string, err error) {
	err = p.use(func(t transport.TPM) error {
		for _, k := range kinds {
			_, err := tpm2.TestParms{Parameters: tpm2.TPMTPublicParms{Type: k.template.Type, Parameters: k.template.Parameters}}.Execute(t)
			if err == nil {
				able = append(able, k.name)
			} else if !errors.As(err, new(tpm2.TPMRC)) && !errors.As(err, new(tpm2.TPMFmt1Error)) {
				return err
			}
		}
		return nil
	})
	return able, err
}

// Make makes a key. Nothing is left in the TPM, so note is not called.
func (p *TPM) Make(algorithm, _ string, least int, _ func([]byte) error) ([]byte, crypto.Signer, error) {
	kind, err := kindOf(algorithm)
	if err != nil {
		return nil, nil, err
	}
	var made object
	err = p.use(func(t transport.TPM) error {
		var auth []byte
		if made.PIN = least > 0 || p.pin.Given(); made.PIN {
			text, err := p.pin.Get("PIN for the new key in the TPM", least, false)
			if err != nil {
				return err
			}
			auth = authValue(text)
			defer clear(auth)
		}
		primary, err := storage(t)
		if err != nil {
			return err
		}
		defer primary.flush(t)
		public := kind.template
		public.ObjectAttributes.NoDA = !made.PIN // wrong PINs count
		made.Public, made.Private, err = primary.create(t, public, auth)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	blob, err := json.Marshal(made)
	if err != nil {
		return nil, nil, err
	}
	key, err := p.Open("", blob)
	return blob, key, err
}

// Open returns a key to use. It does not touch the TPM.
func (p *TPM) Open(_ string, blob []byte) (crypto.Signer, error) {
	var o object
	if err := json.Unmarshal(blob, &o); err != nil {
		return nil, ErrKey.Because(err)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](o.Public)
	if err != nil {
		return nil, ErrKey.Because(err)
	}
	public, err := tpm2.Pub(*area)
	if err != nil {
		return nil, ErrKey.Because(err)
	}
	return &key{tpm: p, object: o, area: *area, public: public}, nil
}

// Remove has nothing to do: the TPM keeps nothing.
func (*TPM) Remove(string, []byte) error { return nil }

// use opens the device for as long as f runs.
func (p *TPM) use(f func(transport.TPM) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := open(p.address)
	if err != nil {
		return err
	}
	return p.explain(errors.Join(f(t), t.Close()))
}

// explain says what a TPM's refusal means for a person.
func (p *TPM) explain(err error) error {
	switch {
	case err == nil || fault.Of(err) != nil:
		return err
	case errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCBadAuth):
		return p.pin.Wrong()
	case errors.Is(err, tpm2.TPMRCLockout):
		return pin.ErrLocked.Withf("The TPM is locked after too many wrong PINs. It unlocks itself after a while; leave the machine on until tomorrow.").Because(err)
	case errors.Is(err, tpm2.TPMRCIntegrity):
		return ErrKey.Because(err)
	}
	return ErrTPM.Because(err)
}
