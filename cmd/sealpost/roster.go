package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/audit"
)

// operator is whoever is at the server's own command line.
func operator() audit.Actor {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		name = os.Getenv("USER")
	}
	return audit.Actor{Name: "command line, " + name, Roles: []audit.Role{audit.Operator}, Method: audit.MethodLocal}
}

func rosterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "roster",
		Short: "Recovery officers: give them certificates, bring in their roster",
		Long: `The archive's key belongs to the recovery officers together. Each makes their keys with sealpost-kra; this command
certifies them; they hold the ceremony; this command brings the roster in. docs/runbooks/ceremony.md has every step.`,
	}
	c.AddCommand(rosterCertifyCommand(), rosterAddCommand(), rosterShowCommand())
	return c
}

func rosterCertifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "certify LOGIN",
		Short: "Issue a recovery officer's two certificates, or a recipient's",
		Long: `Issues a signature and a decryption certificate for the person with that login in the directory, and writes a card that
the officer imports with: sealpost-kra import. Take the requests from the officer in person, or compare their keys with
the officer by voice: whoever holds the keys behind them will be a recovery officer.

With --recipient it certifies somebody who may receive keys in business or legal cases, if the officers put them into their plan.`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	signing := c.Flags().String("signing", "signing.csr", "certificate request for the signature key")
	decryption := c.Flags().String("decryption", "decryption.csr", "certificate request for the decryption key")
	recipient := c.Flags().String("recipient", "", "certificate request of a recipient, in place of an officer's two")
	out := c.Flags().StringP("out", "o", "", "file for the card (default LOGIN.card)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *out == "" {
			*out = args[0] + ".card"
		}
		files := []string{*signing, *decryption}
		if *recipient != "" {
			files = []string{*recipient}
		}
		var requests [][]byte
		for _, f := range files {
			der, err := readRequest(f)
			if err != nil {
				return err
			}
			requests = append(requests, der)
		}
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			text, err := certify(cmd.Context(), b, args[0], requests)
			if err != nil {
				return err
			}
			if err := os.WriteFile(*out, text, 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is certified. Give the card back: %s\n", args[0], *out)
			return err
		})
	}
	return c
}

// certify answers an officer's two requests, or a recipient's one, with a card.
func certify(ctx context.Context, b *server.Base, login string, requests [][]byte) ([]byte, error) {
	if len(requests) == 1 {
		card, err := b.CertifyRecipient(ctx, operator(), login, requests[0])
		if err != nil {
			return nil, err
		}
		return card.Encode()
	}
	card, err := b.CertifyAgent(ctx, operator(), login, requests[0], requests[1])
	if err != nil {
		return nil, err
	}
	return card.Encode()
}

// readRequest reads a certificate request, PEM or DER.
func readRequest(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes, nil
	}
	return b, nil
}

func rosterAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add FILE",
		Short: "Bring in a roster file whose hash the configuration pins",
		Long: `Stores the roster that a ceremony yielded. Its hash must be in archive.roster_pins: put it there first, comparing it
with what the officers read out.`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			a, err := b.OpenArchive(cmd.Context())
			if err != nil {
				return err
			}
			if a == nil {
				r, err := record.ParseRoster(file)
				if err != nil {
					return err
				}
				return fmt.Errorf("archive.roster_pins is empty; if the officers read out the same, put in:\n  roster_pins: [%q]", r.Hash())
			}
			r, err := a.AddRoster(cmd.Context(), operator(), file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Roster of %s: %d of %d officers, epoch %d. New keys are sealed to %s.\n",
				r.Plan.Archive, r.Plan.Threshold, len(r.Plan.Agents), r.Epoch(), r.KeyID())
			return err
		})
	}
	return c
}

func rosterShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the roster that keys are sealed to",
		Args:  cobra.NoArgs,
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			a, err := b.OpenArchive(cmd.Context())
			if err != nil {
				return err
			}
			if a == nil {
				return fmt.Errorf("archive.roster_pins is empty: there is no archive yet; see docs/runbooks/ceremony.md")
			}
			r, err := a.Roster(cmd.Context())
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "%s\n  pin        %s\n  key id     %s\n  epoch      %d\n  threshold  %d of %d\n", r.Plan.Archive, r.Hash(), r.KeyID(), r.Epoch(), r.Plan.Threshold, len(r.Plan.Agents))
			for _, g := range r.Plan.Agents {
				fmt.Fprintf(w, "  officer %d  %s  (signature %s)\n", g.ID, g.Name, record.Fingerprint(g.Signing))
			}
			return nil
		})
	}
	return c
}
