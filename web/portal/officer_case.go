package portal

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/recovery"
)

// Limits of what the page of a case shows. The tool shows all, and verifies it.
const (
	fewPeople   = 40
	fewCapsules = 400
)

// letter is a case as its page shows it.
type letter struct {
	Page string
	Tabs []tab

	*archive.Case
	Kind, Pill string
	Left       string
	Urgent     bool
	Keys       int
	People     []letterPerson
	MorePeople int
	Recipients []letterRecipient
	Restore    bool
	Open       bool // it can still come to something

	Needed, Approved int // 0 if the officers have changed
	Officers         []letterOfficer
	Own              *letterOfficer // who the reader is among them
	Approve, Deny    string         // commands
	Show             string
	Collect          string // the recipient's
	Here             bool   // the reader may decide in the page
	Words            map[string]string

	MayCancel bool
	Cancel    string // what was typed
	Failed    string
}

// Heard are the fields for words that an officer of a restore hears; which of the sixteen, the script chooses.
func (l *letter) Heard() []int { return []int{1, 2, 3, 4, 5} }

// letterPerson is one whose keys are asked for, as the archived records name them.
type letterPerson struct {
	Name, Mail string
	Keys       int
	id         uuid.UUID
}

// letterRecipient is who gets them. In a restore it is a new device, whose fingerprint is not shown: an officer who sees it here
// would copy it, and not ask the person for it.
type letterRecipient struct {
	Name        string
	Fingerprint string
	Words       string
	Collected   time.Time
}

// letterOfficer is one who is asked.
type letterOfficer struct {
	Name     string
	State    string // approve, deny, disputed, open, never
	Pill     string
	Why      string // they may not answer
	At       time.Time
	Comment  string
	Answered bool
	May      bool
}

// caseID is the case that the address names.
func caseID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, "id"))
	if err != nil {
		return id, archive.ErrUnknownCase
	}
	return id, nil
}

// caseLetter shows a case to who may see it.
func (p *Portal) caseLetter(w http.ResponseWriter, r *http.Request, v *visit) error {
	return p.showLetter(w, r, v, http.StatusOK, "", "")
}

func (p *Portal) showLetter(w http.ResponseWriter, r *http.Request, v *visit, status int, typed, failed string) error {
	desk, err := p.desk()
	if err != nil {
		return err
	}
	id, err := caseID(r)
	if err != nil {
		return err
	}
	k, err := desk.Get(r.Context(), v.Caller.Actor, id)
	if err != nil {
		return err
	}
	l := &letter{Page: "cases", Tabs: v.officerTabs(), Case: k, Kind: k.Kind.String(), Pill: pillOf(k.State), Restore: k.Kind == record.CaseRestore, Cancel: typed, Failed: failed}
	l.Open = k.State == archive.CaseRequested || k.State == archive.CaseApproved || k.State == archive.CaseReleased
	l.Left, l.Urgent = p.left(v.language, k.Deadline)
	l.MayCancel = k.Requester.Person == v.Person.ID && (k.State == archive.CaseRequested || k.State == archive.CaseApproved)
	if err := p.people(r.Context(), desk, v, l); err != nil {
		return err
	}
	if err := p.officers(r, desk, v, l); err != nil {
		return err
	}
	seen := []uuid.UUID{k.Requester.Person}
	for _, one := range l.People {
		seen = append(seen, one.id)
	}
	if err := p.viewed(r.Context(), v, "case", seen...); err != nil {
		return err
	}
	return p.show(w, r, v, status, "officer-case", "officer.case", l)
}

// people fills in whose keys are asked for, as the records name them: the beginning of a large case.
func (p *Portal) people(ctx context.Context, desk *recovery.Desk, v *visit, l *letter) error {
	raw, err := desk.Capsules(ctx, v.Caller.Actor, l.ID, 0, fewCapsules)
	if err != nil {
		return err
	}
	headers := map[uuid.UUID]record.Header{} // the last that was archived
	for _, b := range raw {
		c, err := record.ParseCapsule(b)
		if err != nil {
			return err
		}
		if h, ok := headers[c.Header.Person]; !ok || c.Header.Time.After(h.Time) {
			headers[c.Header.Person] = c.Header
		}
	}
	for _, d := range l.Deliveries {
		for _, s := range d.Subjects {
			l.Keys += len(s.Records)
			h, known := headers[s.Person]
			if !known || len(l.People) == fewPeople {
				l.MorePeople++
				continue
			}
			l.People = append(l.People, letterPerson{h.Name, h.Mail, len(s.Records), s.Person})
		}
	}
	return nil
}

// officers fills in who is asked and what they said, who receives, and what the reader may do.
func (p *Portal) officers(r *http.Request, desk *recovery.Desk, v *visit, l *letter) error {
	roster, err := desk.RosterOf(r.Context(), l.Case)
	if err != nil {
		if errors.Is(err, archive.ErrCaseState) { // there is nobody to decide
			l.Failed = v.language.say("officer.lapsed")
			return nil
		}
		return err
	}
	l.Needed = int(roster.Plan.Threshold)
	for _, a := range roster.Plan.Agents {
		o := p.officer(v, l, roster, a)
		if o.State == "approve" {
			l.Approved++
		}
		l.Officers = append(l.Officers, o)
		if a.Person == v.Person.ID {
			l.Own = &o
		}
	}
	l.Here = p.OfficersApprove && l.Own != nil && l.Own.May
	if l.Here {
		l.Words = v.language.words("officer")
	}
	for i, d := range l.Deliveries {
		l.Recipients = append(l.Recipients, recipientOf(l, roster, i, d))
	}
	args := append([]string{l.ID.String()}, p.online(r, v)...)
	l.Show = command(append([]string{"sealpost-kra", "show"}, args...)...)
	l.Approve = command(append([]string{"sealpost-kra", "approve"}, args...)...)
	l.Deny = command(append([]string{"sealpost-kra", "deny", l.ID.String(), "--comment", v.language.say("officer.deny-comment")}, p.online(r, v)...)...)
	l.Collect = command("sealpost-kra", "open", l.ID.String(), "--server", p.address(r))
	return nil
}

// officer is one of those who are asked.
func (p *Portal) officer(v *visit, l *letter, roster *record.Roster, a record.Agent) letterOfficer {
	o := letterOfficer{Name: a.Name, State: "open", Pill: "off", May: l.Open && p.Now().Before(l.Deadline)}
	for _, answer := range l.Answers {
		if answer.Agent != a.ID {
			continue
		}
		o.Answered, o.May, o.At, o.Comment = true, false, answer.Received, answer.Comment
		switch {
		case answer.Disputed:
			o.State, o.Pill = "disputed", "bad"
		case answer.Decision == record.Approve:
			o.State, o.Pill = "approve", "good"
		default:
			o.State, o.Pill = "deny", "bad"
		}
		return o
	}
	if err := l.CheckApprover(roster, a.ID); err != nil {
		o.State, o.May, o.Why = "never", false, v.language.say("officer.why-not")
	}
	return o
}

func recipientOf(l *letter, roster *record.Roster, i int, d record.Delivery) letterRecipient {
	var out letterRecipient
	if i < len(l.Collected) {
		out.Collected = l.Collected[i]
	}
	if l.Restore {
		return out
	}
	f := record.Fingerprint(d.Recipient)
	out.Fingerprint, out.Words = f.String(), strings.Join(f.Words(), " ")
	for _, c := range roster.Plan.Recipients {
		if c.Certificate.Equal(d.Recipient) {
			out.Name = c.Name
		}
	}
	return out
}

// cancelCase takes a case back.
func (p *Portal) cancelCase(w http.ResponseWriter, r *http.Request, v *visit) error {
	desk, err := p.desk()
	if err != nil {
		return err
	}
	id, err := caseID(r)
	if err != nil {
		return err
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	reason := record.Line(strings.TrimSpace(form.Get("reason")), 500)
	if reason == "" {
		return p.showLetter(w, r, v, http.StatusUnprocessableEntity, "", v.language.say("officer.cancel-why"))
	}
	if _, err := desk.Cancel(r.Context(), v.Caller.Actor, id, reason); err != nil {
		said, status, ok := p.refusal(r, v, err)
		if !ok || status == http.StatusNotFound {
			return err
		}
		return p.showLetter(w, r, v, status, reason, said)
	}
	return p.done(w, r, "/officer/cases/"+id.String(), "case-cancelled")
}
