package enroll

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/api"
)

// Protection says how people's private keys have to be kept. Agents do as it says; what is proven of it to the server is Attested
// alone.
type Protection struct {
	Places     []string `yaml:"places"`     // where keys to sign with may be, the best first: tpm, token, system, software; empty: anywhere
	Attested   bool     `yaml:"attested"`   // true: a request must prove that its key was made in a TPM or a YubiKey that it cannot leave (see `enrolment.attestation`)
	PIN        int      `yaml:"pin"`        // least number of characters of the PIN of a token or TPM, at most 64; 0: a TPM needs none
	Passphrase int      `yaml:"passphrase"` // least number of characters of the passphrase that private keys in files are kept under, at most 128; 0: none
}

var places = []string{api.PlaceTPM, api.PlaceToken, api.PlaceSystem, api.PlaceSoftware}

// Validate returns every fault, each with its path. signing says whether the plan has a key to sign with.
func (p Protection) Validate(signing bool) error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, place := range p.Places {
		switch {
		case !slices.Contains(places, place):
			say("places[%d]: unknown place %q; there are tpm, token, system and software", i, place)
		case slices.Contains(p.Places[:i], place):
			say("places[%d]: %q is there twice", i, place)
		case p.Attested && place != api.PlaceTPM && place != api.PlaceToken:
			say("places[%d]: keys in %q cannot be attested", i, place)
		}
	}
	if p.Attested && len(p.Places) == 0 {
		say("attested: needs places: tpm, token or both")
	}
	if (len(p.Places) > 0 || p.Attested || p.PIN != 0) && !signing {
		say("places: places, attested and pin are for keys to sign with, and signing names no profile")
	}
	if p.PIN < 0 || p.PIN > 64 {
		say("pin: must be between 0 and 64")
	}
	if p.Passphrase < 0 || p.Passphrase > 128 {
		say("passphrase: must be between 0 and 128")
	}
	return errors.Join(errs...)
}
