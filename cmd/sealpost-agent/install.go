package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/schedule"
	"github.com/sealpost/sealpost/internal/fault"
)

// errInstall is what install refuses by itself.
var errInstall = fault.New(fault.Malformed, "install-options", "The options of install do not fit together.")

// spreadPart of the time between two runs is how far chance moves them.
const spreadPart = 4

type installFlags struct {
	storeFlags
	every      time.Duration
	system     string
	everybody  bool
	noRestore  bool
	print      bool
	passwordOf string
}

func installCommand(s *session) *cobra.Command {
	var o installFlags
	c := &cobra.Command{
		Use:   "install",
		Short: "Have this system keep your certificates by itself from now on",
		Long: `Makes your system call "sealpost-agent run" when you log in and every hour: by systemd (a user unit and its timer), launchd, or Windows'
task scheduler; on a desktop without systemd, the agent is started with your session. Then it runs once.

With --kerberos, nobody need enrol by hand: the ticket of the computer's login says who you are. With --token-file, the token there is used
once. With --kerberos --keytab FILE --principal NAME, the computer's own keys say so, to who may read them. Otherwise run "enroll" first.

After the first enrolment on this machine the agent asks the officers once for your older encryption keys, unless --no-restore. They
ring you, or you them; "restore status" shows the words to read to them.

--all-users, as administrator, does it for everybody who logs in to this machine: server, roots and the rest are kept in a file of the
system's, and each person's agent reads it.`,
		Example: `  sealpost-agent install
  sealpost-agent install --server https://ca.example.com:8443 --roots root.pem --kerberos
  sudo sealpost-agent install --all-users --server https://ca.example.com:8443 --roots root.pem --kerberos
  sealpost-agent install --print          # show what would be written and run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.install(cmd.Context(), o) },
	}
	f := c.Flags()
	f.DurationVar(&o.every, "every", time.Hour, "time between two runs")
	f.StringVar(&o.system, "by", "", "systemd, autostart, launchd or tasks (default what this system has)")
	f.BoolVar(&o.everybody, "all-users", false, "for everybody who logs in to this machine; needs the rights of an administrator")
	f.BoolVar(&o.noRestore, "no-restore", false, "do not ask the officers for older keys after the first enrolment")
	f.BoolVar(&o.print, "print", false, "show what would be written and run, and do nothing")
	f.StringVar(&o.passwordOf, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	o.storeFlags.add(c)
	return c
}

func uninstallCommand(s *session) *cobra.Command {
	var o installFlags
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Have this system no longer call the agent; keys and certificates stay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.every = time.Hour
			p, err := s.schedule(o)
			if err != nil {
				return err
			}
			if err := p.Remove(cmd.Context()); err != nil {
				return err
			}
			s.progress("uninstall", "the agent does not run by itself any more; what it keeps stays where it is")
			return nil
		},
	}
	c.Flags().StringVar(&o.system, "by", "", "systemd, autostart, launchd or tasks (default what this system has)")
	c.Flags().BoolVar(&o.everybody, "all-users", false, "what install --all-users made")
	return c
}

func (s *session) install(ctx context.Context, o installFlags) error {
	p, err := s.schedule(o)
	if err != nil {
		return err
	}
	settings, err := s.installed(o)
	if err != nil {
		return err
	}
	if o.print {
		return s.showPlan(p, settings, o.everybody)
	}
	if o.everybody {
		if err := settings.SaveForAll(s.systemFile()); err != nil {
			return err
		}
		if err := p.Install(ctx); err != nil {
			return err
		}
		s.progress("install", "from now on, each person's certificates are kept by themselves from their next login on")
		return nil
	}
	dir, err := s.folder()
	if err != nil {
		return err
	}
	if err := settings.Save(dir); err != nil {
		return err
	}
	if err := p.Install(ctx); err != nil {
		return err
	}
	s.progress("install", "from now on this system calls the agent by itself ("+p.System+")")
	r, err := s.runOnce(ctx, runFlags{password: o.passwordOf, force: true, wait: 2 * time.Minute})
	if r == nil {
		return err
	}
	return errors.Join(err, s.showRan(r))
}

// installed returns the settings for the runs to come.
func (s *session) installed(o installFlags) (agent.Settings, error) {
	settings, _, err := s.settings()
	if err != nil {
		return settings, err
	}
	settings.Restore = !o.noRestore
	if s.kerberos || s.keytab != "" || s.principal != "" {
		if s.keytab != "" || s.principal != "" || s.tokenFile != "" { // what cannot be is said now, not to nobody later
			if _, err := s.credentials(settings); err != nil {
				return settings, err
			}
		}
		if _, err := s.keepTicket(&settings); err != nil {
			return settings, err
		}
	}
	if s.tokenFile != "" {
		settings.Kerberos, settings.Keytab, settings.Principal = false, "", ""
		if settings.TokenFile, err = filepath.Abs(s.tokenFile); err != nil {
			return settings, agent.ErrConfig.Because(err)
		}
	}
	settings.Stores, err = settings.Stores.With(o.stores())
	return settings, err
}

// job is what the system is to run: this program, with the options that say whose folder and which passphrase.
func (s *session) job(o installFlags) (schedule.Job, error) {
	self, err := os.Executable()
	if err != nil {
		return schedule.Job{}, schedule.ErrSystem.Because(err)
	}
	if s.state != "" && o.everybody {
		return schedule.Job{}, errInstall.Withf("--state is one person's folder; it does not go with --all-users.")
	}
	options := []string{"--quiet"}
	for _, path := range []struct{ option, value string }{{"--state", s.state}, {"--p12-password-file", o.passwordOf}} {
		if path.value == "" {
			continue
		}
		value, err := filepath.Abs(path.value)
		if err != nil {
			return schedule.Job{}, agent.ErrConfig.Because(err)
		}
		options = append(options, path.option, value)
	}
	return schedule.Job{Program: self, Args: append([]string{"run"}, options...), Daemon: append([]string{"daemon"}, options...),
		Every: o.every, Spread: o.every / spreadPart}, nil
}

// schedule returns how this system is told.
func (s *session) schedule(o installFlags) (schedule.Plan, error) {
	job, err := s.job(o)
	if err != nil {
		return schedule.Plan{}, err
	}
	home, err := os.UserHomeDir()
	if err != nil && !o.everybody {
		return schedule.Plan{}, agent.ErrConfig.Withf("There is no home folder.").Because(err)
	}
	config := s.env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	switch by := s.by(o.system); by {
	case "systemd":
		if o.everybody {
			return schedule.Systemd(job, "/etc/systemd/user", true)
		}
		return schedule.Systemd(job, filepath.Join(config, "systemd", "user"), false)
	case "autostart":
		if o.everybody {
			return schedule.Autostart(job, "/etc/xdg/autostart")
		}
		return schedule.Autostart(job, filepath.Join(config, "autostart"))
	case "launchd":
		if o.everybody {
			return schedule.Launchd(job, "/Library/LaunchAgents", "")
		}
		return schedule.Launchd(job, filepath.Join(home, "Library", "LaunchAgents"), "gui/"+strconv.Itoa(os.Getuid()))
	case "tasks":
		dir, err := s.folder()
		if err != nil {
			return schedule.Plan{}, err
		}
		if o.everybody {
			dir = filepath.Dir(s.systemFile())
		}
		return schedule.TaskScheduler(job, dir, o.everybody)
	default:
		return schedule.Plan{}, errInstall.Withf("--by is systemd, autostart, launchd or tasks, not %q.", by)
	}
}

// by returns what runs programs by itself here.
func (s *session) by(wanted string) string {
	switch {
	case wanted != "":
		return wanted
	case runtime.GOOS == "windows":
		return "tasks"
	case runtime.GOOS == "darwin":
		return "launchd"
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		return "systemd"
	}
	return "autostart"
}

type planJSON struct {
	System  string            `json:"system"`
	Files   map[string]string `json:"files"`
	Enable  [][]string        `json:"enable"`
	Disable [][]string        `json:"disable"`
}

// showPlan shows what install would write and run. One person's settings are nobody else's business: those for all are shown.
func (s *session) showPlan(p schedule.Plan, settings agent.Settings, everybody bool) error {
	v := planJSON{System: p.System, Files: map[string]string{}, Enable: p.Enable, Disable: p.Disable}
	if everybody {
		text, err := settings.ForAll()
		if err != nil {
			return err
		}
		p.Files = append([]schedule.File{{Path: s.systemFile(), Text: string(text)}}, p.Files...)
	}
	for _, f := range p.Files {
		v.Files[f.Path] = f.Text
	}
	return s.write(v, func(w io.Writer) {
		for _, f := range p.Files {
			fmt.Fprintf(w, "# %s\n%s\n", f.Path, f.Text)
		}
		for _, command := range p.Enable {
			fmt.Fprintf(w, "# then run: %q\n", command)
		}
	})
}
