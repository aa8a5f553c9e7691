package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/kerberos"
	"github.com/sealpost/sealpost/client"
)

func runCommand(s *session) *cobra.Command {
	var o runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Do all that is due, and nothing else",
		Long: `What "install" has your system call: it enrols if nobody is enrolled here and it was told who asks, goes on with what was begun,
renews certificates whose time has come, fills key stores, and, if "install" was told so, asks the officers for your older keys
once, and fetches them when they have agreed. It asks nobody anything.

After a run it knows when the next one is due, and does nothing before that; after failures it waits longer each time, up to twelve
hours. --force runs all the same.`,
		Example: "  sealpost-agent run --quiet\n  sealpost-agent run --force --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := s.runOnce(cmd.Context(), o)
			if r == nil {
				return err
			}
			if shown := s.showRan(r); shown != nil {
				return errors.Join(err, shown)
			}
			if err == nil && len(r.Waiting) > 0 {
				return agent.ErrWaiting.Withf("%s", r.Waiting[0])
			}
			return err
		},
	}
	c.Flags().BoolVar(&o.force, "force", false, "even before the time that the last run named")
	o.add(c)
	return c
}

func daemonCommand(s *session) *cobra.Command {
	var o runFlags
	c := &cobra.Command{
		Use:   "daemon",
		Short: "Run again and again, until stopped",
		Long: `Does what "run" does, whenever it is due, until it is stopped (SIGTERM). Where your system has systemd, launchd or a task scheduler,
"install" is better: nothing is in memory between two runs then.`,
		Example: "  sealpost-agent daemon --quiet",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.daemon(cmd.Context(), o) },
	}
	o.add(c)
	return c
}

type runFlags struct {
	password string
	force    bool
	wait     time.Duration
}

func (o *runFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&o.password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	c.Flags().DurationVar(&o.wait, "wait", 2*time.Minute, "how long to wait until certificates are issued, before the next run goes on")
}

// runOnce makes an agent with what is known now, and has it run.
func (s *session) runOnce(ctx context.Context, o runFlags) (*agent.Ran, error) {
	settings, _, err := s.settings()
	if err != nil {
		return nil, err
	}
	opt := agent.RunOptions{Restore: settings.Restore, Force: o.force, Enrol: agent.EnrolOptions{Patience: o.wait, Stores: settings.Stores}}
	if o.password != "" {
		if opt.Password, err = s.secret("password of identity.p12", o.password, ""); err != nil {
			return nil, err
		}
	}
	var credentials client.Config
	credentials, opt.Missing = s.unattended(settings)
	if login, ok := credentials.Kerberos.(*kerberos.Login); ok {
		defer login.Close()
	}
	a, err := s.agentWith(settings, credentials, true)
	if err != nil {
		return nil, err
	}
	r, err := a.Run(ctx, opt)
	if r != nil && !r.Early {
		s.keepStatus(a)
	}
	return r, err
}

// unattended returns who is asking where no certificate will do, if the settings or this run say so; and why it cannot be had, which is no
// fault as long as a certificate will do.
func (s *session) unattended(settings agent.Settings) (client.Config, error) {
	remembered := s.login == "" && s.tokenFile == "" && !s.kerberos && s.keytab == "" && s.principal == ""
	one := *s
	if remembered {
		one.openid = false // nobody is there
		one.kerberos, one.tokenFile = settings.Kerberos, settings.TokenFile
		one.keytab, one.principal = settings.Keytab, settings.Principal
	}
	credentials, err := one.credentials(settings)
	if remembered && errors.Is(err, fs.ErrPermission) && one.keytab != "" { // the computer's keys are its administrator's; others have a ticket of their own
		one.keytab, one.principal = "", ""
		credentials, err = one.credentials(settings)
	}
	if err != nil {
		return client.Config{}, err
	}
	return credentials, nil
}

func (s *session) daemon(ctx context.Context, o runFlags) error {
	s.daemonRuns = true
	agent.Daemon(ctx, nil, func(ctx context.Context) time.Time {
		r, err := s.runOnce(ctx, o)
		if err != nil && ctx.Err() == nil {
			s.explain(err)
		}
		if r == nil { // not even begun: the settings or the folder are damaged
			return time.Now().Add(time.Hour)
		}
		if !r.Early {
			s.progress("next", "next run "+r.Next.Local().Format(time.DateTime))
		}
		return r.Next
	})
	return nil
}

type ranJSON struct {
	Early      bool           `json:"early"`
	Enrolled   bool           `json:"enrolled"`
	Renewed    int            `json:"renewed"`
	Restored   int            `json:"restored"`
	Waiting    []string       `json:"waiting"`
	Stores     []filledJSON   `json:"stores"`
	Identities []identityJSON `json:"identities"`
	Next       time.Time      `json:"next"`
}

func (s *session) showRan(r *agent.Ran) error {
	v := ranJSON{Early: r.Early, Enrolled: r.Enrolled, Renewed: r.Renewed, Restored: r.Restored, Waiting: notNil(r.Waiting),
		Stores: viewFilled(r.Filled), Identities: []identityJSON{}, Next: r.Next}
	for _, id := range r.Identities {
		one, err := s.viewIdentity(id)
		if err != nil {
			return err
		}
		v.Identities = append(v.Identities, one)
	}
	return s.write(v, func(w io.Writer) {
		switch {
		case v.Early:
			fmt.Fprintln(w, "nothing is due")
		case v.Enrolled:
			fmt.Fprintln(w, "enrolled")
		case v.Renewed > 0:
			fmt.Fprintln(w, "certificates renewed")
		}
		if v.Restored > 0 {
			fmt.Fprintf(w, "%d older keys restored\n", v.Restored)
		}
		for _, text := range v.Waiting {
			fmt.Fprintln(w, plain(text))
		}
		printFilled(w, v.Stores)
		fmt.Fprintf(w, "next run %s\n", v.Next.Local().Format(time.DateTime))
	})
}
