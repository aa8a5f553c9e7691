package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
)

func rootCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "root",
		Short: "The root, where it is kept: its yearly revocation list, further issuing authorities",
		Long: `For the machine on which the root's key is used, which needs no network, no database and no configuration. The key and its
passphrase come from their two safes for the time of the command.`,
	}
	c.AddCommand(rootCRLCommand(), rootCertifyCommand())
	return c
}

// rootFlags say where the root is.
type rootFlags struct{ certificate, key, passphrase string }

func (r *rootFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&r.certificate, "root", "root.pem", "the root's certificate")
	f.StringVar(&r.key, "key", "root.key", "its encrypted key")
	f.StringVar(&r.passphrase, "passphrase-file", "root.passphrase", "file with the key's passphrase")
}

func (r *rootFlags) open(cmd *cobra.Command) (*setup.Root, error) {
	u, err := keys.ReadPassphrase(r.passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(u)
	return setup.OpenRoot(cmd.Context(), r.certificate, r.key, u, time.Now())
}

func rootCRLCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "crl",
		Short: "Make the root's next revocation list",
		Long: `Makes the list that follows the last one: the next number, what that listed, and with --revoke one certificate more. It is
good for a year. Take it to the server, in place of the file that publications names; nothing needs to be started anew.`,
		Example: `  sealpost root crl --last root.crl --out root-2027.crl
  sealpost root crl --last root.crl --out root-2027.crl --revoke issuing.pem --reason keyCompromise`,
		Args: cobra.NoArgs,
	}
	var r rootFlags
	r.add(c)
	last := c.Flags().String("last", "root.crl", "the last list")
	out := c.Flags().String("out", "", "file for the new list (required)")
	revoke := c.Flags().String("revoke", "", "certificate of an issuing authority to take back (PEM, the first in the file)")
	reason := c.Flags().String("reason", "cessationOfOperation", "why: keyCompromise, superseded, cessationOfOperation")
	if err := c.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag is defined above
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		root, err := r.open(cmd)
		if err != nil {
			return err
		}
		previous, err := setup.ReadList(*last)
		if err != nil {
			return err
		}
		also, err := readRevoked(*revoke, *reason)
		if err != nil {
			return err
		}
		list, err := root.NextList(previous, also)
		if err != nil {
			return err
		}
		if err := setup.WriteList(*out, list); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: number %d, %d revoked, next update %s\n", *out, list.Number, len(list.RevokedCertificateEntries), list.NextUpdate.Format(time.RFC3339))
		return err
	}
	return c
}

// readRevoked returns what --revoke and --reason say; nil without them.
func readRevoked(file, reason string) (*setup.Revoked, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certificates, err := setup.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	why, err := ca.ParseReason(reason)
	if err != nil {
		return nil, err
	}
	return &setup.Revoked{Certificate: certificates[0], Reason: why}, nil
}

func rootCertifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "certify REQUEST",
		Short:   "Answer the request of a further issuing authority",
		Example: `  sealpost root certify issuing.csr --name "Example Secure Mail CA 2" --public-url http://pki.example.com --out chain.pem`,
		Long: `Signs the request that sealpost init --outside-root has made, for ten years, and writes the certificate with the root
behind it, for sealpost init accept. Compare the request's key with whoever made it: its holder will be an authority.`,
		Args: cobra.ExactArgs(1),
	}
	var r rootFlags
	r.add(c)
	called := c.Flags().String("name", "", "its name, another than every other authority's: \"Example Secure Mail CA 2\" (required)")
	url := c.Flags().String("public-url", "", "where the root's list and certificate are: http://… (required)")
	out := c.Flags().String("out", "", "file for the certificates (required)")
	for _, name := range []string{"name", "public-url", "out"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := readRequest(args[0])
		if err != nil {
			return err
		}
		root, err := r.open(cmd)
		if err != nil {
			return err
		}
		cert, err := root.Certify(request, *called, *url)
		if err != nil {
			return err
		}
		if err := setup.WriteChain(*out, cert, root.Certificate); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, until %s\n", *out, cert.Subject, cert.NotAfter.Format(time.DateOnly))
		return err
	}
	return c
}
