package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/client"
)

// statusCommand tells what is on this machine.
func statusCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what this machine has, without asking the server",
		Long: `Shows the certificates and keys that are here, when they are renewed, what is under way, what went wrong lately, and when the server was last
told how things stand. It asks nobody anything. The same, as JSON, is in status.json in the agent's folder after each run.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings, _, err := s.settings()
			if errors.Is(err, errNotSetUp) {
				return s.write(emptyStatus(), printStatus(emptyStatus()))
			}
			if err != nil {
				return err
			}
			a, err := s.agent(settings, client.Config{})
			if err != nil {
				return err
			}
			v, err := s.viewStatus(a)
			if err != nil {
				return err
			}
			return s.write(v, printStatus(v))
		},
	}
}

type statusJSON struct {
	At         time.Time      `json:"at,omitzero"` // when it was written, in status.json
	Machine    *uuid.UUID     `json:"machine,omitempty"`
	Version    string         `json:"version,omitempty"`
	Schedule   *scheduleJSON  `json:"schedule,omitempty"`
	ReportedAt *time.Time     `json:"reported_at,omitempty"` // when the server was last told
	Identities []identityJSON `json:"identities"`
	Begun      []begunJSON    `json:"begun"`
	Restores   []restoreJSON  `json:"restores,omitempty"` // without what the server knows; see restore status
	Failures   []failureJSON  `json:"failures,omitempty"` // the newest first
}

type scheduleJSON struct {
	By       string     `json:"by"`             // timer, daemon or none
	Next     *time.Time `json:"next,omitempty"` // when the agent runs by itself again
	Failures int        `json:"failures"`       // of runs by itself, in a row
	Code     string     `json:"code,omitempty"` // of the last
}

type failureJSON struct {
	Person  *uuid.UUID `json:"person,omitempty"` // absent: it was not known whose
	Step    string     `json:"step"`
	Code    string     `json:"code"`
	Detail  string     `json:"detail,omitempty"`
	Since   time.Time  `json:"since"`
	At      time.Time  `json:"at"`
	Count   int        `json:"count"`
	EndedAt *time.Time `json:"ended_at,omitempty"`
}

func emptyStatus() statusJSON { return statusJSON{Identities: []identityJSON{}, Begun: []begunJSON{}} }

// viewStatus is all that is known here.
func (s *session) viewStatus(a *agent.Agent) (statusJSON, error) {
	v := emptyStatus()
	id, err := a.Machine()
	if err != nil {
		return v, err
	}
	if id != uuid.Nil {
		v.Machine, v.Version = &id, version()
	}
	ids, err := a.Identities()
	if err != nil {
		return v, err
	}
	known := a.Known()
	for _, id := range ids {
		one, err := s.viewIdentity(id)
		if err != nil {
			return v, err
		}
		one.Stores = viewStores(known.Stores[id.Person.ID])
		v.Identities = append(v.Identities, one)
	}
	begun, err := a.Begun()
	if err != nil {
		return v, err
	}
	for _, b := range begun {
		v.Begun = append(v.Begun, begunJSON{b.Person, b.Enrolment, b.Server, b.BegunAt, b.ID})
	}
	restores, err := a.BegunRestores()
	if err != nil {
		return v, err
	}
	for _, st := range restores {
		v.Restores = append(v.Restores, viewRestore(st))
	}
	if v.Schedule, err = s.viewSchedule(a); err != nil {
		return v, err
	}
	v.ReportedAt = known.ToldAt
	for _, f := range known.Failures {
		one := failureJSON{nil, f.Step, f.Code, f.Detail, f.Since, f.At, f.Count, f.EndedAt}
		if f.Person != uuid.Nil {
			one.Person = &f.Person
		}
		v.Failures = append(v.Failures, one)
	}
	return v, nil
}

func (s *session) viewSchedule(a *agent.Agent) (*scheduleJSON, error) {
	runs, err := a.Schedule()
	if err != nil {
		return nil, err
	}
	v := &scheduleJSON{By: s.scheduled(), Failures: runs.Failures, Code: runs.Code}
	if !runs.Next.IsZero() {
		v.Next = &runs.Next
	}
	return v, nil
}

// What starts the agent by itself.
const (
	byTimer  = "timer"
	byDaemon = "daemon"
	byNobody = "none"
)

// scheduled says what starts the agent by itself here: timer, daemon or none.
func (s *session) scheduled() string {
	if s.daemonRuns {
		return byDaemon
	}
	systems := []string{s.by("")}
	if runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
		systems = []string{"systemd", "autostart"}
	}
	for _, system := range systems {
		for _, everybody := range []bool{false, true} {
			plan, err := s.schedule(installFlags{every: time.Hour, system: system, everybody: everybody})
			if err != nil { // --state and --all-users do not go together
				continue
			}
			if there, err := plan.Installed(); err == nil && there {
				if system == "autostart" {
					return byDaemon
				}
				return byTimer
			}
		}
	}
	return byNobody
}

// ended is for the end of a command that changed something: the server is told how things stand, and the same is written down for others
// on this machine. Neither can make it fail.
func (s *session) ended(ctx context.Context, a *agent.Agent) {
	a.ReportAfter(ctx)
	s.keepStatus(a)
}

// keepStatus writes status.json.
func (s *session) keepStatus(a *agent.Agent) {
	v, err := s.viewStatus(a)
	if err == nil {
		v.At = time.Now().UTC().Truncate(time.Second)
		err = a.KeepStatus(v)
	}
	if err != nil && s.verbose {
		fmt.Fprintln(s.stderr, "· note: "+agent.StatusFile+" was not written: "+plain(err.Error()))
	}
}

// printStatus shows a status in words.
func printStatus(v statusJSON) func(io.Writer) {
	return func(w io.Writer) {
		if len(v.Identities)+len(v.Begun) == 0 {
			fmt.Fprintln(w, "There is nothing here yet. See: sealpost-agent enroll --help")
		}
		for _, id := range v.Identities {
			id.print(w)
		}
		for _, b := range v.Begun {
			fmt.Fprintf(w, "%s: a request for %q was begun on %s. Run the same command again to go on.\n", plain(b.Person.Name), b.Enrolment, day(b.BegunAt))
		}
		for _, st := range v.Restores {
			fmt.Fprintf(w, "%s: a restore was begun on %s. See: sealpost-agent restore status\n", plain(st.Person.Name), day(st.BegunAt))
		}
		printSchedule(w, v)
		for _, f := range v.Failures {
			if f.EndedAt == nil {
				fmt.Fprintf(w, "Since %s, %s fails (%d times, last on %s): %s (%s)\n", day(f.Since), f.Step, f.Count, moment(f.At), plain(f.Detail), f.Code)
			}
		}
	}
}

func printSchedule(w io.Writer, v statusJSON) {
	if v.Machine == nil {
		return
	}
	fmt.Fprintf(w, "This machine\t%s\n", v.Machine)
	switch {
	case v.Schedule == nil || v.Schedule.By == byNobody:
		fmt.Fprintln(w, "Runs by itself\tno; see: sealpost-agent install")
	case v.Schedule.Next == nil:
		fmt.Fprintf(w, "Runs by itself\tyes (%s)\n", v.Schedule.By)
	default:
		fmt.Fprintf(w, "Runs by itself\tyes (%s), next on %s\n", v.Schedule.By, moment(*v.Schedule.Next))
	}
	if v.ReportedAt != nil {
		fmt.Fprintf(w, "Server told\t%s\n", moment(*v.ReportedAt))
	}
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
