package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
)

var errCase = fault.New(fault.Malformed, "case-options", "The options for the case do not make one.")

func caseCommand(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "case",
		Short: "Ask for other people's archived keys, and see recovery cases",
		Long: `For who may ask for keys of other people (a recovery requester), for auditors, and to see cases that concern you.

The keys go to a recipient whom the officers' list names, never to you, and only when enough officers agree. The people
whose keys are opened are told; in a legal case later, if an auditor consents to that.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q", args[0]), c.CommandPath()}
			}
			return c.Help()
		},
	}
	c.AddCommand(caseOpenCommand(s), caseDraftCommand(s), caseConsentCommand(s), caseListCommand(s), caseStatusCommand(s), caseCancelCommand(s))
	return c
}

// caseFlags say what is asked for.
type caseFlags struct {
	agent.CaseRequest
	kind, from, to string
	days           int
	yes            bool
}

func (o *caseFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.kind, "kind", "", "business or legal")
	f.StringSliceVar(&o.People, "person", nil, "whose keys: mail address, now or formerly, or id (may be repeated)")
	f.StringVar(&o.from, "from", "", "only keys that were valid on or after this day, YYYY-MM-DD")
	f.StringVar(&o.to, "to", "", "only keys that were valid on or before this day")
	f.StringSliceVar(&o.Keys, "key", nil, "only this key: SHA-256 of its SubjectPublicKeyInfo, hexadecimal (may be repeated)")
	f.StringVar(&o.Recipient, "recipient", "", "fingerprint of the recipient's certificate, at least its first 16 digits")
	f.StringVar(&o.Reason, "reason", "", "why, in words for the officers; the people concerned read it, too")
	f.StringVar(&o.Reference, "reference", "", "number of a file, ticket or order")
	f.IntVar(&o.days, "days", 7, "how many days the officers have to answer")
	f.BoolVar(&o.yes, "yes", false, "do not ask whether to go on")
}

// settle checks the options and puts them into the request.
func (o *caseFlags) settle(mailbox string) error {
	o.Mailbox = mailbox
	switch o.kind {
	case "business":
		o.Kind = record.CaseBusiness
	case "legal":
		o.Kind = record.CaseLegal
	default:
		return errCase.Withf("Give --kind business or --kind legal.")
	}
	if o.Reason == "" {
		return errCase.Withf("Give a --reason: the officers decide by it.")
	}
	if len(o.People) == 0 {
		return errCase.Withf("Say whose keys, with --person.")
	}
	if o.days < 1 || o.days > 365 {
		return errCase.Withf("--days is a number from 1 to 365.")
	}
	o.Lasts = time.Duration(o.days) * 24 * time.Hour
	var err error
	if o.From, err = dayOption("--from", o.from); err != nil {
		return err
	}
	if o.To, err = dayOption("--to", o.to); err != nil {
		return err
	}
	if !o.To.IsZero() {
		o.To = o.To.Add(24*time.Hour - time.Second)
		if o.To.Before(o.From) {
			return errCase.Withf("--to is before --from.")
		}
	}
	return nil
}

func dayOption(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, time.UTC)
	if err != nil {
		return t, errCase.Withf("%s takes a day as YYYY-MM-DD, not %q.", name, text)
	}
	return t, nil
}

// draft signs the cases of the options, after the person has seen them.
func (s *session) draft(ctx context.Context, a *agent.Agent, o *caseFlags) ([]agent.DraftedCase, error) {
	if err := o.settle(s.mailbox); err != nil {
		return nil, err
	}
	found, err := a.DraftCases(ctx, o.CaseRequest)
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if !s.quiet || !o.yes {
			printDraft(s.stderr, d)
		}
	}
	if !o.yes {
		if err := s.confirm("Ask for these keys?"); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func caseOpenCommand(s *session) *cobra.Command {
	var o caseFlags
	var folder, consent string
	c := &cobra.Command{
		Use:   "open",
		Short: "Ask the officers to open people's keys",
		Long: `Shows which keys the archive keeps of these people, signs the case with the key that you sign mail with, and opens it: the
officers are asked and the people told. What was signed is frozen; a key that is archived later is not in it.

With --draft it opens a case that "case draft" signed, with the auditor's consent that lies beside it or in --consent.
Where the keys lie under several archive keys, one case is opened for each.`,
		Example: `  sealpost-agent case open --kind business --person carol@example.com --recipient 5f1c… \
      --reason "Carol has left; her customers' mail must be answered." --reference HR-2026-118
  sealpost-agent case open --kind legal --person carol@example.com --from 2024-01-01 --to 2024-12-31 --recipient 5f1c… --reason "Court order" --reference "3 O 118/26"
  sealpost-agent case open --draft case-folder`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			var found []agent.DraftedCase
			if folder != "" {
				d, err := a.ReadDraft(folder)
				if err != nil {
					return err
				}
				found = append(found, d)
			} else if found, err = s.draft(cmd.Context(), a, &o); err != nil {
				return err
			}
			if consent != "" {
				if folder == "" {
					return errCase.Withf("A consent is for one signed case: make that with \"case draft\", and give it with --draft.")
				}
				if found[0].Consent, err = readLimited(consent, 1<<16); err != nil {
					return err
				}
			}
			out := []api.Case{}
			for _, d := range found {
				k, err := a.OpenCase(cmd.Context(), s.mailbox, d)
				if err != nil {
					return err
				}
				s.progress("open", "the officers are asked: case "+k.ID.String())
				out = append(out, listed(k))
			}
			return s.showCases(out)
		},
	}
	o.add(c)
	c.Flags().StringVar(&folder, "draft", "", "folder with a case that was drafted, in place of the options above")
	c.Flags().StringVar(&consent, "consent", "", "file with an auditor's consent, if it does not lie in that folder")
	return c
}

func caseDraftCommand(s *session) *cobra.Command {
	var o caseFlags
	var out string
	c := &cobra.Command{
		Use:   "draft",
		Short: "Sign a case into a folder, without opening it",
		Long: `Signs a case as "case open" does and puts it into a folder, so that an auditor can sign consent to it ("case consent"), on
a machine without a network if need be. Then open it with: case open --draft FOLDER. That must happen within three days.`,
		Example: `  sealpost-agent case draft --kind legal --person carol@example.com --recipient 5f1c… --reason "Court order" --out case-folder`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return errCase.Withf("Say where to put it, with --out.")
			}
			a, err := s.open()
			if err != nil {
				return err
			}
			found, err := s.draft(cmd.Context(), a, &o)
			if err != nil {
				return err
			}
			folders := []string{}
			for _, d := range found {
				dir := out
				if len(found) > 1 {
					dir = filepath.Join(out, d.Case.ID.String())
				}
				if err := d.Write(dir); err != nil {
					return err
				}
				folders = append(folders, dir)
			}
			return s.write(map[string][]string{"folders": folders}, func(w io.Writer) {
				for _, dir := range folders {
					fmt.Fprintf(w, "The signed case is in %s. Nothing is opened yet: next comes \"case consent\", or \"case open --draft %s\".\n", dir, dir)
				}
			})
		},
	}
	o.add(c)
	c.Flags().StringVar(&out, "out", "", "folder for the case")
	return c
}

func caseConsentCommand(s *session) *cobra.Command {
	var until string
	var yes bool
	c := &cobra.Command{
		Use:   "consent FOLDER",
		Short: "As an auditor: sign that the people of a legal case are told later",
		Long: `Shows the case in the folder, and signs, as an auditor, that the people whose keys are asked for are told of it only after
the given day. Until then they do not see the case. The consent is put into the folder. It needs no network.`,
		Example: `  sealpost-agent case consent case-folder --until 2027-03-01`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			day, err := dayOption("--until", until)
			if err != nil {
				return err
			}
			if day.IsZero() {
				return errCase.Withf("Say with --until after which day the people are told.")
			}
			a, err := s.open()
			if err != nil {
				return err
			}
			d, err := a.ReadDraft(args[0])
			if err != nil {
				return err
			}
			if !s.quiet || !yes {
				printDraft(s.stderr, d)
			}
			if !yes {
				if err := s.confirm("Consent that these people are told only after " + until + "?"); err != nil {
					return err
				}
			}
			if _, err := a.Consent(s.mailbox, args[0], day); err != nil {
				return err
			}
			path := filepath.Join(args[0], agent.ConsentFile)
			return s.write(map[string]string{"consent": path, "case": d.Case.ID.String(), "until": until}, func(w io.Writer) {
				fmt.Fprintf(w, "Your consent is in %s. Bring the folder back to %s.\n", path, plain(d.Case.Requester.Name))
			})
		},
	}
	c.Flags().StringVar(&until, "until", "", "the people are told after this day, YYYY-MM-DD")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask whether to go on")
	return c
}

func caseListCommand(s *session) *cobra.Command {
	var state string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recovery cases that concern you, the newest first",
		Long:  `Cases that you opened, of your keys, in which you receive, or in which you are asked as an officer. Auditors see all.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			found, err := a.Cases(cmd.Context(), s.mailbox, api.CaseState(state))
			if err != nil {
				return err
			}
			return s.showCases(found)
		},
	}
	c.Flags().StringVar(&state, "only", "", "cases in this state: requested, approved, released, closed, denied, cancelled or expired")
	return c
}

func caseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(strings.TrimSpace(text))
	if err != nil {
		return id, errCase.Withf("%q is not the id of a case.", text)
	}
	return id, nil
}

// aboutCase makes the agent for a command about the case that an argument names.
func (s *session) aboutCase(argument string) (*agent.Agent, uuid.UUID, error) {
	id, err := caseID(argument)
	if err != nil {
		return nil, id, err
	}
	a, err := s.open()
	return a, id, err
}

func caseStatusCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status CASE",
		Short: "Show one case and what the officers said",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, id, err := s.aboutCase(args[0])
			if err != nil {
				return err
			}
			k, officers, err := a.Case(cmd.Context(), s.mailbox, id)
			if err != nil {
				return err
			}
			return s.showCase(k, officers)
		},
	}
}

func caseCancelCommand(s *session) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "cancel CASE",
		Short: "Take back a case that you opened",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, id, err := s.aboutCase(args[0])
			if err != nil {
				return err
			}
			k, err := a.CancelCase(cmd.Context(), s.mailbox, id, reason)
			if err != nil {
				return err
			}
			return s.showCases([]api.Case{listed(k)})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the officers")
	return c
}
