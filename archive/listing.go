package archive

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// Listed is what a list says of a case: what the archive noted when it was opened, and where it stands. Nothing of it was
// verified again; who decides or receives reads the case itself.
type Listed struct {
	ID          uuid.UUID
	Kind        string // record.CaseKind
	State       CaseState
	StateReason string
	Requester   string // name
	Reason      string
	Reference   string
	Opened      time.Time
	Deadline    time.Time
	Changed     time.Time
	SilentUntil time.Time // zero if the subjects may be told
	Deliveries  []ListedDelivery
}

// ListedDelivery is what a list says of one of a case's deliveries.
type ListedDelivery struct {
	Recipient record.Hash // fingerprint
	Subjects  int
	Records   int
	Collected time.Time // last; zero if it was not
}

// List returns the cases that the actor may see, newest first: those opened before the case with the given id (all, if
// it is uuid.Nil), in one state (all, if it is empty), at most limit.
func (c *Cases) List(ctx context.Context, by audit.Actor, state CaseState, after uuid.UUID, limit int) ([]Listed, error) {
	var out []Listed
	now := c.Now()
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = selectListed(ctx, tx, by.Person, by.Has(audit.Auditor), state, span{}, after, now, min(max(limit, 1), 200)); err != nil {
			return err
		}
		return selectListedDeliveries(ctx, tx, out)
	})
	return out, err
}

// Waiting is a case whose agents are asked, and how far they are.
type Waiting struct {
	Listed
	Needed   int // approvals; 0 if the agents have changed since, so that the case can come to nothing
	Approved int
	Refused  int
	Agent    uint16 // who the actor is among the agents who are asked; 0 for others
	Answered bool   // the actor has

	roster   record.Hash
	answered []uint16
}

// Waiting returns the cases that the actor may see whose agents are asked, the one first that has the least time left, at most
// limit.
func (c *Cases) Waiting(ctx context.Context, by audit.Actor, limit int) ([]Waiting, error) {
	var out []Waiting
	now := c.Now()
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := selectWaiting(ctx, tx, by.Person, by.Has(audit.Auditor), now, min(max(limit, 1), 200))
		if err != nil {
			return err
		}
		if err := selectListedDeliveries(ctx, tx, found); err != nil {
			return err
		}
		for _, l := range found {
			out = append(out, Waiting{Listed: l})
		}
		return selectWaitingAnswers(ctx, tx, out)
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := c.asked(ctx, by, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// asked notes who the actor is in the roster that a case is put to. A roster that is not accepted any more asks nobody.
func (c *Cases) asked(ctx context.Context, by audit.Actor, w *Waiting) error {
	r, err := c.Archive.roster.get(ctx, w.roster)
	if errors.Is(err, ErrRosterPin) || errors.Is(err, ErrNoRoster) {
		return nil
	}
	if err != nil {
		return err
	}
	w.Needed = int(r.Plan.Threshold)
	for _, a := range r.Plan.Agents {
		if a.Person == by.Person {
			w.Agent, w.Answered = a.ID, slices.Contains(w.answered, a.ID)
		}
	}
	return nil
}

// older fills in what the archive did not note of cases that were opened before it did, from their statements.
func (l *Listed) older(statement []byte) error {
	s, err := record.ParseCase(statement)
	if err != nil {
		return err
	}
	l.Requester, l.Reason, l.Reference = s.Requester.Name, s.Reason, s.Reference
	for _, d := range s.Deliveries {
		x := ListedDelivery{Recipient: record.Fingerprint(d.Recipient), Subjects: len(d.Subjects)}
		for _, p := range d.Subjects {
			x.Records += len(p.Records)
		}
		l.Deliveries = append(l.Deliveries, x)
	}
	return nil
}
