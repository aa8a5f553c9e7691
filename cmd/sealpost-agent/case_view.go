package main

import (
	"fmt"
	"io"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

// printDraft shows a case before it is signed for good.
func printDraft(w io.Writer, d agent.DraftedCase) {
	k := d.Case
	fmt.Fprintf(w, "\nA %s case, asked for by %s:\n  why        %s\n", k.Kind, plain(k.Requester.Name), plain(k.Reason))
	if k.Reference != "" {
		fmt.Fprintf(w, "  reference  %s\n", plain(k.Reference))
	}
	fmt.Fprintf(w, "  recipient  %s, %s\n  deadline   %s\n  officers   %d of %d must agree\n", plain(d.Recipient.Name), record.Fingerprint(d.Recipient.Certificate),
		day(k.Deadline), d.Roster.Plan.Threshold, len(d.Roster.Plan.Agents))
	if d.Warning != "" {
		fmt.Fprintf(w, "  %s\n", plain(d.Warning))
	}
	if len(d.Subjects) == 0 {
		people, keys := 0, 0
		for _, x := range k.Deliveries {
			people += len(x.Subjects)
			for _, s := range x.Subjects {
				keys += len(s.Records)
			}
		}
		fmt.Fprintf(w, "  whose      %d people with %d keys; the officers see their names in the records\n", people, keys)
		return
	}
	for _, s := range d.Subjects {
		if len(s.Records) == 0 {
			continue
		}
		last := s.Records[len(s.Records)-1]
		fmt.Fprintf(w, "  whose      %s <%s>: %d keys, archived %s to %s\n", plain(last.Name), plain(last.Mail), len(s.Records), day(s.Records[0].Time), day(last.Time))
	}
}

// listed leaves out what lists do.
func listed(k api.Case) api.Case {
	k.Signed, k.Roster, k.Intermediates, k.Answers = nil, nil, nil, nil
	return k
}

func (s *session) showCases(cases []api.Case) error {
	return s.write(cases, func(w io.Writer) {
		fmt.Fprintln(w, "CASE\tKIND\tSTATE\tASKED BY\tPEOPLE\tKEYS\tUNTIL\tREFERENCE")
		for _, k := range cases {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", k.ID, plain(k.Kind), plain(string(k.State)), plain(k.Requester), k.Subjects, k.Records, day(k.Deadline), plain(k.Reference))
		}
	})
}

// caseJSON is a case with its officers. The signed form is left out: it is for programs that verify.
type caseJSON struct {
	api.Case
	Officers []agent.Officer `json:"officers"`
}

func (s *session) showCase(k api.Case, officers []agent.Officer) error {
	comments := map[int]string{}
	for _, a := range k.Answers {
		comments[a.Agent] = a.Comment
	}
	v := caseJSON{listed(k), officers}
	if v.Officers == nil {
		v.Officers = []agent.Officer{}
	}
	return s.write(v, func(w io.Writer) {
		fmt.Fprintf(w, "case\t%s\nkind\t%s\nstate\t%s %s\nasked by\t%s\nwhy\t%s\nreference\t%s\nkeys\t%d of %d people\nopened\t%s\ndeadline\t%s\n",
			k.ID, plain(k.Kind), plain(string(k.State)), plain(k.StateReason), plain(k.Requester), plain(k.Reason), plain(k.Reference), k.Records, k.Subjects, day(k.Opened), day(k.Deadline))
		if k.SilentUntil != nil {
			fmt.Fprintf(w, "told after\t%s\n", day(*k.SilentUntil))
		}
		for _, o := range officers {
			said := map[string]string{"": "has not answered", "approve": "agreed", "deny": "refused", "disputed": "sent something wrong"}[o.Answer]
			if o.Answer == "" && !o.May {
				said = "cannot answer this case"
			}
			if c := comments[int(o.Agent)]; c != "" {
				said += ": " + c
			}
			fmt.Fprintf(w, "officer %d\t%s %s\n", o.Agent, plain(o.Name), plain(said))
		}
		if len(officers) == 0 {
			fmt.Fprintln(w, "officers\thave changed since: this case has lapsed")
		}
	})
}
