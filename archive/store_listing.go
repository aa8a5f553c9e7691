package archive

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
)

// span is a time in which cases were opened: from its beginning to before its end. Zero does not limit.
type span struct{ from, to time.Time }

// listed is what a list reads of cases that somebody may see.
const listed = `select id, kind, state, coalesce(reason, ''), coalesce(requester_name, ''), coalesce(purpose, ''), coalesce(reference, ''),
		opened_at, deadline, changed_at, silent_until, case when requester_name is null then statement end
		from archive.recovery_case c where ` + visible

func selectListed(ctx context.Context, tx pgx.Tx, person uuid.UUID, auditor bool, state CaseState, in span, after uuid.UUID, now time.Time, limit int) ([]Listed, error) {
	rows, err := tx.Query(ctx, listed+`
		and ($4 = '' or c.state = $4)
		and ($5 = '00000000-0000-0000-0000-000000000000'::uuid or (c.opened_at, c.id) < (select x.opened_at, x.id from archive.recovery_case x where x.id = $5))
		and ($7::timestamptz is null or c.opened_at >= $7) and ($8::timestamptz is null or c.opened_at < $8)
		order by c.opened_at desc, c.id desc limit $6`, person, auditor, now, string(state), after, limit, orNull(in.from), orNull(in.to))
	return collectListed(rows, err)
}

// selectWaiting returns the cases whose agents are asked, the one first that has the least time left.
func selectWaiting(ctx context.Context, tx pgx.Tx, person uuid.UUID, auditor bool, now time.Time, limit int) ([]Listed, error) {
	rows, err := tx.Query(ctx, listed+` and c.state = 'requested' order by c.deadline, c.id limit $4`, person, auditor, now, limit)
	return collectListed(rows, err)
}

func collectListed(rows pgx.Rows, err error) ([]Listed, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Listed, err error) {
		var silent *time.Time
		var statement []byte
		if err := row.Scan(&l.ID, &l.Kind, &l.State, &l.StateReason, &l.Requester, &l.Reason, &l.Reference, &l.Opened, &l.Deadline, &l.Changed,
			&silent, &statement); err != nil {
			return l, err
		}
		if silent != nil {
			l.SilentUntil = *silent
		}
		if statement != nil {
			err = l.older(statement)
		}
		return l, err
	})
}

// selectListedDeliveries adds the deliveries of listed cases, and to those of older cases when they were collected.
func selectListedDeliveries(ctx context.Context, tx pgx.Tx, list []Listed) error {
	at := map[uuid.UUID]*Listed{}
	ids := make([]uuid.UUID, len(list))
	for i := range list {
		ids[i], at[list[i].ID] = list[i].ID, &list[i]
	}
	rows, err := tx.Query(ctx, `select case_id, delivery, recipient_sha256, coalesce(subjects, 0), coalesce(records, 0), collected_at
		from archive.case_delivery where case_id = any($1) order by case_id, delivery`, ids)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var n int
	var recipient []byte
	var x ListedDelivery
	var collected *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &n, &recipient, &x.Subjects, &x.Records, &collected}, func() error {
		l := at[id]
		if recipient != nil {
			x.Recipient, x.Collected = record.Hash(recipient), time.Time{}
			l.Deliveries = append(l.Deliveries, x)
		}
		if collected != nil && n < len(l.Deliveries) {
			l.Deliveries[n].Collected = *collected
		}
		return nil
	})
	return err
}

// selectWaitingAnswers adds to cases which roster is asked, and what its agents said so far.
func selectWaitingAnswers(ctx context.Context, tx pgx.Tx, list []Waiting) error {
	at := map[uuid.UUID]*Waiting{}
	ids := make([]uuid.UUID, len(list))
	for i := range list {
		ids[i], at[list[i].ID] = list[i].ID, &list[i]
	}
	rows, err := tx.Query(ctx, `select c.id, c.roster, coalesce(a.agent, 0), coalesce(a.decision, ''), a.dispute is not null from archive.recovery_case c
		left join archive.case_answer a on a.case_id = c.id where c.id = any($1)`, ids)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var roster []byte
	var agent uint16
	var decision string
	var disputed bool
	_, err = pgx.ForEachRow(rows, []any{&id, &roster, &agent, &decision, &disputed}, func() error {
		w := at[id]
		w.roster = record.Hash(roster)
		if agent == 0 {
			return nil
		}
		w.answered = append(w.answered, agent)
		switch {
		case decision == record.Deny.String():
			w.Refused++
		case !disputed:
			w.Approved++
		}
		return nil
	})
	return err
}
