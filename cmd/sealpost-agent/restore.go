package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

type restoreFlags struct {
	agent.RestoreOptions
	storeFlags
	p12Password string
	days        int
}

func restoreCommand(s *session) *cobra.Command {
	var o restoreFlags
	c := &cobra.Command{
		Use:   "restore",
		Short: "Get your old encryption keys onto this machine, with the officers' help",
		Long: `For a new machine, when no other of yours has the keys any more. (If one has, "history receive" and "history send" need
nobody else.) Enroll here first: the case is signed with the key that you sign mail with.

It makes a key for this machine, asks the officers of your organisation to open your archived keys for it, and shows
sixteen words. RING THE OFFICERS and read the words that they ask for: that is how they know that the keys go to you, and
not to somebody who has the server in their hands. Then it waits (--wait), or you run it again later; it goes on where it
stood, whatever stopped it. Nobody but this machine can read what the officers send.

When enough of them have agreed, it checks their answers, opens the keys, checks each against its certificate, and writes
identity.p12 with all of them, the files for gpgsm, and the key stores that are named here or were named earlier.`,
		Example: `  sealpost-agent restore --reason "My laptop was left in a train." --reference HELP-4711
  sealpost-agent restore --wait 2h --nss ~/.thunderbird/abcd.default
  sealpost-agent restore status
  sealpost-agent restore cancel`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.restore(cmd.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.Reason, "reason", "", "why, in words for the officers")
	f.StringVar(&o.Reference, "reference", "", "number of a ticket or the like")
	f.IntVar(&o.days, "days", 7, "how many days the officers have to answer")
	f.BoolVar(&o.All, "all", false, "ask even if every archived key is on this machine")
	f.StringVar(&o.Folder, "out", "", "folder for the files (remembered; default where they are)")
	f.StringVar(&o.p12Password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	f.DurationVar(&o.Patience, "wait", 0, "how long to wait for the officers, for example 2h")
	o.storeFlags.add(c)
	c.AddCommand(restoreStatusCommand(s), restoreCancelCommand(s))
	return c
}

func (s *session) restore(ctx context.Context, o restoreFlags) (err error) {
	if o.days < 1 || o.days > 365 {
		return agent.ErrConfig.Withf("--days is a number from 1 to 365.")
	}
	o.Mailbox, o.Lasts, o.Stores = s.mailbox, time.Duration(o.days)*24*time.Hour, o.stores()
	if o.p12Password != "" {
		if o.Password, err = s.secret("password of identity.p12", o.p12Password, ""); err != nil {
			return err
		}
	}
	o.Told = func(st agent.RestoreStatus) {
		if !s.quiet {
			printRestore(s.stderr, st)
		}
	}
	a, err := s.open()
	if err != nil {
		return err
	}
	defer s.ended(ctx, a)
	r, err := a.Restore(ctx, o.RestoreOptions)
	if errors.Is(err, agent.ErrCaseWaiting) && s.json {
		if st, statusErr := a.RestoreStatus(ctx, s.mailbox); statusErr == nil {
			return errors.Join(err, s.write(viewRestore(st), nil))
		}
	}
	if err != nil {
		return err
	}
	return s.restored(ctx, a, r, o)
}

type restoredJSON struct {
	identityJSON
	Cases       []uuid.UUID       `json:"cases"`
	Keys        int               `json:"keys"`
	New         int               `json:"new"`
	Loose       string            `json:"without_certificate,omitempty"` // a file
	Wrong       []wrongAnswerJSON `json:"wrong_answers"`
	Faults      []string          `json:"faults"`
	Unavailable int               `json:"unavailable"`
	Warnings    []string          `json:"warnings"`
}

type wrongAnswerJSON struct {
	Agent  uint16 `json:"officer"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Told   bool   `json:"reported"`
}

// restored fills the key stores and shows what came.
func (s *session) restored(ctx context.Context, a *agent.Agent, r *agent.Restored, o restoreFlags) error {
	var filled []agent.Filled
	var failed error
	if id := r.Identity; !id.Stores.None() {
		filled, failed = a.Fill(ctx, agent.FillOptions{Person: id.Person.ID, Password: o.Password, Stores: id.Stores})
	}
	one, err := s.viewIdentity(r.Identity)
	if err != nil {
		return err
	}
	one.Stores = viewFilled(filled)
	v := restoredJSON{identityJSON: one, Cases: r.Cases, Keys: r.Keys, New: r.New, Wrong: []wrongAnswerJSON{}, Faults: notNil(r.Faults), Unavailable: r.Unavailable,
		Warnings: notNil(r.Warnings)}
	for _, w := range r.Wrong {
		v.Wrong = append(v.Wrong, wrongAnswerJSON{w.Agent, w.Name, w.Reason, w.Told})
	}
	if r.Loose != nil {
		v.Loose = r.Loose.P12
	}
	return errors.Join(s.write(v, func(w io.Writer) { v.print(w) }), failed)
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (v restoredJSON) print(w io.Writer) {
	fmt.Fprintf(w, "%d keys were restored; %d of them were not on this machine.\n", v.Keys, v.New)
	for _, x := range v.Wrong {
		fmt.Fprintf(w, "WRONG ANSWER of officer %d (%s); the others sufficed. %s\n", x.Agent, plain(x.Name), plain(x.Reason))
	}
	for _, f := range v.Faults {
		fmt.Fprintf(w, "NOT RESTORED: %s\n", plain(f))
	}
	if v.Unavailable > 0 {
		fmt.Fprintf(w, "Of %d of your encryption certificates neither the archive nor this machine has the key: mail to them stays unreadable.\n", v.Unavailable)
	}
	if v.Loose != "" {
		fmt.Fprintf(w, "Keys whose certificate is not known are in %s.\n", v.Loose)
	}
	v.identityJSON.print(w)
}

func restoreStatusCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how a restore stands, and the words for the officers again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			st, err := a.RestoreStatus(cmd.Context(), s.mailbox)
			if err != nil {
				return err
			}
			return s.write(viewRestore(st), func(w io.Writer) { printRestore(w, st) })
		},
	}
}

func restoreCancelCommand(s *session) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "cancel",
		Short: "Give up a restore that was begun here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			if err := a.CancelRestore(cmd.Context(), s.mailbox, reason); err != nil {
				return err
			}
			s.progress("cancel", "the restore was given up; the officers need not answer any more")
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the officers")
	return c
}

type restoreJSON struct {
	Person      agent.Person      `json:"person"`
	BegunAt     time.Time         `json:"begun_at"`
	Fingerprint string            `json:"fingerprint"`
	Words       []string          `json:"words"`
	Cases       []restoreCaseJSON `json:"cases"`
	Warnings    []string          `json:"warnings"`
}

type restoreCaseJSON struct {
	ID       uuid.UUID       `json:"id"`
	State    string          `json:"state"` // empty: the server has not got it
	Ended    string          `json:"ended,omitempty"`
	Keys     int             `json:"keys"`
	Needed   int             `json:"officers_needed"`
	Officers []agent.Officer `json:"officers"`
	Deadline time.Time       `json:"deadline"`
}

func viewRestore(st agent.RestoreStatus) restoreJSON {
	v := restoreJSON{Person: st.Person, BegunAt: st.BegunAt, Fingerprint: st.Fingerprint.String(), Words: st.Words, Warnings: notNil(st.Warnings)}
	for _, k := range st.Cases {
		v.Cases = append(v.Cases, restoreCaseJSON{k.ID, string(k.State), k.Ended, k.Keys, k.Needed, k.Officers, k.Deadline})
	}
	return v
}

// printRestore shows how a restore stands, and what to do.
func printRestore(w io.Writer, st agent.RestoreStatus) {
	asked := false
	for _, k := range st.Cases {
		state := string(k.State)
		if state == "" {
			state = "not sent yet"
		}
		fmt.Fprintf(w, "\nCase %s for %d keys: %s. Ends on %s.\n", k.ID, k.Keys, state, day(k.Deadline))
		if k.Ended != "" {
			fmt.Fprintf(w, "  It came to nothing: %s.\n", plain(k.Ended))
		}
		for _, o := range k.Officers {
			if o.Answer != "" {
				fmt.Fprintf(w, "  %s: %s\n", plain(o.Name), map[string]string{"approve": "agreed", "deny": "refused", "disputed": "sent something wrong"}[o.Answer])
			}
		}
		disputed := slices.ContainsFunc(k.Officers, func(o agent.Officer) bool { return o.Answer == "disputed" })
		asked = asked || k.Ended == "" && (state == "requested" || state == "released" && disputed)
	}
	for _, text := range st.Warnings {
		fmt.Fprintf(w, "  %s\n", plain(text))
	}
	if !asked {
		return
	}
	for _, k := range st.Cases {
		if names := waitingFor(k); len(names) > 0 && k.Ended == "" {
			fmt.Fprintf(w, "\nRing these officers, on numbers that you know from elsewhere: %s.\n%d officers in all must agree. ",
				plain(strings.Join(names, ", ")), k.Needed)
			break
		}
	}
	fmt.Fprintf(w, "Each asks for some of these words. Read them the words that they ask for, and nothing else:\n\n")
	printWords(w, st.Words)
	fmt.Fprintf(w, "\nIn digits, for an officer who asks for those: %s\n\n", groups(hex.EncodeToString(st.Fingerprint[:])))
}

func waitingFor(k agent.RestoreCase) []string {
	var out []string
	for _, o := range k.Officers {
		if o.May && o.Answer == "" {
			out = append(out, o.Name)
		}
	}
	return out
}

// printWords writes words with their numbers, four in a line.
func printWords(w io.Writer, words []string) {
	for i, word := range words {
		fmt.Fprintf(w, "  %2d %s", i+1, word)
		if i%4 == 3 || i == len(words)-1 {
			fmt.Fprintln(w)
		}
	}
}

// groups writes digits in fours.
func groups(s string) string {
	var out []string
	for ; len(s) > 4; s = s[4:] {
		out = append(out, s[:4])
	}
	return strings.Join(append(out, s), " ")
}
