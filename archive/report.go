package archive

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// maxReported is how many cases one page of a report has at most; maxNamed how many subjects of a case it names.
const (
	maxReported = 200
	maxNamed    = 10
)

// Span says which cases a report is about: those opened in a time, from its beginning to before its end, in a state. What is
// left zero does not limit.
type Span struct {
	From, To time.Time
	State    CaseState
}

// Reported is a case as a report for auditors tells it.
type Reported struct {
	Listed
	Subjects []ReportedSubject // the first ten
	Further  int               // subjects that are not among them
	Answers  []ReportedAnswer  // in the order in which they came
}

// ReportedSubject is somebody whose keys a case asks for.
type ReportedSubject struct {
	Person     uuid.UUID
	Name, Mail string // as when the person's newest key was archived; empty if none is kept any more
}

// ReportedAnswer is what an officer said of a case.
type ReportedAnswer struct {
	Officer  string // name
	Decision string // record.Decision
	Comment  string
	Received time.Time
	Disputed bool
}

// ReportSum is how many cases of a kind are in a state, and how many keys they ask for.
type ReportSum struct {
	Kind  string
	State CaseState
	Cases int
	Keys  int
}

// Report returns the cases of a time for auditors, the newest first: those opened before the case with the given id (all, if
// it is uuid.Nil), at most limit and never more than 200. A case whose subjects are not to know yet is left out for an
// auditor who is one of them. Nothing of it is verified again, but what officers signed is read.
func (c *Cases) Report(ctx context.Context, by audit.Actor, in Span, after uuid.UUID, limit int) ([]Reported, error) {
	if err := by.Require(audit.Auditor); err != nil {
		return nil, err
	}
	now := c.Now()
	var out []Reported
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		list, err := selectListed(ctx, tx, by.Person, true, in.State, span{in.From, in.To}, after, now, min(max(limit, 1), maxReported))
		if err == nil {
			err = selectListedDeliveries(ctx, tx, list)
		}
		if err != nil {
			return err
		}
		out = make([]Reported, len(list))
		at := map[uuid.UUID]*Reported{}
		ids := make([]uuid.UUID, len(list))
		for i := range list {
			out[i].Listed, ids[i], at[list[i].ID] = list[i], list[i].ID, &out[i]
		}
		if err := selectSubjects(ctx, tx, ids, at); err != nil {
			return err
		}
		return selectReportedAnswers(ctx, tx, ids, at)
	})
	return out, err
}

// ReportSums returns how many cases a report has, by kind and state.
func (c *Cases) ReportSums(ctx context.Context, by audit.Actor, in Span) (out []ReportSum, err error) {
	if err := by.Require(audit.Auditor); err != nil {
		return nil, err
	}
	now := c.Now()
	err = c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = selectSums(ctx, tx, by.Person, in, now)
		return err
	})
	return out, err
}

// SilentAbout returns the cases of which a person may not know yet that they ask for the person's keys. It is for components
// of the server, which must not tell.
func (c *Cases) SilentAbout(ctx context.Context, person uuid.UUID) (out []uuid.UUID, err error) {
	now := c.Now()
	err = c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = selectSilentAbout(ctx, tx, person, now)
		return err
	})
	return out, err
}

// officerNames returns the names of a roster's officers, by number. It need not be pinned any more.
func officerNames(ctx context.Context, tx pgx.Tx, roster record.Hash) (map[uint16]string, error) {
	file, err := selectRoster(ctx, tx, roster)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := record.ParseRoster(file)
	if err != nil {
		return nil, err
	}
	out := map[uint16]string{}
	for _, a := range r.Plan.Agents {
		out[a.ID] = a.Name
	}
	return out, nil
}
