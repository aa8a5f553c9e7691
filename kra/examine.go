package kra

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/fault"
)

// Examination is a case as this officer's machine sees it. What stands in it under Subjects was verified, whatever the
// server or the case's own text say: it comes from the headers of the records.
type Examination struct {
	Case       *record.SignedCase
	Roster     *record.Roster
	Agent      record.Agent // who the officer is in the roster; zero if they are not in it
	Subjects   []Subject    // ascending by name; empty if a record could not be verified
	Recipients []CaseRecipient
	Answers    []CaseAnswer
	Warnings   []string // what the officer should look into, but may be right
	Faults     []error  // why the case cannot be approved; empty if it can
	Log        *Seen    // what was verified of the audit log; nil in a drill, or if there is a fault
	folder     delivery.Folder
	bundles    []*record.Bundle
}

// Subject is one person whose keys are asked for.
type Subject struct {
	Person      uuid.UUID // zero in a drill
	Names       []string  // at the deposits, the newest first
	Mails       []string
	Algorithms  []string
	Keys        int
	First, Last time.Time // deposits
	Delivery    int
}

// CaseRecipient is who receives in a case.
type CaseRecipient struct {
	Name        string // as the roster says; in a restore only what the certificate claims
	Fingerprint record.Hash
	Subjects    int
	Keys        int
}

// CaseAnswer is an answer that lies in the folder.
type CaseAnswer struct {
	Agent    uint16
	Name     string
	Decision record.Decision
	Time     time.Time
	Comment  string
	File     string
	Err      error // why it does not count
}

// Examine reads a case's folder and makes every check that needs no key. A folder that cannot be read is an error; what
// speaks against approving is collected under Faults, so that all of it is seen at once. progress, if not nil, is told how
// many records have been verified of how many.
func (o *Officer) Examine(dir string, progress func(done, total int)) (*Examination, error) {
	x := &Examination{folder: delivery.Open(dir)}
	var err error
	if x.Case, err = x.folder.Case(); err != nil {
		return nil, err
	}
	if x.Roster, err = x.folder.Roster(); err != nil {
		return nil, err
	}
	x.fault(x.checkRoster(o))
	x.fault(x.checkPeople(o))
	x.fault(x.Case.CheckTime(o.now()))
	if a, err := o.agentOf(x.Roster); err != nil {
		x.fault(err)
	} else {
		x.Agent = a
		x.fault(x.Case.CheckApprover(x.Roster, a.ID))
	}
	x.fault(x.readRecords(progress))
	x.readRecipients()
	if err := x.readAnswers(); err != nil {
		return nil, err
	}
	_, err = o.answered(x.Case)
	x.fault(err)
	if _, x.Log, err = o.checkLog(x); err != nil {
		x.Log = nil
		x.fault(err)
	} else if x.Log != nil {
		x.Warnings = append(x.Warnings, x.Log.Warnings...)
	}
	return x, nil
}

func (x *Examination) fault(err error) {
	if err != nil {
		x.Faults = append(x.Faults, err)
	}
}

// Refusal returns why the case cannot be approved; nil if it can.
func (x *Examination) Refusal() error {
	switch len(x.Faults) {
	case 0:
		return nil
	case 1:
		return x.Faults[0]
	}
	text := ""
	for _, err := range x.Faults {
		text += "\n  - " + sentence(err)
	}
	return ErrCaseRefused.Withf("This case cannot be approved, for %d reasons:%s", len(x.Faults), text).Because(x.Faults[0])
}

func sentence(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return err.Error()
}

// checkRoster demands that the case is put to a roster that this officer has verified.
func (x *Examination) checkRoster(o *Officer) error {
	if err := o.knows(x.Roster); err != nil {
		return err
	}
	opt := record.VerifyOptions{Pins: []record.Hash{x.Roster.Hash()}, SingleAgentMayOpenAlone: x.Roster.Plan.SingleAgentMayOpenAlone}
	if err := x.Roster.Verify(opt); err != nil {
		return err
	}
	if err := x.Roster.CheckUsages(api.OIDAgentSigning, api.OIDAgentDecryption, api.OIDRecipient); err != nil {
		return err
	}
	return x.Case.CheckRoster(x.Roster)
}

// checkPeople checks the certificates of who asks and, where the roster names them, of who receives.
func (x *Examination) checkPeople(o *Officer) error {
	t := trust{now: o.now()}
	var err error
	if t.roots, err = o.Roots(); err != nil {
		return err
	}
	if t.between, err = x.folder.Intermediates(); err != nil {
		return err
	}
	if err := t.requester(x.Case); err != nil {
		return err
	}
	if x.Case.Kind != record.CaseBusiness && x.Case.Kind != record.CaseLegal {
		return nil
	}
	for _, d := range x.Case.Deliveries {
		r, ok := rosterRecipient(x.Roster, d)
		if !ok {
			continue // CheckRoster says so
		}
		if err := t.certificate(r.Name, "certificate", r.Certificate, api.OIDRecipient); err != nil {
			return err
		}
	}
	return nil
}

func rosterRecipient(r *record.Roster, d record.Delivery) (record.Recipient, bool) {
	i := slices.IndexFunc(r.Plan.Recipients, func(c record.Recipient) bool { return c.Certificate.Equal(d.Recipient) })
	if i < 0 {
		return record.Recipient{}, false
	}
	return r.Plan.Recipients[i], true
}

// readRecords verifies every record of the case and takes the subjects from their headers.
func (x *Examination) readRecords(progress func(done, total int)) error {
	var capsules []*record.Capsule
	for c, err := range x.folder.Capsules() {
		if err != nil {
			return err
		}
		if len(capsules) == record.MaxRecords {
			return delivery.ErrFolder.Withf("%s has more records than a case can have.", x.folder.Path(delivery.CapsulesFile))
		}
		capsules = append(capsules, c)
	}
	total := 0
	for _, d := range x.Case.Deliveries {
		total += keysOf(d)
	}
	if len(capsules) != total {
		return delivery.ErrIncomplete.Withf("%s has %d of the case's %d records.", x.folder.Path(delivery.CapsulesFile), len(capsules), total)
	}
	done := 0
	for i, d := range x.Case.Deliveries {
		n := keysOf(d)
		b, err := record.NewBundle(x.Roster, x.Case, i, capsules[done:done+n], func(at int) {
			if progress != nil {
				progress(done+at, total)
			}
		})
		if err != nil {
			x.bundles = nil
			return err
		}
		x.bundles = append(x.bundles, b)
		done += n
	}
	x.readSubjects()
	return nil
}

func keysOf(d record.Delivery) (n int) {
	for _, s := range d.Subjects {
		n += len(s.Records)
	}
	return n
}

func (x *Examination) readSubjects() {
	for i, b := range x.bundles {
		at := 0
		for _, s := range x.Case.Deliveries[i].Subjects {
			y := Subject{Person: s.Person, Keys: len(s.Records), Delivery: i}
			heads := make([]record.Header, 0, len(s.Records))
			for _, c := range b.Capsules[at : at+len(s.Records)] {
				heads = append(heads, c.Header)
			}
			at += len(s.Records)
			slices.SortStableFunc(heads, func(a, b record.Header) int { return b.Time.Compare(a.Time) })
			for _, h := range heads {
				y.Names, y.Mails, y.Algorithms = once(y.Names, h.Name), once(y.Mails, h.Mail), once(y.Algorithms, h.Algorithm)
			}
			y.Last, y.First = heads[0].Time, heads[len(heads)-1].Time
			x.Subjects = append(x.Subjects, y)
		}
	}
	slices.SortStableFunc(x.Subjects, func(a, b Subject) int { return cmp.Compare(a.Name(), b.Name()) })
	if x.Case.Kind == record.CaseRestore {
		x.warnOfNames()
	}
}

// warnOfNames compares what the requester's certificate claims with the newest key's header. People marry and move, so
// that a difference is no fault.
func (x *Examination) warnOfNames() {
	s, c := x.Subjects[0], x.Case.Requester.Certificate
	if len(s.Mails) > 0 && len(c.EmailAddresses) > 0 && !slices.ContainsFunc(s.Mails, func(m string) bool { return slices.Contains(c.EmailAddresses, m) }) {
		x.Warnings = append(x.Warnings, fmt.Sprintf("The keys were deposited for <%s>; the requester's certificate is for <%s>. Make sure that this is one person.", s.Mails[0], record.Line(c.EmailAddresses[0], record.MaxMail)))
	}
}

// Name returns what the newest record calls the subject.
func (s Subject) Name() string {
	if len(s.Names) > 0 {
		return s.Names[0]
	}
	if len(s.Mails) > 0 {
		return s.Mails[0]
	}
	return "(a drill)"
}

func once(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (x *Examination) readRecipients() {
	for _, d := range x.Case.Deliveries {
		r := CaseRecipient{Name: commonName(d.Recipient), Fingerprint: record.Fingerprint(d.Recipient), Subjects: len(d.Subjects), Keys: keysOf(d)}
		if known, ok := rosterRecipient(x.Roster, d); ok {
			r.Name = known.Name
		}
		x.Recipients = append(x.Recipients, r)
	}
}

func (x *Examination) readAnswers() error {
	answers, err := x.folder.Answers()
	if err != nil {
		return err
	}
	for _, a := range answers {
		y := CaseAnswer{File: a.File, Err: a.Err}
		if a.Err == nil {
			y.Agent, y.Decision, y.Time, y.Comment = a.Approval.Agent, a.Approval.Decision, a.Approval.Time, a.Approval.Comment
			y.Err = a.Approval.Verify(x.Roster, x.Case)
			if agent, ok := x.Roster.Plan.Agent(y.Agent); ok {
				y.Name = agent.Name
			}
		}
		x.Answers = append(x.Answers, y)
	}
	return nil
}
