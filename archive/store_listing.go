package archive

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
)

func selectListed(ctx context.Context, tx pgx.Tx, person uuid.UUID, auditor bool, state CaseState, after uuid.UUID, now time.Time, limit int) ([]Listed, error) {
	rows, err := tx.Query(ctx, `select id, kind, state, coalesce(reason, ''), coalesce(requester_name, ''), coalesce(purpose, ''), coalesce(reference, ''),
		opened_at, deadline, changed_at, silent_until, case when requester_name is null then statement end
		from archive.recovery_case c where `+visible+`
		and ($4 = '' or c.state = $4)
		and ($5 = '00000000-0000-0000-0000-000000000000'::uuid or (c.opened_at, c.id) < (select x.opened_at, x.id from archive.recovery_case x where x.id = $5))
		order by c.opened_at desc, c.id desc limit $6`, person, auditor, now, string(state), after, limit)
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
