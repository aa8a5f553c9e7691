package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/crl"
)

func crlCommand() *cobra.Command {
	c := &cobra.Command{Use: "crl", Short: "Look at revocation lists, and make one now"}
	c.AddCommand(crlPublishCommand(), crlStatusCommand())
	return c
}

func crlPublishCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "publish",
		Short: "Make the next revocation list of every issuer now",
		Long:  "Makes a list even if nothing was revoked and none is due. A running server delivers it to the distribution points.",
		Args:  cobra.NoArgs,
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			for _, i := range s.Authority.Issuers() {
				l, err := s.CRL.Renew(cmd.Context(), i.ID())
				if err != nil {
					return err
				}
				printList(cmd.OutOrStdout(), l)
			}
			return nil
		})
	}
	return c
}

func printList(w io.Writer, l *crl.List) {
	fmt.Fprintf(w, "%s: number %d, %d entries, next update %s\n", l.Issuer, l.Number, l.Entries, l.NextUpdate.Format(time.RFC3339))
}

func crlStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show every issuer's newest list, and what was last seen at its distribution points",
		Long: `Shows the newest list of every issuer, which every server serves over HTTP, and for each distribution point beside that
which list was last read back there, when, and what has failed since. With --json it prints the points alone.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			points, err := s.CRL.Status(cmd.Context())
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(points)
			}
			for _, i := range s.Authority.Issuers() {
				l, err := s.CRL.Newest(cmd.Context(), i.ID())
				if err != nil {
					return err
				}
				printList(cmd.OutOrStdout(), l)
			}
			if len(points) == 0 {
				return nil
			}
			return printPoints(cmd.OutOrStdout(), points)
		})
	}
	return c
}

func printPoints(w io.Writer, points []crl.Standing) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POINT\tFILE\tNUMBER\tSEEN\tFAILURE")
	for _, p := range points {
		seen := "never"
		if p.SeenAt != nil {
			seen = p.SeenAt.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", p.Point, p.File, p.Number, seen, p.Failure)
	}
	return t.Flush()
}
