package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
)

func historyListCommand(s *session) *cobra.Command {
	var of string
	c := &cobra.Command{
		Use:   "list",
		Short: "List everything that touched your archived keys, the newest first",
		Long: `Lists the keys that the archive keeps for you, what was imported with them, and every recovery case that asked for one: by
whom, why, what the officers said, and whether the keys were fetched. A legal case that you are not to know of yet is not
there; it is once that time is over. Auditors list somebody else's with --of.`,
		Example: `  sealpost-agent history list
  sealpost-agent history list --of bob@example.com --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			found, err := a.KeyHistory(cmd.Context(), s.mailbox, of)
			if err != nil {
				return err
			}
			return s.write(found, func(w io.Writer) {
				fmt.Fprintln(w, "WHEN\tWHAT\tSTATE\tKEY\tDETAILS")
				for _, e := range found {
					printEntry(w, e)
				}
			})
		},
	}
	c.Flags().StringVar(&of, "of", "", "whose, for auditors: a mail address, now or formerly, or a person's id")
	return c
}

func printEntry(w io.Writer, e api.HistoryEntry) {
	row := func(what, state, key, details string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", minute(e.Time), plain(what), plain(state), plain(key), plain(details))
	}
	switch {
	case e.Key != nil:
		details := e.Key.Algorithm + ", receipt " + e.Key.Receipt.String()
		if e.Key.Imported {
			details += ", imported"
		}
		if e.Key.MovedFrom != "" {
			details += ", passed on to other officers since"
		}
		row("archived", e.Key.State, brief(e.Key.SPKISHA256), details)
	case e.Certificate != nil:
		row("imported", "", brief(e.Certificate.SPKISHA256), "another authority's certificate for "+strings.Join(e.Certificate.Mailboxes, ", "))
	case e.Case != nil:
		k := e.Case
		key := fmt.Sprintf("%d keys", k.Records)
		if k.Records == 1 && len(k.Keys) == 1 {
			key = brief(k.Keys[0])
		}
		row(k.Kind+" case", string(k.State), key, "case "+k.ID.String())
		for _, line := range caseLines(k) {
			fmt.Fprintf(w, "\t\t\t\t%s\n", plain(line))
		}
	}
}

// caseLines say what became of a case, for the person whose keys it asks for.
func caseLines(k *api.HistoryCase) []string {
	out := []string{fmt.Sprintf("asked for by %s: %s", k.Requester, k.Reason)}
	if k.Reference != "" {
		out[0] += " (" + k.Reference + ")"
	}
	if k.SilentUntil != nil {
		out = append(out, "not to be told before "+minute(*k.SilentUntil))
	}
	for _, a := range k.Answers {
		who := a.Name
		if who == "" {
			who = fmt.Sprintf("officer %d", a.Agent)
		}
		said := map[string]string{"approve": "agreed", "deny": "refused"}[a.Decision]
		line := fmt.Sprintf("%s %s at %s", who, said, minute(a.Received))
		if a.Comment != "" {
			line += ": " + a.Comment
		}
		out = append(out, line)
	}
	if k.Collected != nil {
		out = append(out, fmt.Sprintf("fetched by %s at %s", k.Recipient, minute(*k.Collected)))
	}
	if k.StateReason != "" {
		out = append(out, fmt.Sprintf("%s: %s", k.State, k.StateReason))
	}
	return out
}

func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// brief is enough of a key's name to tell a person's keys apart.
func brief(spki string) string { return spki[:min(len(spki), 16)] }
