package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/kra"
)

// fewPeople is how many people of a case are printed without being asked for.
const fewPeople = 40

type caseView struct {
	ID         uuid.UUID           `json:"id"`
	Hash       string              `json:"hash"`
	Kind       string              `json:"kind"`
	Requester  requesterView       `json:"requester"`
	Reason     string              `json:"reason"`
	Reference  string              `json:"reference,omitempty"`
	Opened     time.Time           `json:"opened"`
	Deadline   time.Time           `json:"deadline"`
	Archive    string              `json:"archive"`
	Roster     string              `json:"roster"`
	Epoch      uint32              `json:"epoch"`
	Threshold  int                 `json:"threshold"`
	Officer    *officerView        `json:"officer,omitempty"`
	Keys       int                 `json:"keys"`
	People     []subjectView       `json:"people"`
	Recipients []caseRecipientView `json:"recipients"`
	Answers    []caseAnswerView    `json:"answers"`
	Log        *logView            `json:"log,omitempty"`
	Warnings   []string            `json:"warnings"`
	Faults     []faultView         `json:"faults"`

	all bool
}

type requesterView struct {
	Name        string          `json:"name"`
	Person      uuid.UUID       `json:"person"`
	Mails       []string        `json:"mails"`
	Certificate certificateView `json:"certificate"`
}

type officerView struct {
	ID   uint16 `json:"id"`
	Name string `json:"name"`
}

type subjectView struct {
	Person     uuid.UUID `json:"person"`
	Names      []string  `json:"names"`
	Mails      []string  `json:"mails"`
	Algorithms []string  `json:"algorithms"`
	Keys       int       `json:"keys"`
	First      time.Time `json:"first_deposit"`
	Last       time.Time `json:"last_deposit"`
}

// caseRecipientView has no fingerprint in a restore: an officer who sees one here would copy it.
type caseRecipientView struct {
	Name        string   `json:"name"`
	Fingerprint string   `json:"sha256,omitempty"`
	Words       []string `json:"words,omitempty"`
	People      int      `json:"people"`
	Keys        int      `json:"keys"`
}

type caseAnswerView struct {
	Agent    uint16    `json:"agent"`
	Name     string    `json:"name"`
	Decision string    `json:"decision"`
	Time     time.Time `json:"time"`
	Comment  string    `json:"comment,omitempty"`
	File     string    `json:"file"`
	Fault    string    `json:"fault,omitempty"`
}

type faultView struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func describeFault(err error) faultView {
	if f := fault.Of(err); f != nil {
		return faultView{f.Code, f.Detail}
	}
	return faultView{Detail: err.Error()}
}

func describeCase(x *kra.Examination) caseView {
	c := x.Case
	v := caseView{
		ID: c.ID, Hash: c.Hash().String(), Kind: c.Kind.String(), Reason: c.Reason, Reference: c.Reference, Opened: c.Opened, Deadline: c.Deadline,
		Archive: x.Roster.Plan.Archive, Roster: c.Roster.String(), Epoch: c.Epoch, Threshold: int(x.Roster.Plan.Threshold),
		Requester: requesterView{c.Requester.Name, c.Requester.Person, mailsOf(c.Requester.Certificate), describeCertificate(c.Requester.Certificate)},
		People:    []subjectView{}, Answers: []caseAnswerView{}, Warnings: append([]string{}, x.Warnings...), Faults: []faultView{},
	}
	if x.Agent.ID != 0 {
		v.Officer = &officerView{x.Agent.ID, x.Agent.Name}
	}
	for _, s := range x.Subjects {
		v.People = append(v.People, subjectView{s.Person, s.Names, s.Mails, s.Algorithms, s.Keys, s.First, s.Last})
	}
	for _, r := range x.Recipients {
		y := caseRecipientView{Name: r.Name, People: r.Subjects, Keys: r.Keys}
		if c.Kind != record.CaseRestore {
			y.Fingerprint, y.Words = r.Fingerprint.String(), r.Fingerprint.Words()
		}
		v.Keys += r.Keys
		v.Recipients = append(v.Recipients, y)
	}
	for _, a := range x.Answers {
		y := caseAnswerView{Agent: a.Agent, Name: a.Name, Decision: a.Decision.String(), Time: a.Time, Comment: a.Comment, File: a.File}
		if a.Err != nil {
			y.Fault = describeFault(a.Err).Detail
		}
		v.Answers = append(v.Answers, y)
	}
	if x.Log != nil {
		v.Log = describeSeen(x.Log)
	}
	for _, err := range x.Faults {
		v.Faults = append(v.Faults, describeFault(err))
	}
	return v
}

// mailsOf returns a certificate's addresses, as they may be shown.
func mailsOf(c *x509.Certificate) []string {
	out := []string{}
	for _, m := range c.EmailAddresses {
		out = append(out, record.Line(m, record.MaxMail))
	}
	return out
}

const moment = "2 January 2006 15:04 MST"

func (v caseView) print(w io.Writer) {
	fmt.Fprintf(w, "Case %s: %s\n", v.ID, map[string]string{
		"restore": "somebody wants their own keys on a new device", "business": "keys of others, for the organisation's business",
		"legal": "keys of others, for a legal matter", "drill": "a drill, of keys that are nobody's"}[v.Kind])
	fmt.Fprintf(w, "  asked by    %s <%s>, person %s\n", v.Requester.Name, strings.Join(v.Requester.Mails, ">, <"), v.Requester.Person)
	fmt.Fprintf(w, "  because     %s\n", strings.ReplaceAll(v.Reason, "\n", "\n              "))
	if v.Reference != "" {
		fmt.Fprintf(w, "  reference   %s\n", v.Reference)
	}
	fmt.Fprintf(w, "  opened      %s\n  until       %s\n", v.Opened.Format(moment), v.Deadline.Format(moment))
	fmt.Fprintf(w, "  put to      %d officers of %s\n", v.Threshold, v.Archive)
	v.printPeople(w)
	for _, r := range v.Recipients {
		r.print(w, v.Kind)
	}
	for _, a := range v.Answers {
		a.print(w)
	}
	if v.Log != nil {
		v.Log.print(w)
	}
	for _, s := range v.Warnings {
		fmt.Fprintf(w, "LOOK INTO THIS: %s\n", s)
	}
	for _, f := range v.Faults {
		fmt.Fprintf(w, "CANNOT BE APPROVED: %s (%s)\n", f.Detail, f.Code)
	}
}

func (v caseView) printPeople(w io.Writer) {
	if len(v.People) == 0 {
		fmt.Fprintf(w, "It asks for %d keys. Whose they are is not known: the records could not all be verified.\n", v.Keys)
		return
	}
	fmt.Fprintf(w, "It asks for %d keys of %d people, as the keys' own records say:\n", v.Keys, len(v.People))
	for i, s := range v.People {
		if i == fewPeople && !v.all {
			fmt.Fprintf(w, "  … and %d more people; see them with: sealpost-kra show FOLDER --all\n", len(v.People)-i)
			break
		}
		s.print(w)
	}
}

func (s subjectView) print(w io.Writer) {
	who := "(a drill)"
	if len(s.Names)+len(s.Mails) > 0 {
		who = fmt.Sprintf("%s <%s>", strings.Join(s.Names, ", also "), strings.Join(s.Mails, ">, <"))
	}
	dates := s.Last.Format(time.DateOnly)
	if first := s.First.Format(time.DateOnly); first != dates {
		dates = first + " to " + dates
	}
	fmt.Fprintf(w, "  %s: %d %s, deposited %s\n", who, s.Keys, strings.Join(s.Algorithms, ", "), dates)
}

func (r caseRecipientView) print(w io.Writer, kind string) {
	if kind == "restore" {
		fmt.Fprintf(w, "They go to a device whose certificate says %q. Whose device it is, only the person can tell you:\n"+
			"  call them, on a number that you know from elsewhere, and have them read the words that their screen shows.\n", r.Name)
		return
	}
	fmt.Fprintf(w, "%d keys of %d people go to %s\n", r.Keys, r.People, r.Name)
	printHash(w, "  with the certificate's fingerprint", r.Words, r.Fingerprint)
}

func (a caseAnswerView) print(w io.Writer) {
	if a.Fault != "" {
		fmt.Fprintf(w, "Does not count: %s: %s\n", a.File, a.Fault)
		return
	}
	fmt.Fprintf(w, "Officer %d (%s) answered on %s: %s", a.Agent, a.Name, a.Time.Format(moment), a.Decision)
	if a.Comment != "" {
		fmt.Fprintf(w, " (%s)", strings.ReplaceAll(a.Comment, "\n", " / "))
	}
	fmt.Fprintln(w)
}
