package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/web"
)

func galCommand() *cobra.Command {
	c := &cobra.Command{Use: "gal", Short: "Compare the directory with what it should show, and repair it",
		Long: `A running server compares everybody's directory entry with what it should show as often as gal.every in the configuration says,
and repairs it; so it does in each further directory (gal.targets). These commands do it now, and show what was found.
docs/gal.md says what belongs into an entry.`}
	c.AddCommand(contactCommand(), galStatusCommand(), galDiffCommand(), galCheckCommand(),
		galRepairCommand("repair", "Repair a person's entry, or all"),
		galRepairCommand("publish", "The same as repair"))
	return c
}

// targetFlag adds the flag that names a directory.
func targetFlag(c *cobra.Command) *string {
	return c.Flags().String("target", "", "name of one directory (directory.name, gal.targets[].name); without it, all")
}

// targets returns the directories that a command is about.
func targets(p *gal.Publisher, name string) ([]*gal.Target, error) {
	if name == "" {
		return p.Targets(), nil
	}
	t, err := p.At(name)
	return []*gal.Target{t}, err
}

// eachTarget does something for each directory that a command is about. What fails in one keeps it from no other.
func eachTarget(p *gal.Publisher, name string, do func(*gal.Target) error) error {
	list, err := targets(p, name)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range list {
		if err := do(t); err != nil {
			if len(list) > 1 {
				err = fmt.Errorf("%s: %w", t.Name(), err)
			}
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func galStatusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "Show the last sweep, and how many entries are not as they should be", Args: cobra.NoArgs}
	path := configFlag(c)
	target := targetFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON, one object for each directory")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			err := eachTarget(s.GAL, *target, func(t *gal.Target) error {
				status, err := t.Status(cmd.Context(), operator())
				if err != nil {
					return err
				}
				if *asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(web.GALStatusOf(status))
				}
				return printGALStatus(cmd.OutOrStdout(), status)
			})
			if err != nil || *asJSON || *target != "" {
				return err
			}
			line, err := contactsSummary(cmd.Context(), s.Contacts)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), line)
			return err
		})
	}
	return c
}

func printGALStatus(w io.Writer, s gal.Status) error {
	if s.Waiting > 0 {
		defer fmt.Fprintf(w, "%d people wait: their entries could not be brought up to date so far; the server's log says why\n", s.Waiting)
	}
	if s.Number == 0 {
		_, err := fmt.Fprintf(w, "%s: no sweep yet\n", s.Target)
		return err
	}
	state := "is at " + string(s.Phase)
	if s.Ended != nil {
		state = "ended " + s.Ended.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "%s: sweep %d, begun %s, %s\n%d people compared, %d entries repaired, %d values of others\n", s.Target, s.Number, s.Begun.Format(time.RFC3339), state,
		s.People, s.Changed, s.Foreign)
	for _, k := range gal.Kinds() {
		if n := s.Drift[k]; n > 0 {
			fmt.Fprintf(w, "  %-12s %d\n", k, n)
		}
	}
	switch s.Stopped {
	case gal.StoppedLimit:
		fmt.Fprintln(w, "Nothing was repaired: more entries would lose values than gal.limit allows. Look at them, then: sealpost gal repair --all --beyond-limit --target "+s.Target)
	case gal.StoppedScan:
		fmt.Fprintln(w, "The directory does not list all its entries: copies of certificates in entries of others were not all looked for (docs/gal.md).")
	}
	if s.Failure != "" {
		fmt.Fprintln(w, "It does not go on: "+s.Failure)
	}
	return nil
}

// errOneOrAll says that a command needs logins or --all.
var errOneOrAll = errors.New("name people by login, mail address or id, or say --all")

func galDiffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff PERSON... | --all",
		Short: "Show how entries differ from what they should show",
		Long: `Compares people's entries, and changes nothing. With --all it compares everybody, and looks into all other entries that hold
certificates for copies of ours; what it finds is kept for ` + "`gal status`" + ` and monitoring.`,
	}
	path := configFlag(c)
	target := targetFlag(c)
	all := c.Flags().Bool("all", false, "everybody")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return errOneOrAll
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			return eachTarget(s.GAL, *target, func(t *gal.Target) error {
				if *all {
					return galSweep(cmd, t, gal.Sweeping{Now: true}, *asJSON)
				}
				return galPeople(cmd, s, t, args, t.Compare, "%s: %d missing, %d stale, %d of others\n", *asJSON)
			})
		})
	}
	return c
}

func galRepairCommand(use, short string) *cobra.Command {
	c := &cobra.Command{
		Use:   use + " PERSON... | --all",
		Short: short,
		Long: `Makes people's entries show what they should. With --all it compares everybody first, as ` + "`gal diff --all`" + ` does, and then repairs
what it found; if more entries would lose values than gal.limit allows, it changes nothing. What others put there always stays.`,
	}
	path := configFlag(c)
	target := targetFlag(c)
	all := c.Flags().Bool("all", false, "everybody")
	dry := c.Flags().Bool("dry-run", false, "show what would be done, and change nothing")
	beyond := c.Flags().Bool("beyond-limit", false, "with --all: however many entries lose values")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return errOneOrAll
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			return eachTarget(s.GAL, *target, func(t *gal.Target) error {
				switch {
				case *all:
					return galSweep(cmd, t, gal.Sweeping{Now: true, Repair: !*dry, Beyond: *beyond}, *asJSON)
				case *dry:
					return galPeople(cmd, s, t, args, t.Compare, "%s: %d missing, %d stale, %d of others\n", *asJSON)
				default:
					return galPeople(cmd, s, t, args, t.Publish, "%s: %d added, %d removed, %d of others left alone\n", *asJSON)
				}
			})
		})
	}
	return c
}

// galPeople does something about people's entries and says what it found.
func galPeople(cmd *cobra.Command, s *server.Server, t *gal.Target, people []string, do func(context.Context, uuid.UUID) (gal.Difference, error), found string, asJSON bool) error {
	for _, name := range people {
		id, err := personNamed(cmd.Context(), s.Base, name)
		if err != nil {
			return err
		}
		d, err := do(cmd.Context(), id)
		if err != nil {
			return err
		}
		missing, stale := len(d.Missing)+len(d.SMIMEMissing), len(d.Stale)+len(d.SMIMEStale)
		w := cmd.OutOrStdout()
		if asJSON {
			err = json.NewEncoder(w).Encode(map[string]any{"directory": t.Name(), "person": id, "missing": missing, "stale": stale, "foreign": d.Foreign,
				"undecodable": d.Undecodable, "held": d.Held, "full": d.Full, "nearly_full": d.Near})
		} else {
			person, err := s.Directory.Person(cmd.Context(), id)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, found, nameIn(s, t, person.Name), missing, stale, d.Foreign)
			if d.Undecodable > 0 {
				fmt.Fprintf(w, "  %d values cannot be read and are left alone\n", d.Undecodable)
			}
			if d.Full || d.Near {
				fmt.Fprintf(w, "  userCertificate has %d values of at most %d (gal.max_values)\n", d.Held, t.Policy.MaxValues)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nameIn is how a person is named where it must be clear which directory is meant.
func nameIn(s *server.Server, t *gal.Target, name string) string {
	if len(s.GAL.Targets()) == 1 {
		return name
	}
	return t.Name() + ": " + name
}

// galSweep sweeps, tells on standard error how far it is, and prints what is not as it should be afterwards.
func galSweep(cmd *cobra.Command, t *gal.Target, how gal.Sweeping, asJSON bool) error {
	last := time.Time{}
	how.Progress = func(st gal.Status) {
		if now := time.Now(); now.Sub(last) > 2*time.Second {
			last = now
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d people, %d entries, %d repaired\n", st.Phase, st.People, st.Entries, st.Changed)
		}
	}
	if err := t.Sweep(cmd.Context(), operator(), how); err != nil {
		return err
	}
	status, err := t.Status(cmd.Context(), operator())
	if err != nil {
		return err
	}
	if err := printDrift(cmd.Context(), cmd.OutOrStdout(), t, asJSON); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(web.GALStatusOf(status))
	}
	return printGALStatus(cmd.OutOrStdout(), status)
}

func printDrift(ctx context.Context, w io.Writer, p *gal.Target, asJSON bool) error {
	const page = 500
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for after := int64(0); ; {
		list, err := p.Drift(ctx, operator(), "", after, page)
		if err != nil {
			return err
		}
		if after == 0 && len(list) > 0 && !asJSON {
			fmt.Fprintln(t, "KINDS\tMISSING\tSTALE\tOTHERS\tUNREADABLE\tENTRY\tPERSON\tFAILURE")
		}
		for _, f := range list {
			after = f.Number
			if asJSON {
				if err := json.NewEncoder(w).Encode(web.DriftOf(f)); err != nil {
					return err
				}
				continue
			}
			person := ""
			if f.Person != uuid.Nil {
				person = f.Person.String()
			}
			kinds := make([]string, len(f.Kinds))
			for i, k := range f.Kinds {
				kinds[i] = string(k)
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%q\t%s\t%s\n", strings.Join(kinds, ","), f.Missing, f.Stale, f.Foreign, f.Undecodable, f.DN, person, f.Failure)
		}
		if len(list) < page {
			return t.Flush()
		}
	}
}
