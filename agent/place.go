package agent

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// PlaceSoftware is where keys are whose bytes the agent has. The names of the other places are in api.
const PlaceSoftware = api.PlaceSoftware

// ErrKeyPlace is returned where a signing key cannot be made, or used, where it has to be.
var ErrKeyPlace = fault.New(fault.Unavailable, "key-place", "The signing key cannot be kept where it has to be.")

// Place is where a signing key is made and used, and which it does not leave: a token or a TPM. A key has a name, which the
// agent gives it before it is made, so that one that came to nothing can be removed. Calls come one at a time.
type Place interface {
	// Name is that of api.KeyPlan.
	Name() string
	// Algorithms returns the kinds of key (api.KeyPlan) that it can make. An error says why it is not there.
	Algorithms() ([]string, error)
	// Make makes a key that cannot leave, and returns what Open and Remove need beside its name. Before anything is left
	// behind that only Remove takes away, note is called with that; if it fails, nothing is made. leastPIN is how many characters the
	// PIN must have; 0: it need not have one.
	Make(algorithm, name string, leastPIN int, note func(object []byte) error) (object []byte, key crypto.Signer, err error)
	// Open returns a key to use.
	Open(name string, object []byte) (crypto.Signer, error)
	// Remove destroys a key and whatever is kept with it. That it is not there is no fault.
	Remove(name string, object []byte) error
}

// Certified is a place that wants to have the certificate, too: programs look for it there.
type Certified interface {
	Place
	Certify(name string, object []byte, cert *x509.Certificate) error
}

// Attester is a place that can prove where a key was made. challenge asks the server for what the device has to open first, if it has
// to open something.
type Attester interface {
	Place
	Attest(name string, object []byte, challenge func(api.AttestationRequest) (api.AttestationChallenge, error)) (*api.SigningAttestation, error)
}

// PINChanger is a place whose keys have a PIN that nobody but the agent changes. ChangePIN returns what Open needs under the new PIN, which change returns once
// the old one was got; what Open needed before still works with the old one.
type PINChanger interface {
	Place
	ChangePIN(name string, object []byte, change func() (string, error)) ([]byte, error)
}

// keyring opens keys that are elsewhere, or under a passphrase.
type keyring struct {
	places []Place
	pass   passphrase
}

func (r *keyring) place(name string) Place {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.places, func(p Place) bool { return p.Name() == name })
	if i < 0 {
		return nil
	}
	return r.places[i]
}

func (r *keyring) open(k *elsewhere) (crypto.Signer, error) {
	p := r.place(k.Place)
	if p == nil {
		return nil, ErrKeyPlace.Withf("The key to sign with is in a %s, and this agent was not told of one, or was built without it. %s", k.Place, howTo(k.Place))
	}
	return p.Open(k.Name, k.Object)
}

// howTo says how the agent is told of a place.
func howTo(place string) string {
	switch place {
	case api.PlaceToken:
		return "Name the library of the token's maker with --token."
	case api.PlaceTPM:
		return "Let this user open the TPM (on Linux: the group tss), or name it with --tpm."
	}
	return "A newer agent may know it."
}

// choosePlace returns the first of the places that the server wants the key in, of those that are here and that the person
// allows, and the kind of key to make there. No place (nil) is software.
func (a *Agent) choosePlace(plan *api.KeyPlan, prefer Prefer) (Place, string, error) {
	accepted := plan.Places
	if len(accepted) == 0 { // the server leaves it to the person
		accepted = []string{PlaceSoftware}
		if prefer.Place != "" {
			accepted = []string{prefer.Place}
		}
	}
	var reasons []string
	for _, name := range accepted {
		if _, ok := a.ring.place(name).(Attester); plan.Attested && !ok {
			reasons = append(reasons, name+": this agent cannot prove that a key is there")
			continue
		}
		if prefer.Place != "" && name != prefer.Place {
			continue
		}
		if name == PlaceSoftware {
			algorithm, err := chooseAlgorithm(plan.Algorithms, prefer.Signing)
			return nil, algorithm, err
		}
		p := a.ring.place(name)
		if p == nil {
			reasons = append(reasons, fmt.Sprintf("%s: the agent was told of none. %s", name, howTo(name)))
			continue
		}
		able, err := p.Algorithms()
		if err != nil {
			reasons = append(reasons, name+": "+detail(err))
			continue
		}
		for _, algorithm := range plan.Algorithms {
			if slices.Contains(able, algorithm) && (prefer.Signing == "" || prefer.Signing == algorithm) {
				return p, algorithm, nil
			}
		}
		reasons = append(reasons, fmt.Sprintf("%s: it makes %s keys; the server takes %s", name, strings.Join(able, ", "), strings.Join(plan.Algorithms, ", ")))
	}
	if len(reasons) == 0 {
		reasons = []string{fmt.Sprintf("you asked for %s, which the server does not take", prefer.Place)}
	}
	return nil, "", ErrKeyPlace.Withf("The server wants the signing key in: %s. That cannot be done here (%s).", strings.Join(accepted, ", or "), strings.Join(reasons, "; "))
}

// certify has the places of the current keys keep their certificates, where they want them.
func (id *Identity) certify() error {
	for _, h := range id.currentHalves() {
		if h.Key.there == nil {
			continue
		}
		p, ok := h.Key.ring.place(h.Key.there.Place).(Certified)
		if !ok {
			continue
		}
		leaf, err := h.Leaf()
		if err != nil {
			return err
		}
		if err := p.Certify(h.Key.there.Name, h.Key.there.Object, leaf); err != nil {
			return err
		}
	}
	return nil
}

// makeIn makes a signing key in a place. That it may be there is on disk before it is.
func (a *Agent) makeIn(p Place, dir, algorithm string, leastPIN int) (Key, crypto.Signer, error) {
	name := make([]byte, 16)
	_, _ = rand.Read(name) // never fails
	k := &elsewhere{Place: p.Name(), Name: hex.EncodeToString(name)}
	note := func(object []byte) error { return a.noteLeft(dir, left{k.Place, k.Name, object}) }
	object, signer, err := p.Make(algorithm, k.Name, leastPIN, note)
	if err != nil {
		return Key{}, nil, err
	}
	k.Object = object
	if k.Public, err = x509.MarshalPKIXPublicKey(signer.Public()); err != nil {
		return Key{}, nil, fmt.Errorf("encode public key: %w", err)
	}
	return Key{there: k, ring: a.ring}, signer, a.after("made")
}
