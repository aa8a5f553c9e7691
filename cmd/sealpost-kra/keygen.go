package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) keygenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make your two keys and the requests for their certificates",
		Long: `Makes your two keys: one signs, the other opens what is sealed to you. Both stay in your folder (--home), encrypted under
your passphrase. Without folder or passphrase your share is lost: back the folder up, and keep the passphrase apart from it.

Then take signing.csr and decryption.csr from that folder to the authority's operator, in person. The operator runs
  sealpost roster certify YOUR-LOGIN --signing signing.csr --decryption decryption.csr
and gives you a card and the root certificate.

With --token the keys are made on a PKCS #11 token and never leave it; the PIN takes the place of the passphrase. Such keys
cannot be backed up: whoever loses the token loses their share.`,
		Example: `  sealpost-kra keygen "Olga Berg"`,
		Args:    cobra.ExactArgs(1),
	}
	recipient := c.Flags().Bool("recipient", false, "for somebody who shall receive recovered keys, not open them: one key, and decryption.csr alone")
	token := c.Flags().String("token", "", "make the keys on a PKCS #11 token instead of files: pkcs11:module-path=LIBRARY;token=LABEL")
	c.MarkFlagsMutuallyExclusive("recipient", "token")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		if *token != "" {
			return t.keygenOnToken(cmd, o, args[0], *token)
		}
		p, err := t.newPassphrase(cmd)
		if err != nil {
			return err
		}
		defer clear(p)
		if *recipient {
			if _, err := o.RecipientKeyGen(cmd.Context(), args[0], p); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Your key is in %s. Now take %s to the authority's operator.\nThen: sealpost-kra import CARD --root ROOT\n",
				t.home, filepath.Join(t.home, "decryption.csr"))
			return err
		}
		if _, err := o.KeyGen(cmd.Context(), args[0], p); err != nil {
			return err
		}
		return t.reportKeys(cmd, "in "+t.home)
	}
	return c
}

// keygenOnToken makes the keys on a token. Its PIN is set with the tools of its maker.
func (t *tool) keygenOnToken(c *cobra.Command, o *kra.Officer, name, token string) error {
	pin, err := t.passphrase(c, "The token's PIN")
	if err != nil {
		return err
	}
	defer clear(pin)
	if _, err := o.KeyGenOnToken(c.Context(), name, token, pin); err != nil {
		return err
	}
	return t.reportKeys(c, "on the token")
}

func (t *tool) reportKeys(c *cobra.Command, where string) error {
	_, err := fmt.Fprintf(c.OutOrStdout(), `Your keys are %s. Now take these two to the authority's operator:
  %s
  %s
Then: sealpost-kra import CARD --root ROOT
`, where, filepath.Join(t.home, "signing.csr"), filepath.Join(t.home, "decryption.csr"))
	return err
}

func (t *tool) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import CARD",
		Short: "Take the card with your certificates",
		Long: `Takes the card that the authority's operator made for you. The certificates on it must be for the keys in your folder,
be issued for a recovery agent, and lead to the root certificate, which you should have from another hand than the card:
everything you check later rests on it. Compare its fingerprint with what is published.`,
		Example: `  sealpost-kra import olga.card --root root.pem`,
		Args:    cobra.ExactArgs(1),
	}
	root := c.Flags().String("root", "", "file with the authority's root certificate (PEM)")
	_ = c.MarkFlagRequired("root") // fails only for a flag that is not there
	c.RunE = func(cmd *cobra.Command, args []string) error {
		card, err := kra.Read(args[0])
		if err != nil {
			return err
		}
		roots, err := kra.ReadCertificates(*root)
		if err != nil {
			return err
		}
		o, err := t.unlocked(cmd)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch card := card.(type) {
		case *kra.AgentCard:
			if err := o.Import(card, roots); err != nil {
				return err
			}
			fmt.Fprintf(w, "You are certified as %s, until %s.\n", card.Name, card.Signing.NotAfter.Format("2 January 2006"))
		case *kra.RecipientCard:
			if err := o.ImportRecipient(card, roots); err != nil {
				return err
			}
			fmt.Fprintf(w, "You are certified as %s, who may receive recovered keys, until %s.\n", card.Name, card.Certificate.NotAfter.Format("2 January 2006"))
		default:
			return kra.ErrCard.Withf("%s is no card.", args[0])
		}
		for _, r := range roots {
			fmt.Fprintf(w, "You trust %s\n  SHA-256 %s\n", record.Line(r.Subject.CommonName, 100), record.Fingerprint(r))
		}
		_, err = fmt.Fprintln(w, "Whether a certificate was revoked since cannot be told without a network, and is never checked here.")
		return err
	}
	return c
}
