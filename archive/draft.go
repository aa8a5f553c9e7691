package archive

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Ask says what somebody wants to have opened.
type Ask struct {
	Kind     record.CaseKind
	Subjects []uuid.UUID   // whose keys
	Keys     []keyuse.Hash // only these of theirs; nil means all
}

// Draft is what a case would have to name: the requester's program makes the case of it and signs it. There is one per
// archive key that the records are sealed to.
type Draft struct {
	Roster   *record.Roster
	Subjects []DraftSubject // ascending by person
}

// DraftSubject is one person's records.
type DraftSubject struct {
	Person  uuid.UUID
	Records []*record.Capsule // oldest first
}

// Draft resolves what somebody asks for. What it returns is frozen by the signature on the case, and by nothing earlier: keys
// that are archived meanwhile are not in it. It returns ErrCaseRefused for what the actor may not ask for,
// ErrNothingToAsk when the archive keeps nothing of it, and record.ErrCase when it is too much for one case.
func (c *Cases) Draft(ctx context.Context, by audit.Actor, ask Ask) ([]Draft, error) {
	if err := mayAsk(by, ask.Kind, ask.Subjects); err != nil {
		return nil, err
	}
	var capsules []*record.Capsule
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		capsules, err = selectKept(ctx, tx, ask.Subjects, ask.Keys, record.MaxRecords+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case len(capsules) == 0:
		return nil, ErrNothingToAsk
	case len(capsules) > record.MaxRecords:
		return nil, record.ErrCase.Withf("More than %d keys are asked for at once. Make several cases.", record.MaxRecords)
	}
	return c.drafts(ctx, capsules)
}

// drafts sorts capsules by archive key and person.
func (c *Cases) drafts(ctx context.Context, capsules []*record.Capsule) ([]Draft, error) {
	var out []Draft
	at := map[record.Hash]int{}
	for _, k := range capsules {
		i, ok := at[k.KeyID]
		if !ok {
			r, err := c.Archive.roster.forKey(ctx, k.KeyID)
			if err != nil {
				return nil, err
			}
			i = len(out)
			at[k.KeyID] = i
			out = append(out, Draft{Roster: r})
		}
		d := &out[i]
		if n := len(d.Subjects); n == 0 || d.Subjects[n-1].Person != k.Header.Person {
			d.Subjects = append(d.Subjects, DraftSubject{Person: k.Header.Person})
		}
		s := &d.Subjects[len(d.Subjects)-1]
		s.Records = append(s.Records, k)
	}
	return out, nil
}

// mayAsk says who may open which kind of case: a person for their own keys, a recovery requester for others'.
func mayAsk(by audit.Actor, kind record.CaseKind, subjects []uuid.UUID) error {
	if by.Person == uuid.Nil {
		return ErrCaseRefused.Withf("A case is opened by a person.")
	}
	switch kind {
	case record.CaseRestore:
		if len(subjects) != 1 || subjects[0] != by.Person {
			return ErrCaseRefused.Withf("With a restore case people get their own keys back. For other people's keys a business or legal case is needed.")
		}
	case record.CaseBusiness, record.CaseLegal:
		if slices.Contains(subjects, by.Person) {
			return ErrCaseRefused.Withf("Your own keys are opened with a restore case.")
		}
		return by.Require(audit.RecoveryRequester)
	case record.CaseDrill:
		return ErrCaseRefused.Withf("Officers hold drills among themselves, with sealpost-kra drill: the server has no part in what they show.")
	default:
		return ErrCaseRefused.Withf("There is no such kind of case.")
	}
	return nil
}
