package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/idna"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/disk"
)

func findCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "find ADDRESS",
		Short: "Show the certificates with which a mail address is written to",
		Long: `Shows the current encryption certificates of one exact mail address, as the directory and every other place show them: valid, not
revoked, and not those of people who have left. It says besides in which ways outsiders find them. With --vcard or --pem it prints
the certificates alone.`,
		Example: "  sealpost find bob@example.com\n  sealpost find bob@example.com --vcard >bob.vcf",
		Args:    cobra.ExactArgs(1),
	}
	path := configFlag(c)
	card := c.Flags().Bool("vcard", false, "print vCards")
	text := c.Flags().Bool("pem", false, "print PEM")
	c.MarkFlagsMutuallyExclusive("vcard", "pem")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			found, err := s.GAL.Find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("%s: there is no certificate to encrypt to", args[0])
			}
			switch {
			case *card:
				cards, err := gal.VCards(args[0], found)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(cards)
				return err
			case *text:
				return printPEM(cmd.OutOrStdout(), found)
			}
			return printFound(cmd.OutOrStdout(), s, args[0], found)
		})
	}
	return c
}

func printPEM(w io.Writer, found []ca.Certificate) error {
	for _, c := range found {
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.DER}); err != nil {
			return err
		}
	}
	return nil
}

func printFound(w io.Writer, s *server.Server, address string, found []ca.Certificate) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ISSUER\tSERIAL\tPROFILE\tPERSON\tUNTIL")
	for _, c := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Issuer, c.Serial, c.Profile, c.Person, c.NotAfter.Format(time.DateOnly))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	m, err := ca.ParseMailbox(address)
	if err != nil {
		return err
	}
	shown := func(a gal.Audience) string {
		if a.Shows(m) {
			return "yes"
		}
		return "no"
	}
	f := s.Config.Finding
	_, err = fmt.Fprintf(w, "shown to everybody: by the certificate store %s, as vCard %s, in the domain name system %s\n", shown(f.Store), shown(f.VCard), shown(f.SMIMEA))
	return err
}

func smimeaCommand() *cobra.Command {
	c := &cobra.Command{Use: "smimea", Short: "Certificates in the domain name system (RFC 8162)"}
	c.AddCommand(smimeaZoneCommand())
	return c
}

// maxTTL is the longest that a record is kept: a week.
const maxTTL = 7 * 24 * time.Hour

func smimeaZoneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "zone DOMAIN",
		Short: "Write the SMIMEA records of a mail domain",
		Long: `Writes the current encryption certificate of every address in the mail domain that finding.smimea in the configuration shows, as
SMIMEA records (3 0 0) for the domain's zone: include the file there, raise the serial, and sign the zone, because nobody believes such
records without DNSSEC. Write it anew at least once a day: what is revoked goes then. With --json it prints the same with the
addresses, for whoever brings records to their name servers in another way.`,
		Example: "  sealpost smimea zone example.com --out /var/lib/bind/example.com.smimea",
		Args:    cobra.ExactArgs(1),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	ttl := c.Flags().Duration("ttl", time.Hour, "how long resolvers may keep a record")
	out := c.Flags().String("out", "", "file to write, which is replaced at once; empty means standard output")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *ttl < time.Second || *ttl > maxTTL {
			return fmt.Errorf("--ttl must lie between 1s and %v", maxTTL)
		}
		zone, err := idna.Lookup.ToASCII(args[0])
		if err != nil {
			return fmt.Errorf("%s is no domain: %w", args[0], err)
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			if s.Config.Finding.SMIMEA.Closed() {
				return errors.New("finding.smimea in the configuration shows nobody")
			}
			records, err := s.GAL.SMIMEA(cmd.Context(), zone, s.Config.Finding.SMIMEA)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if *asJSON {
				err = json.NewEncoder(&text).Encode(records)
			} else {
				err = gal.WriteZone(&text, records, *ttl)
			}
			if err != nil {
				return err
			}
			if *out == "" {
				_, err = cmd.OutOrStdout().Write(text.Bytes())
				return err
			}
			if err := disk.Write(*out, text.Bytes(), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d records\n", *out, len(records))
			return err
		})
	}
	return c
}
