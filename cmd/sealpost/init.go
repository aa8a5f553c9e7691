package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
)

func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the keys, certificates and configuration of a new installation",
		Long: `Makes, in one folder: a root and an issuing certificate authority with their encrypted keys, the root's revocation
list, the keys of audit log, receipts and archive, and a configuration file to complete. It needs no database and no
network, and never replaces anything.

With --outside-root it makes a request for the issuing certificate instead of a root. Give issuing.csr to whoever runs
the root, and their answer to: sealpost init accept`,
		Example: `  sealpost init --dir /etc/sealpost --organisation "Example Ltd" --country DE \
    --mail-domain example.com --public-url http://pki.example.com`,
		Args: cobra.NoArgs,
	}
	var o setup.Options
	var t setup.Template
	var algorithm string
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "/etc/sealpost", "folder for everything")
	f.StringVar(&o.Organisation.Name, "organisation", "", "legal name of the organisation (required)")
	f.StringVar(&o.Organisation.Country, "country", "", "its country, two letters")
	f.StringVar(&o.PublicURL, "public-url", "", "where relying parties will fetch revocation lists: http://… (required)")
	f.StringVar(&algorithm, "algorithm", string(setup.DefaultAlgorithm), "of root and issuing key: RSA-3072, RSA-4096, P-256, P-384; GnuPG 2.2 checks no\nrevocation list that is signed with a P- key")
	f.BoolVar(&o.OutsideRoot, "outside-root", false, "make a request for a root outside Sealpost to sign")
	f.StringSliceVar(&t.MailDomains, "mail-domain", nil, "domain of the addresses to certify; may be repeated (required)")
	f.StringVar(&t.Host, "host", "localhost", "host name of the server, for its own certificate")
	for _, name := range []string{"organisation", "public-url", "mail-domain"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Algorithm = keys.Algorithm(algorithm)
		t.Organisation, t.PublicURL = o.Organisation, o.PublicURL
		if err := checkTemplate(t); err != nil { // before any key is made
			return err
		}
		if err := setup.Init(cmd.Context(), o); err != nil {
			return err
		}
		if err := t.Write(filepath.Join(o.Dir, setup.ConfigFile)); err != nil {
			return err
		}
		tellInit(cmd.OutOrStdout(), o)
		return nil
	}
	c.AddCommand(acceptCommand())
	return c
}

// checkTemplate checks the configuration that would be written, as far as that can be done without keys.
func checkTemplate(t setup.Template) error {
	b, err := t.Render()
	if err != nil {
		return err
	}
	c, err := config.Decode(b)
	if err != nil {
		return err
	}
	return c.Validate()
}

// tellInit says what was made and what is next.
func tellInit(w io.Writer, o setup.Options) {
	at := func(name string) string { return filepath.Join(o.Dir, name) }
	fmt.Fprintf(w, "Made in %s:\n", o.Dir)
	if o.OutsideRoot {
		fmt.Fprintf(w, "  %-28s give it to whoever runs the root, then: sealpost init accept --dir %s --chain FILE\n", setup.IssuingRequest, o.Dir)
	} else {
		fmt.Fprintf(w, "  %-28s the trust anchor: distribute it to every mail program\n", setup.RootCertificate)
		fmt.Fprintf(w, "  %-28s with its passphrase (%s): TAKE BOTH AWAY from this machine, apart, into a safe\n", setup.RootKey, setup.RootPassphraseFile)
	}
	fmt.Fprintf(w, "  %-28s with its passphrase (%s.passphrase): print or copy, keep apart and OFFLINE; without this key the archive is lost\n", setup.WrappingBackup, setup.WrappingBackup)
	fmt.Fprintf(w, "  %-28s opens the server's key files\n", setup.PassphraseFile)
	fmt.Fprintf(w, "\nNext:\n  1. complete %s (database, directory)\n  2. sealpost migrate --config %s\n  3. make the recovery officers' roster: docs/runbooks/ceremony.md\n  4. sealpost check --connect --config %s\n  5. sealpost serve --config %s\n",
		at(setup.ConfigFile), at(setup.ConfigFile), at(setup.ConfigFile), at(setup.ConfigFile))
}

func acceptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "accept",
		Short: "Take an outside root's answer to the issuing request",
		Args:  cobra.NoArgs,
	}
	dir := c.Flags().String("dir", "/etc/sealpost", "folder that init wrote")
	chain := c.Flags().String("chain", "", "file with the issuing certificate and those above it, the root last (PEM; required)")
	if err := c.MarkFlagRequired("chain"); err != nil {
		panic(err) // the flag is defined above
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		text, err := os.ReadFile(*chain)
		if err != nil {
			return err
		}
		u, err := keys.ReadPassphrase(filepath.Join(*dir, setup.PassphraseFile))
		if err != nil {
			return err
		}
		defer clear(u)
		if err := setup.Accept(cmd.Context(), *dir, text, u, time.Now()); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "The issuing certificate was taken. The root's owner must keep the revocation list current that it names.")
		return nil
	}
	return c
}
