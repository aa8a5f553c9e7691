package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
)

func passphraseCommand(s *session) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase of your keys",
		Long: `Changes the passphrase of identity.p12 and the files beside it, and of all your private keys on this machine, where the server demands that they are under
one. It asks for the old one (--passphrase-file, SEALPOST_PASSPHRASE), if keys are under it, and for the new one, twice. The server is asked nothing. Stopped in
the middle, either the old or the new one is good for everything.

Other programs keep keys under passwords of their own, which they change themselves: gpgsm (gpgsm --passwd), Thunderbird and Firefox (Settings, Primary
Password), and whoever made a token (or, for most tokens, pkcs11-tool --module LIBRARY --login --change-pin).`,
		Example: `  sealpost-agent passphrase
  sealpost-agent passphrase --passphrase-file old --new-passphrase-file new`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			defer s.keepStatus(a)
			got, err := a.ChangePassphrase(agent.ChangeOptions{Mailbox: s.mailbox, New: func(least int) (string, error) {
				return s.newSecret("new passphrase", least, file, "SEALPOST_NEW_PASSPHRASE")
			}})
			if err != nil {
				return err
			}
			return s.showChanged(got)
		},
	}
	c.Flags().StringVar(&file, "new-passphrase-file", "", "file with the new one (SEALPOST_NEW_PASSPHRASE)")
	return c
}

// newSecret reads a new secret; from a person, twice.
func (s *session) newSecret(what string, least int, file, variable string) (string, error) {
	if least > 0 {
		what += fmt.Sprintf(" (at least %d characters)", least)
	}
	text, err := s.secret(what, file, variable)
	if err != nil || file != "" || s.env(variable) != "" {
		return text, err
	}
	again, err := s.secret("the same again", "", "")
	if err == nil && again != text {
		return "", errSecret.Withf("The two are not the same. Nothing was changed.")
	}
	return text, err
}

type changedJSON struct {
	P12    string   `json:"p12"`
	Sealed bool     `json:"sealed"` // the private keys in the agent's folder are under it, too
	Notes  []string `json:"notes,omitempty"`
}

func (s *session) showChanged(got *agent.Changed) error {
	id, err := s.viewIdentity(got.Identity)
	if err != nil {
		return err
	}
	v := changedJSON{P12: id.P12, Sealed: got.Sealed, Notes: elsewhereNotes(got.Identity)}
	return s.write(v, func(w io.Writer) {
		if v.Sealed {
			fmt.Fprintln(w, "The new passphrase is that of all your private keys here, and of "+plain(v.P12)+".")
		} else {
			fmt.Fprintln(w, "The new passphrase is that of "+plain(v.P12)+" and the files beside it.")
		}
		for _, note := range v.Notes {
			fmt.Fprintln(w, "note: "+note)
		}
	})
}

// elsewhereNotes say which passwords have not changed.
func elsewhereNotes(id *agent.Identity) (notes []string) {
	notes = append(notes, "A file that the old passphrase lies in, for runs that nobody starts, needs the new one.")
	if id.Stores.GPGSM != nil || id.Stores.Auto {
		notes = append(notes, "Keys that gpgsm has stay under the passphrase that they came with. To change it there: gpgsm --passwd, and your address.")
	}
	if h := id.Signing(); h != nil {
		switch h.Key.Place() {
		case api.PlaceToken:
			notes = append(notes, "The PIN of your token has not changed. That is done by its maker's program or, for most tokens: pkcs11-tool --module LIBRARY --login --change-pin")
		case api.PlaceTPM:
			notes = append(notes, "The PIN of the key in the TPM, if it has one, has not changed. That is done by: sealpost-agent pin")
		}
	}
	return notes
}
