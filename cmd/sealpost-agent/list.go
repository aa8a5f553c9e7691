package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
)

func listCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List your certificates as the server knows them",
		Long: `Lists all your certificates, also those that ended, were revoked or were made on other machines. The last column says
whether this machine has the key.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			certs, err := a.Certificates(cmd.Context(), s.mailbox)
			if err != nil {
				return err
			}
			ids, err := a.Identities()
			if err != nil {
				return err
			}
			return s.showCertificates(certs, ids)
		},
	}
}

// listedCertificate is a certificate in a list, as JSON.
type listedCertificate struct {
	api.Certificate
	Key bool `json:"key_here"`
}

func (s *session) showCertificates(certs []api.Certificate, ids []*agent.Identity) error {
	listed := make([]listedCertificate, len(certs))
	for i, cert := range certs {
		listed[i].Certificate = cert
		for _, id := range ids {
			if _, key := id.Holds(cert.Issuer, cert.Serial); key {
				listed[i].Key = true
			}
		}
	}
	return s.write(listed, func(w io.Writer) {
		fmt.Fprintln(w, "USE\tSTATUS\tUNTIL\tISSUER\tSERIAL\tKEY HERE")
		for _, c := range listed {
			status := c.Status
			if c.Reason != "" {
				status += " (" + c.Reason + ")"
			}
			here := "no"
			if c.Key {
				here = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(c.Use), plain(status), day(c.NotAfter), plain(c.Issuer), plain(c.Serial), here)
		}
	})
}
