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
and gives you a card and the root certificate.`,
		Example: `  sealpost-kra keygen "Olga Berg"`,
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		p, err := t.newPassphrase(cmd)
		if err != nil {
			return err
		}
		defer clear(p)
		if _, err := o.KeyGen(cmd.Context(), args[0], p); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), `Your keys are in %s. Now take these two to the authority's operator:
  %s
  %s
Then: sealpost-kra import CARD --root ROOT
`, t.home, filepath.Join(t.home, "signing.csr"), filepath.Join(t.home, "decryption.csr"))
		return err
	}
	return c
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
		card, err := kra.ReadAgentCard(args[0])
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
		if err := o.Import(card, roots); err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "You are certified as %s, until %s.\n", card.Name, card.Signing.NotAfter.Format("2 January 2006"))
		for _, r := range roots {
			fmt.Fprintf(w, "You trust %s\n  SHA-256 %s\n", record.Line(r.Subject.CommonName, 100), record.Fingerprint(r))
		}
		_, err = fmt.Fprintln(w, "Whether a certificate was revoked since cannot be told without a network, and is never checked here.")
		return err
	}
	return c
}
