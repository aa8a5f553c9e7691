package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/web"
)

func crlCommand() *cobra.Command {
	c := &cobra.Command{Use: "crl", Short: "See how revocation lists stand everywhere, make them, look into any"}
	c.AddCommand(crlStatusCommand(), crlPublishCommand(), crlShowCommand(), crlVerifyCommand(), crlWatchCommand())
	return c
}

// withLists runs fn with the room that publishes lists. Nothing is made by that, even if it is due.
func withLists(ctx context.Context, path string, fn func(*server.Base, *crl.Publisher) error) error {
	return withBase(ctx, path, func(b *server.Base) error {
		p, err := b.NewCRL()
		if err != nil {
			return err
		}
		return fn(b, p)
	})
}

func crlStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how every revocation list stands, and what was last seen at every distribution point",
		Long: `Shows the newest list of every kind, and for each distribution point and file which list was last seen there, by looking as an
outsider would, and how long it is still good. A running server looks every five minutes; this command asks what it saw.

  ok           the newest list
  late         another list, as a rule an older one, and still good
  running-out  less than crl.margin is left
  run-out      relying parties refuse every certificate that the list is about
  unknown      the last look saw nothing of ours, or nobody has looked of late

It ends with exit code 1 if anything marked with ! needs somebody: what is running out or has run out, and what has failed for
longer than crl.patience. So monitoring can ask it.`,
		Example: `  sealpost crl status
  sealpost crl status --json`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON, as GET /api/v1/crl/status answers")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withLists(cmd.Context(), *path, func(_ *server.Base, p *crl.Publisher) error {
			st, err := p.Status(cmd.Context(), operator())
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), st, *asJSON); err != nil {
				return err
			}
			if lists, points := st.Urgent(); lists+points > 0 {
				return fmt.Errorf("%d lists and %d files at distribution points need somebody; see docs/runbooks/crl-stale.md", lists, points)
			}
			return nil
		})
	}
	return c
}

func printStatus(w io.Writer, st *crl.Status, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(web.CRLStatus(st))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LIST\tNUMBER\tENTRIES\tBYTES\tUNTIL\tLEFT\tSTATE\t")
	for _, l := range st.Lists {
		until, left := "-", "-"
		if !l.NextUpdate.IsZero() {
			until, left = l.NextUpdate.UTC().Format(time.RFC3339), inWords(l.NextUpdate.Sub(st.At))
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", l.File, numberOf(l.Number), l.Entries, l.Size, until, left, mark(l.State, l.Urgent), l.Failure)
	}
	if err := t.Flush(); err != nil || len(st.Points) == 0 {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "POINT\tFILE\tSHOWS\tNEWEST\tLEFT\tLAST GOOD\tSTATE\t")
	for _, p := range st.Points {
		left, good, failure := "-", "never", p.Failure
		if p.NextUpdate != nil {
			left = inWords(p.NextUpdate.Sub(st.At))
		}
		if p.SeenAt != nil {
			good = p.SeenAt.UTC().Format(time.RFC3339)
		}
		if p.FailedAt != nil {
			failure = "since " + p.FailedAt.UTC().Format(time.RFC3339) + ": " + failure
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Point, p.File, numberOf(p.Number), numberOf(p.Newest), left, good, mark(p.State, p.Urgent), failure)
	}
	return t.Flush()
}

func mark(s crl.State, urgent bool) string {
	if urgent {
		return string(s) + " !"
	}
	return string(s)
}

// numberOf returns a list's number; "-" of what has none.
func numberOf(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// inWords returns how long something still lasts, or how long it has been over.
func inWords(d time.Duration) string {
	if d < 0 {
		return "over for " + inWords(-d)
	}
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func crlPublishCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "publish",
		Short: "Make the next revocation lists now",
		Long: `Makes lists of every kind even if nothing was revoked and none is due. A running server delivers them to the distribution
points.

With --after, numbers go on behind the given one: for a database that was restored from a backup and has forgotten lists that
distribution points and relying parties have. Take the highest number that crl status shows anywhere. It cannot be undone, and
is written into the audit log.`,
		Example: `  sealpost crl publish
  sealpost crl publish --issuer issuing --after 4711`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	issuer := c.Flags().String("issuer", "", "of this issuer alone")
	after := c.Flags().Int64("after", 0, "let its numbers go on behind this one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withLists(cmd.Context(), *path, func(b *server.Base, p *crl.Publisher) error {
			var ids []string
			for _, i := range b.Authority.Issuers() {
				if *issuer == "" && i.CanSign() {
					ids = append(ids, i.ID())
				}
			}
			if *issuer != "" {
				ids = []string{*issuer}
			}
			skip := cmd.Flags().Changed("after")
			if skip && len(ids) != 1 {
				return errors.New("there are several issuers, each with numbers of its own: say with --issuer which is meant")
			}
			for _, id := range ids {
				var l *crl.List
				var err error
				if skip {
					l, err = p.GoBehind(cmd.Context(), operator(), id, *after)
				} else {
					l, err = p.Renew(cmd.Context(), id)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: number %d, %d entries, next update %s\n", l.Issuer, l.Number, l.Entries, l.NextUpdate.Format(time.RFC3339))
			}
			return nil
		})
	}
	return c
}
