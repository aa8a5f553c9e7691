package notice

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
)

// part is what a reader is to a case. Everybody sees the case's number, kind and times, and who asks. Beside that:
type part string

const (
	// partOwner restores their own keys: sees how many officers agreed, and how they are called once they answered.
	partOwner part = "owner"
	// partSubject is somebody whose keys others ask for: sees how many of their own, and who receives them. Not other
	// subjects, not the officers. Hears nothing while a legal case is silent, in no other part either.
	partSubject part = "subject"
	// partRecipient receives: sees whose keys.
	partRecipient part = "recipient"
	// partRequester asks for others' keys: sees whose, and how each officer answered.
	partRequester part = "requester"
	// partAgent decides: sees whose keys and how many. The reason comes from the case itself, by sealpost-kra.
	// While a legal case is silent, no message names its subjects: mail passes many eyes.
	partAgent part = "agent"
)

// Events that are not a state of the case.
const (
	aboutAnswered = "answered"
	aboutDisputed = "disputed"
	aboutRevealed = "revealed" // the subjects of a silent case may know now
	aboutAgain    = "again"    // a delivery was collected once more
)

// event is something that happened to a case.
type event struct {
	name     string // of the templates
	agent    uint16 // whose answer it is about, if it is
	delivery int    // which was collected again, and on which day
	day      string
}

// key names the event within its case.
func (e event) key() string {
	switch {
	case e.name == aboutAgain:
		return fmt.Sprintf("%s/%d/%s", e.name, e.delivery, e.day)
	case e.agent == 0:
		return e.name
	}
	return fmt.Sprintf("%s/%d", e.name, e.agent)
}

// eventOf is the inverse of key.
func eventOf(key string) (e event, err error) {
	if n, _ := fmt.Sscanf(key, aboutAnswered+"/%d", &e.agent); n == 1 {
		e.name = aboutAnswered
	} else if n, _ := fmt.Sscanf(key, aboutDisputed+"/%d", &e.agent); n == 1 {
		e.name = aboutDisputed
	} else if n, _ := fmt.Sscanf(key, aboutAgain+"/%d/%s", &e.delivery, &e.day); n == 2 {
		e.name = aboutAgain
	} else {
		e = event{name: key}
	}
	if e.key() != key || e.delivery < 0 {
		return e, fmt.Errorf("notice: %q is no event", key)
	}
	return e, nil
}

// events returns what a job tells of: an agent's answer is an event of its own, and the job does not say whose.
func events(k *archive.Case, about string) (out []event, err error) {
	if about != aboutAnswered && about != aboutDisputed {
		e, err := eventOf(about)
		return []event{e}, err
	}
	for _, a := range k.Answers {
		if about == aboutAnswered || a.Disputed {
			out = append(out, event{name: about, agent: a.Agent})
		}
	}
	return out, nil
}

// reader is who is told of an event.
type reader struct {
	about  string // the event's key
	person uuid.UUID
	part   part
}

// readers returns who is told of an event: everybody once, as the first of their parts for which there is a template.
func (t *Teller) readers(k *archive.Case, roster *record.Roster, e event, now time.Time) (out []reader) {
	seen := map[uuid.UUID]bool{uuid.Nil: true}
	add := func(person uuid.UUID, p part) {
		if seen[person] || !t.letters.has(e.name, p) || silent(k, e, person, now) {
			return
		}
		seen[person] = true
		out = append(out, reader{e.key(), person, p})
	}
	if k.Kind == record.CaseRestore {
		add(k.Requester.Person, partOwner)
	}
	for i, d := range k.Deliveries {
		if !e.concerns(k, i) {
			continue
		}
		for _, s := range d.Subjects {
			add(s.Person, partSubject)
		}
	}
	for i, p := range k.Recipients() {
		if e.concerns(k, i) {
			add(p, partRecipient)
		}
	}
	add(k.Requester.Person, partRequester)
	if roster == nil {
		return out
	}
	for _, a := range roster.Plan.Agents {
		if !onlyTheAsked[e.name] || k.CheckApprover(roster, a.ID) == nil {
			add(a.Person, partAgent)
		}
	}
	return out
}

// onlyTheAsked are events of which agents are told who may decide about the case: that they are asked, and that there is
// nothing left to decide.
var onlyTheAsked = map[string]bool{string(archive.CaseRequested): true, string(archive.CaseDenied): true,
	string(archive.CaseCancelled): true, string(archive.CaseExpired): true}

// concerns reports whether an event is about one of the case's deliveries: a collection is about the keys that were given
// out. If others are later, there is an event for these.
func (e event) concerns(k *archive.Case, delivery int) bool {
	switch e.name {
	case string(archive.CaseReleased):
		return !k.Collected[delivery].IsZero()
	case aboutAgain:
		return e.delivery == delivery
	}
	return true
}

// subjects returns a case's subjects.
func subjects(k *archive.Case) (out []record.Subject) {
	for _, d := range k.Deliveries {
		out = append(out, d.Subjects...)
	}
	return out
}

// silent reports whether somebody is not to hear of an event because they are a subject who does not know yet, or because
// they hear of all that happened before in one message when the silence ends.
func silent(k *archive.Case, e event, person uuid.UUID, now time.Time) bool {
	if k.SilentUntil.IsZero() || !slices.ContainsFunc(subjects(k), func(s record.Subject) bool { return s.Person == person }) {
		return false
	}
	return now.Before(k.SilentUntil) || e.name != aboutRevealed && happened(k, e, person).Before(k.SilentUntil)
}

// happened returns when something happened last that an event tells a subject: a collection does not change the case's state
// where it is not the first.
func happened(k *archive.Case, e event, subject uuid.UUID) time.Time {
	at := k.Changed
	if e.name != string(archive.CaseReleased) && e.name != aboutAgain {
		return at
	}
	for i, d := range k.Deliveries {
		if k.Collected[i].After(at) && slices.ContainsFunc(d.Subjects, func(s record.Subject) bool { return s.Person == subject }) {
			at = k.Collected[i]
		}
	}
	return at
}

// overtaken reports whether a message that could not be sent in time says or asks what is no longer so.
func overtaken(k *archive.Case, e event, p part, person uuid.UUID) bool {
	switch {
	case e.name == string(archive.CaseRequested) && p == partAgent:
		return k.State != archive.CaseRequested
	case e.name == string(archive.CaseApproved) && p == partRecipient && k.State == archive.CaseReleased:
		for i, r := range k.Recipients() {
			if r == person && k.Collected[i].IsZero() {
				return false
			}
		}
		return true
	case e.name == string(archive.CaseApproved):
		return k.State != archive.CaseApproved
	}
	return false
}
