package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) ceremonyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ceremony",
		Short: "Make the archive's key together, round by round",
		Long: `The officers make the archive's key together. Each step reads what the others have put into the ceremony's folder,
checks it, and adds one file of yours, whose name says whose it is and of which round. Nothing secret is ever in that folder.

At the first step you compare the plan with the others by voice. Every step may be repeated, after a crash too: your
machine says again what it has said. Do not remove your folder (--home) before the end.

Under a plan with a dealing machine there is "deal" on that machine in place of "commit" and "reveal".`,
	}
	c.AddCommand(
		t.agreeCommand(),
		t.roundCommand("commit", "Round 1: bind yourself to a secret that you do not show yet", (*kra.Officer).Commit),
		t.roundCommand("reveal", "Round 2, when all have committed: deal", (*kra.Officer).Reveal),
		t.roundCommand("acknowledge", "Round 3, when all have revealed: check everything, take your share, and sign", (*kra.Officer).Acknowledge),
		t.dealCommand(), t.finishCommand(), t.statusCommand(), t.syncCommand())
	return c
}

func (t *tool) syncCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sync FOLDER",
		Short: "Exchange the ceremony's folder with the server, where officers have no folder in common",
		Long: `Sends to the server what your folder has and the server lacks, and fetches what it has and your folder lacks. Run it before and after
each step. Whoever wrote the plan runs it first; the others begin with an empty folder and --plan, the plan's hash.

The server is a notice board and no more: you compare the plan with the others by voice all the same.`,
		Example: `  sealpost-kra ceremony sync ceremony --server https://ca.example.com:8443 --login olga
  sealpost-kra ceremony sync ceremony --plan 5f1c… --server https://ca.example.com:8443 --login otto`,
		Args: cobra.ExactArgs(1),
	}
	plan := c.Flags().String("plan", "", "hash of the plan to fetch into an empty folder (64 hexadecimal digits)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var hash record.Hash
		var err error
		if *plan != "" {
			if hash, err = record.ParseHash(*plan); err != nil {
				return err
			}
		}
		server, err := t.online(cmd)
		if err != nil {
			return err
		}
		s, err := server.Sync(cmd.Context(), args[0], hash)
		if err != nil {
			return err
		}
		waits := "nothing"
		if len(s.Missing) > 0 {
			waits = fmt.Sprintf("%s of %v", s.Round, s.Missing)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Sent %d, received %d messages. The ceremony waits for %s. Plan %s\n", s.Sent, s.Received, waits, s.Plan)
		return err
	}
	return c
}

// agreement holds the flags by which a plan is agreed on.
type agreement struct {
	root    string
	hash    string
	without bool
	single  bool
}

func agreementFlags(c *cobra.Command) *agreement {
	a := &agreement{}
	f := c.Flags()
	f.StringVar(&a.root, "root", "", "file with the authority's root certificate (default: the one you gave at import)")
	f.StringVar(&a.hash, "agreed-hash", "", "the plan's whole hash (64 hexadecimal digits) as the other officers gave it to you, in place of typing words")
	f.BoolVar(&a.without, "without-comparing-the-plan", false, "WEAKER: do not compare; whoever can write to the folder may then be all the officers but you")
	f.BoolVar(&a.single, "single-agent-may-open-alone", false, "WEAKER: accept a plan under which any officer alone opens everything")
	c.MarkFlagsMutuallyExclusive("agreed-hash", "without-comparing-the-plan")
	return a
}

// agree has the plan compared, unless it was before on this machine.
func (a *agreement) agree(c *cobra.Command, o *kra.Officer, folder string) error {
	plan, err := kra.ReadPlan(folder)
	if err != nil {
		return err
	}
	given := kra.Agreement{SingleAgentMayOpenAlone: a.single}
	if a.hash != "" {
		if given.Hash, err = record.ParseHash(a.hash); err != nil {
			return err
		}
	}
	if done, err := o.HasAgreed(plan); err != nil || done && (a.hash == "" || given.Hash == plan.Hash()) {
		return err
	}
	if a.root != "" {
		if given.Roots, err = kra.ReadCertificates(a.root); err != nil {
			return err
		}
	}
	if plan, err = o.Inspect(folder, given); err != nil {
		return err
	}
	given.Hash = plan.Hash()
	describePlan(plan).print(c.ErrOrStderr())
	fmt.Fprintln(c.ErrOrStderr())
	switch {
	case a.hash != "": // Inspect has compared
	case a.without:
		fmt.Fprintln(c.ErrOrStderr(), "The plan is NOT compared with the other officers, because --without-comparing-the-plan was given.")
	default:
		err = compare(c, plan.Hash(), "each of the other officers")
	}
	if err != nil {
		return err
	}
	_, err = o.Agree(folder, given)
	return err
}

// agreed opens the home of an officer who has compared the plan, now or earlier.
func (t *tool) agreed(c *cobra.Command, a *agreement, folder string) (*kra.Officer, error) {
	o, err := t.officer()
	if err != nil {
		return nil, err
	}
	return o, a.agree(c, o, folder)
}

func (t *tool) agreeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "agree FOLDER",
		Short: "Compare the plan with the others and do nothing else yet",
		Long: `Shows the plan and has you compare it with the other officers by voice. The other steps do it too, where it has not been
done; under a plan with a dealing machine everybody should do it before that machine deals.`,
		Args: cobra.ExactArgs(1),
	}
	a := agreementFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := t.agreed(cmd, a, args[0]); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "This machine remembers that the plan was compared.")
		return err
	}
	return c
}

func (t *tool) roundCommand(name, short string, do func(*kra.Officer, context.Context, string) (kra.Sent, error)) *cobra.Command {
	c := &cobra.Command{Use: name + " FOLDER", Short: short, Args: cobra.ExactArgs(1)}
	a := agreementFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.agreed(cmd, a, args[0])
		if err != nil {
			return err
		}
		if err := t.unlock(cmd, o); err != nil {
			return err
		}
		sent, err := do(o, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		reportSent(cmd.OutOrStdout(), sent)
		return reportStatus(cmd.OutOrStdout(), o, args[0])
	}
	return c
}

func reportSent(w io.Writer, s kra.Sent) {
	again := ""
	if s.Again {
		again = " (as before)"
	}
	fmt.Fprintf(w, "Your message is in %s%s.\n", s.File, again)
}

func (t *tool) dealCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "deal FOLDER",
		Short: "On the dealing machine of a plan with --dealer-machine: make the key and deal it",
		Long: `Makes the archive's key on this one machine and deals it to the officers. The whole key is in this machine's memory for a
moment, and nowhere else; whoever controls the machine has it. Use an offline machine, and wipe it afterwards.`,
		Args: cobra.ExactArgs(1),
	}
	a := agreementFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.agreed(cmd, a, args[0])
		if err != nil {
			return err
		}
		p, err := t.passphrase(cmd, "The passphrase of the dealing machine")
		if err != nil {
			return err
		}
		defer clear(p)
		sent, err := o.Deal(cmd.Context(), args[0], p)
		if err != nil {
			return err
		}
		for _, s := range sent {
			reportSent(cmd.OutOrStdout(), s)
		}
		return reportStatus(cmd.OutOrStdout(), o, args[0])
	}
	return c
}

func (t *tool) finishCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "finish FOLDER",
		Short: "When all have acknowledged: write the roster file and print its pin",
		Long: `Writes roster.bin into the ceremony's folder and prints its hash, the pin. It asks for no passphrase. The operator puts the
pin into the server's configuration, so that nobody who can write to the database can have new keys sealed to somebody
else; every officer writes it down and runs verify-share with it.`,
		Args: cobra.ExactArgs(1),
	}
	a := agreementFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.agreed(cmd, a, args[0])
		if err != nil {
			return err
		}
		r, err := o.Finish(args[0])
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		describeRoster(r).print(w)
		file := filepath.Join(args[0], kra.RosterFile)
		_, err = fmt.Fprintf(w, `
The roster is in %s. Every officer now runs
  sealpost-kra verify-share %s
and then the operator puts its hash into the server's configuration
  archive:
    roster_pins: ["%s"]
and brings the file in with
  sealpost roster add %s
`, file, file, r.Hash(), file)
		return err
	}
	return c
}

func (t *tool) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status FOLDER",
		Short: "Show how far the ceremony is and whose messages are missing",
		Args:  cobra.ExactArgs(1),
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		if !*asJSON {
			return reportStatus(cmd.OutOrStdout(), o, args[0])
		}
		s, err := o.Status(args[0])
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), describeStatus(s))
	}
	return c
}

// reportStatus says what comes next.
func reportStatus(w io.Writer, o *kra.Officer, folder string) error {
	s, err := o.Status(folder)
	if err != nil {
		return err
	}
	d := describeStatus(s)
	fmt.Fprintf(w, "Ceremony for %s, %d of %d officers.", d.Archive, d.Threshold, d.Agents)
	if !d.Agreed {
		fmt.Fprint(w, " The plan has not been compared on this machine.")
	}
	fmt.Fprintln(w)
	switch {
	case d.Pin != "":
		fmt.Fprintf(w, "It is finished. The roster's pin is %s\n", d.Pin)
	case s.Round == record.RoundDone:
		fmt.Fprintln(w, "Everybody has acknowledged. Next: sealpost-kra ceremony finish")
	default:
		var who []string
		for _, m := range d.Missing {
			who = append(who, fmt.Sprintf("%s (%s)", m.Name, m.File))
		}
		fmt.Fprintf(w, "Round %d of 3 (%s). Still missing: %s\n", s.Round, d.Round, strings.Join(who, ", "))
	}
	return nil
}

func (t *tool) verifyShareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify-share ROSTER",
		Short: "Check a roster, and that your share is really in it",
		Long: `Checks the roster file against its pin and everything in it against each other, every officer's signature included; then
opens your share with your key and compares it with the public one. Give the pin with --pin as you have it from the other
officers or the server's configuration, not from the folder; without it you compare by voice.`,
		Example: `  sealpost-kra verify-share /media/stick/ceremony/roster.bin --pin 5f0c…`,
		Args:    cobra.ExactArgs(1),
	}
	pin := c.Flags().String("pin", "", "the roster's hash (64 hexadecimal digits)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := kra.ReadRoster(args[0])
		if err != nil {
			return err
		}
		h := r.Hash()
		if *pin != "" {
			h, err = record.ParseHash(*pin)
		} else {
			describeRoster(r).print(cmd.ErrOrStderr())
			err = compare(cmd, h, "another officer, or whoever has the server's configuration,")
		}
		if err != nil {
			return err
		}
		o, err := t.unlocked(cmd)
		if err != nil {
			return err
		}
		id, err := o.VerifyShare(r, h)
		if err != nil {
			return err
		}
		if id == 0 {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The roster of %s is right, and lets you receive recovered keys.\n", r.Plan.Archive)
			return err
		}
		a, _ := r.Plan.Agent(id)
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "You are officer %d of %s, %s. Your share is in the roster and belongs to it.\n", id, r.Plan.Archive, a.Name)
		return err
	}
	return c
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
