package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/web"
)

func fleetCommand() *cobra.Command {
	c := &cobra.Command{Use: "fleet", Short: "People's machines with the agent: last contact, versions, what each has and what goes wrong there",
		Long: `Reads what machines with sealpost-agent have said of themselves. All of it but the times of contact is their word (docs/fleet.md).`}
	c.AddCommand(fleetListCommand(), fleetSummaryCommand(), fleetShowCommand(), fleetForgetCommand())
	return c
}

// fleetFlags choose machines.
type fleetFlags struct {
	person, system, version, failure string
	silent, ends                     int // days
	failing, json                    bool
}

func fleetListCommand() *cobra.Command {
	var o fleetFlags
	c := &cobra.Command{Use: "list", Short: "List machines, in the order in which they were first heard of", Args: cobra.NoArgs,
		Example: "  sealpost fleet list --failing\n  sealpost fleet list --failure key-store --system linux\n  sealpost fleet list --silent 30 --json"}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.person, "person", "", "somebody's: login, mail address or id")
	f.IntVar(&o.silent, "silent", 0, "not heard of for so many days")
	f.IntVar(&o.ends, "ends", 0, "a certificate in use there ends within so many days")
	f.StringVar(&o.system, "system", "", "as the machines say it, such as linux")
	f.StringVar(&o.version, "version", "", "of the agent, as the machines say it")
	f.StringVar(&o.failure, "failure", "", "what goes wrong there now, by its code")
	f.BoolVar(&o.failing, "failing", false, "something goes wrong there now")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			w, err := o.which(cmd.Context(), s)
			if err != nil {
				return err
			}
			return listMachines(cmd.Context(), cmd.OutOrStdout(), s.Fleet, w, o.json)
		})
	}
	return c
}

// which is what the flags say.
func (o fleetFlags) which(ctx context.Context, s *server.Server) (w fleet.Which, err error) {
	if o.silent < 0 || o.ends < 0 {
		return w, errors.New("--silent and --ends are numbers of days")
	}
	w = fleet.Which{System: o.system, Version: o.version, Failure: o.failure, Failing: o.failing}
	now := time.Now()
	if o.silent > 0 {
		w.SilentSince = now.AddDate(0, 0, -o.silent)
	}
	if o.ends > 0 {
		w.EndsBefore = now.AddDate(0, 0, o.ends)
	}
	if o.person != "" {
		w.Person, err = personNamed(ctx, s.Base, o.person)
	}
	return w, err
}

func listMachines(ctx context.Context, out io.Writer, f *fleet.Fleet, w fleet.Which, asJSON bool) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	w.Limit = 500
	for first := true; ; first = false {
		list, err := f.List(ctx, operator(), w)
		if err != nil {
			return err
		}
		if first && !asJSON && len(list) == 0 {
			fmt.Fprintln(t, "There is no such machine.")
		} else if first && !asJSON {
			fmt.Fprintln(t, "STANDING\tHEARD\tPERSON\tMACHINE\tSYSTEM\tVERSION\tENDS\tFAILURE\tID")
		}
		for _, m := range list {
			if asJSON {
				if err := json.NewEncoder(out).Encode(web.MachineOf(f, m)); err != nil {
					return err
				}
				continue
			}
			name, ends := "", ""
			if m.Report != nil {
				name = m.Report.Name
			}
			if m.EndsAt != nil {
				ends = m.EndsAt.Format(time.DateOnly)
			}
			fmt.Fprintln(t, strings.Join([]string{string(f.Standing(m)), m.LastAt.Format(time.DateOnly), m.PersonName, name, m.System, m.Version, ends, m.Failure, m.ID.String()}, "\t"))
		}
		if len(list) < w.Limit {
			return t.Flush()
		}
		w.After = list[len(list)-1].Place()
	}
}

func fleetSummaryCommand() *cobra.Command {
	c := &cobra.Command{Use: "summary", Short: "Count machines by standing, failure, version and system", Args: cobra.NoArgs}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			sum, err := s.Fleet.Summary(cmd.Context(), operator())
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(sum)
			}
			return printSummary(cmd.OutOrStdout(), sum)
		})
	}
	return c
}

func printSummary(out io.Writer, s *api.MachineSummary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range []struct {
		what string
		n    int64
	}{{"machines", s.Machines}, {"failing", s.Failing}, {"certificates end soon, and not heard of for days", s.Ending}, {"certificates have ended", s.Ended},
		{"not heard of for " + strconv.Itoa(s.SilentDays) + " days", s.Silent}, {"heard of, without a report", s.Unreported}} {
		fmt.Fprintf(w, "%s\t%d\n", r.what, r.n)
	}
	for _, group := range []struct {
		title string
		list  []api.MachineCount
	}{{"by failure", s.Failures}, {"by version", s.Versions}, {"by system", s.Systems}} {
		if len(group.list) > 0 {
			fmt.Fprintln(w, group.title+"\t")
		}
		for _, c := range group.list {
			fmt.Fprintf(w, "  %s\t%d\n", cmp.Or(c.Value, "(others)"), c.Machines)
		}
	}
	return w.Flush()
}

func fleetShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show PERSON MACHINE", Short: "Show all that one machine says of itself, as JSON", Args: cobra.ExactArgs(2),
		Long: "Shows one machine.\n\nThe person is named by login, mail address or id, the machine by its id (`sealpost fleet list --person …`)."}
	path := configFlag(c)
	c.RunE = machineCommand(path, func(cmd *cobra.Command, s *server.Server, person, id uuid.UUID) error {
		m, err := s.Fleet.Get(cmd.Context(), operator(), person, id)
		if err != nil {
			return err
		}
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(web.MachineOf(s.Fleet, m))
	})
	return c
}

func fleetForgetCommand() *cobra.Command {
	c := &cobra.Command{Use: "forget PERSON MACHINE", Short: "Forget a machine; nothing is revoked by that", Args: cobra.ExactArgs(2),
		Long: `Forgets one machine. If it reports again, it is known again. Of a machine that was lost or stolen the certificates are to be
revoked instead (sealpost revoke).`}
	path := configFlag(c)
	c.RunE = machineCommand(path, func(cmd *cobra.Command, s *server.Server, person, id uuid.UUID) error {
		m, err := s.Fleet.Forget(cmd.Context(), operator(), person, id)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s of %s: forgotten\n", m.ID, m.PersonName)
		return nil
	})
	return c
}

// machineCommand runs what is about one machine.
func machineCommand(path *string, do func(cmd *cobra.Command, s *server.Server, person, id uuid.UUID) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		id, err := uuid.Parse(args[1])
		if err != nil {
			return fleet.ErrID
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			person, err := personNamed(cmd.Context(), s.Base, args[0])
			if err != nil {
				return err
			}
			return do(cmd, s, person, id)
		})
	}
}
