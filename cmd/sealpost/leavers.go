package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/audit"
)

func leaversCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "leavers",
		Short: "People with certificates whom the directory shows as disabled, no longer, or without an address of theirs",
		Long: `Lists them, and says what becomes of their certificates. A running server looks at everybody as often as leavers.every in the
configuration says, and does what the policy there says; registrars decide about the others, over the REST interface or here.`,
	}
	c.AddCommand(leaversListCommand(), leaversSweepCommand(),
		leaversDecideCommand("revoke", "Say that somebody has left: revoke what they sign with, take them out of the directory; or what names an address that they lost", (*leaver.Desk).Revoke),
		leaversDecideCommand("keep", "Say that somebody's certificates stay as they are", (*leaver.Desk).Keep))
	return c
}

func leaversListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error { return printLeavers(cmd.Context(), cmd.OutOrStdout(), s.Leavers) })
	}
	return c
}

func leaversSweepCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Ask the directory about everybody now, and do what the policy says",
		Args:  cobra.NoArgs,
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			if err := s.Leavers.Sweep(cmd.Context(), true); err != nil {
				return err
			}
			return printLeavers(cmd.Context(), cmd.OutOrStdout(), s.Leavers)
		})
	}
	return c
}

// leaversDecideCommand is a decision about people.
func leaversDecideCommand(use, short string, decide func(*leaver.Desk, context.Context, audit.Actor, uuid.UUID, string) (*leaver.Leaver, error)) *cobra.Command {
	c := &cobra.Command{
		Use:   use + " PERSON...",
		Short: short,
		Long:  short + ".\n\nA person is named by login or mail address, or by the id that `sealpost leavers list` shows.",
		Args:  cobra.MinimumNArgs(1),
	}
	path := configFlag(c)
	note := c.Flags().String("note", "", "why, for the audit log and for registrars (required)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			for _, name := range args {
				person, err := personNamed(cmd.Context(), s.Base, name)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				l, err := decide(s.Leavers, cmd.Context(), operator(), person, *note)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", l.Name, l.State)
			}
			return nil
		})
	}
	return c
}

func printLeavers(ctx context.Context, w io.Writer, d *leaver.Desk) error {
	const page = 500
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for after := int64(0); ; {
		list, err := d.List(ctx, operator(), nil, after, page)
		if err != nil {
			return err
		}
		if after == 0 && len(list) == 0 {
			fmt.Fprintln(t, "Nobody with certificates is disabled, gone or without an address of theirs in the directory, as far as is known.")
		} else if after == 0 {
			fmt.Fprintln(t, "STATE\tSINCE\tDIRECTORY\tPERSON\tNAME\tMAILBOX\tWHY")
		}
		for _, l := range list {
			after = l.Number
			why := l.Why
			if len(l.Lost) > 0 {
				why = strings.TrimSpace(why + " lost " + strings.Join(l.Lost, ", "))
			}
			if l.By != nil {
				why = l.By.Name + ": " + l.Reason
			}
			fmt.Fprintln(t, strings.Join([]string{string(l.State), l.Changed.Format(time.DateOnly), string(l.Standing), l.Person.String(), l.Name, l.Mailbox, why}, "\t"))
		}
		if len(list) < page {
			return t.Flush()
		}
	}
}
