package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/web"
)

func renewalsCommand() *cobra.Command {
	c := &cobra.Command{Use: "renewals", Short: "Have certificates renewed before their time, when an algorithm or a key is not to be relied on any more",
		Long: `Orders to renew. Agents are told with the signed policy, renew with new keys, each machine at a moment of its own within the
order's hours, and tell the person why. Nothing is revoked by an order (sealpost revoke).`}
	c.AddCommand(renewalsAddCommand(), renewalsListCommand(), renewalsShowCommand(), renewalsWithdrawCommand())
	return c
}

func renewalsAddCommand() *cobra.Command {
	var o api.RenewalRequest
	var person, before string
	c := &cobra.Command{Use: "add", Short: "Have the certificates renewed that meet all criteria that are given", Args: cobra.NoArgs,
		Long: `Makes an order. While one for an algorithm is open, and has no --issued-before, no new key of that kind is taken either; it is
refused if no kind of key would be left.`,
		Example: "  sealpost renewals add --algorithm RSA-3072 --hours 72 --reason \"RSA keys from older smart cards are weak.\"\n" +
			"  sealpost renewals add --person alice --reason \"Your laptop was stolen.\""}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.Reason, "reason", "", "why; people read it")
	f.StringVar(&o.Algorithm, "algorithm", "", "the kind of key, such as RSA-3072")
	f.StringVar(&o.SPKISHA256, "key", "", "the very key: SHA-256 of its SubjectPublicKeyInfo, in hex")
	f.StringVar(&o.Issuer, "issuer", "", "the issuer's id")
	f.StringVar(&o.Profile, "profile", "", "the certificate profile")
	f.StringVar(&person, "person", "", "somebody's: login, mail address or id")
	f.StringVar(&before, "issued-before", "", "only those issued before this moment, as 2026-05-01T00:00:00Z")
	f.IntVar(&o.Hours, "hours", 24, "spread machines over so many hours; 0: all at once")
	asJSON := f.Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if before != "" {
			at, err := time.Parse(time.RFC3339, before)
			if err != nil {
				return enroll.ErrOrder.Withf("--issued-before takes a moment such as 2026-05-01T00:00:00Z.")
			}
			o.IssuedBefore = &at
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			if person != "" {
				id, err := personNamed(cmd.Context(), s.Base, person)
				if err != nil {
					return err
				}
				o.Person = &id
			}
			order, err := web.RenewalOf(o)
			if err != nil {
				return err
			}
			made, err := s.Enroll.OrderRenewal(cmd.Context(), operator(), order)
			if err != nil {
				return err
			}
			return printRenewals(cmd.OutOrStdout(), *asJSON, web.RenewalOrderOf(made))
		})
	}
	return c
}

func renewalsListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the orders to renew, the newest first, at most 500", Args: cobra.NoArgs}
	path := configFlag(c)
	open := c.Flags().Bool("open", false, "only those that were not withdrawn")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			found, err := s.Enroll.RenewalOrders(cmd.Context(), operator(), *open, 0, 500)
			if err != nil {
				return err
			}
			list := make([]api.RenewalOrder, len(found))
			for i, o := range found {
				list[i] = web.RenewalOrderOf(o)
			}
			return printRenewals(cmd.OutOrStdout(), *asJSON, list...)
		})
	}
	return c
}

func renewalsShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show NUMBER", Short: "Show one order to renew, and how far it has come", Args: cobra.ExactArgs(1)}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = renewalCommand(path, func(cmd *cobra.Command, s *server.Server, number int64) error {
		o, err := s.Enroll.RenewalOrder(cmd.Context(), operator(), number)
		if err != nil {
			return err
		}
		p, err := s.Enroll.RenewalProgress(cmd.Context(), o)
		if err != nil {
			return err
		}
		shown := web.RenewalOrderOf(o)
		shown.Progress = &api.RenewalProgress{Waiting: p.Waiting, Replaced: p.Replaced, Whole: p.Whole}
		if err := printRenewals(cmd.OutOrStdout(), *asJSON, shown); err != nil || *asJSON {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d certificates wait to be replaced, %d have been\n", p.Waiting, p.Replaced)
		if !p.Whole {
			fmt.Fprintln(cmd.OutOrStdout(), "(there are more certificates than were looked at)")
		}
		return nil
	})
	return c
}

func renewalsWithdrawCommand() *cobra.Command {
	c := &cobra.Command{Use: "withdraw NUMBER", Short: "Withdraw an order to renew: what was not renewed has its usual moment again", Args: cobra.ExactArgs(1)}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = renewalCommand(path, func(cmd *cobra.Command, s *server.Server, number int64) error {
		o, err := s.Enroll.WithdrawRenewalOrder(cmd.Context(), operator(), number)
		if err != nil {
			return err
		}
		return printRenewals(cmd.OutOrStdout(), *asJSON, web.RenewalOrderOf(o))
	})
	return c
}

// renewalCommand runs what is about one order.
func renewalCommand(path *string, do func(*cobra.Command, *server.Server, int64) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		number, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || number <= 0 {
			return enroll.ErrUnknownOrder
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error { return do(cmd, s, number) })
	}
}

func printRenewals(out io.Writer, asJSON bool, list ...api.RenewalOrder) error {
	if asJSON {
		for _, o := range list {
			if err := json.NewEncoder(out).Encode(o); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "There is no such order.")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tMADE\tBY\tSTATE\tHOURS\tWHICH\tREASON")
	for _, o := range list {
		state := "open"
		if o.WithdrawnAt != nil {
			state = "withdrawn"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%q\n", o.Number, o.MadeAt.Format(time.DateOnly), o.MadeBy, state, o.Hours, criteria(o), o.Reason)
	}
	return t.Flush()
}

// criteria says in a few words which certificates an order concerns.
func criteria(o api.RenewalOrder) string {
	var words []string
	for _, w := range []struct{ name, value string }{{"algorithm", o.Algorithm}, {"key", o.SPKISHA256}, {"issuer", o.Issuer}, {"profile", o.Profile}} {
		if w.value != "" {
			words = append(words, w.name+" "+w.value)
		}
	}
	if o.Person != nil {
		words = append(words, "person "+o.Person.String())
	}
	if o.IssuedBefore != nil {
		words = append(words, "issued before "+o.IssuedBefore.Format(time.RFC3339))
	}
	return strings.Join(words, ", ")
}
