package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

var errNothingToRevoke = fault.New(fault.NotFound, "nothing-to-revoke", "There is no such certificate that is not revoked or ended already.")

// reasons are the words of RFC 5280 §5.3.1 that a subscriber may use.
var reasons = []string{"unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation"}

type revokeFlags struct {
	reason, since string
	all, yes      bool
}

func revokeCommand(s *session) *cobra.Command {
	var o revokeFlags
	c := &cobra.Command{
		Use:   "revoke [SERIAL...]",
		Short: "Have certificates revoked, for good",
		Long: `Has the certificates with these serial numbers (see "list") revoked, or with --all every one that is still good. Do it
when a key may have been copied or this machine is lost. It cannot be undone. Keys stay where they are: an encryption key
is still needed for old mail.`,
		Example: `  sealpost-agent revoke 3617582bc6426e4c --reason keyCompromise --since 2026-11-20T18:00:00Z
  sealpost-agent revoke --all --reason affiliationChanged --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) > 0) == o.all {
				return usageError{errors.New("name the serial numbers of certificates, or give --all"), cmd.CommandPath()}
			}
			if !slices.Contains(reasons, o.reason) {
				return usageError{fmt.Errorf("--reason must be one of: %s", strings.Join(reasons, ", ")), cmd.CommandPath()}
			}
			req := api.RevocationRequest{Reason: o.reason}
			if o.since != "" {
				at, err := time.Parse(time.RFC3339, o.since)
				if err != nil {
					return usageError{errors.New("--since must be a time such as 2026-11-20T18:00:00Z"), cmd.CommandPath()}
				}
				req.InvalidFrom = &at
			}
			return s.revoke(cmd.Context(), args, req, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.reason, "reason", "", "why: "+strings.Join(reasons, ", ")+" (required)")
	f.StringVar(&o.since, "since", "", "since when the key may have been in other hands")
	f.BoolVar(&o.all, "all", false, "every certificate that is still good")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return c
}

func (s *session) revoke(ctx context.Context, serials []string, req api.RevocationRequest, o revokeFlags) error {
	a, err := s.open()
	if err != nil {
		return err
	}
	certs, err := a.Certificates(ctx, s.mailbox)
	if err != nil {
		return err
	}
	chosen, err := chooseCertificates(certs, serials)
	if err != nil {
		return err
	}
	if !o.yes {
		names := make([]string, len(chosen))
		for i, c := range chosen {
			names[i] = plain(c.Use + " " + c.Serial)
		}
		if err := s.confirm(fmt.Sprintf("Revoke for good: %s?", strings.Join(names, ", "))); err != nil {
			return err
		}
	}
	revoked, failed := a.Revoke(ctx, s.mailbox, chosen, req)
	err = s.write(append([]api.Certificate{}, revoked...), func(w io.Writer) {
		for _, c := range revoked {
			fmt.Fprintf(w, "revoked\t%s\t%s\n", plain(c.Use), plain(c.Serial))
		}
	})
	return errors.Join(failed, err)
}

// chooseCertificates returns the good certificates with the serial numbers, or all good ones.
func chooseCertificates(certs []api.Certificate, serials []string) ([]api.Certificate, error) {
	good := slices.DeleteFunc(slices.Clone(certs), func(c api.Certificate) bool { return c.Status != "good" })
	if len(serials) == 0 {
		if len(good) == 0 {
			return nil, errNothingToRevoke
		}
		return good, nil
	}
	var out []api.Certificate
	for _, serial := range serials {
		wanted := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(serial, ":", "")), "0")
		i := slices.IndexFunc(good, func(c api.Certificate) bool { return strings.TrimLeft(c.Serial, "0") == wanted })
		if i < 0 {
			return nil, errNothingToRevoke.Withf("You have no certificate %s that is good. Nothing was revoked. See: sealpost-agent list", serial)
		}
		out = append(out, good[i])
	}
	return out, nil
}
