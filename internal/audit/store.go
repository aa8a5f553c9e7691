package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Append records events in the caller's transaction, all with the same time and actor, in one round trip. The events
// are in the log if and only if the transaction commits; their index in it, and with it a proof, comes a moment later.
// Only a mistake in the event itself is ErrEvent; then nothing was sent to the database.
func Append(ctx context.Context, tx pgx.Tx, at time.Time, by Actor, events ...Event) ([]Leaf, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if len(events) > MaxEvents {
		return nil, fmt.Errorf("%w: %d at once, more than %d", ErrEvent, len(events), MaxEvents)
	}
	n := len(events)
	leaves := make([]Leaf, n)
	bodies, kinds, subjects := make([]string, n), make([]string, n), make([]string, n)
	persons, hashes := make([]uuid.UUID, n), make([][]byte, n)
	for i, e := range events {
		b, err := encode(at, by, e)
		if err != nil {
			return nil, err
		}
		leaves[i].Hash = leafHash(b)
		bodies[i], kinds[i], subjects[i], persons[i], hashes[i] = string(b), e.Kind, e.Subject, e.Person, leaves[i].Hash[:]
	}
	// The ids are drawn first, so that each is known to belong to its event, and so that nothing is read from the tables:
	// whoever may append may not read.
	rows, err := tx.Query(ctx, `
		with fresh as materialized (
			select nextval('audit.event_id') as id, body, kind, subject, person, hash, n
			from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bytea[]) with ordinality
				as u (body, kind, subject, person, hash, n)),
		event as (
			insert into audit.event (id, body, at, kind, subject, person, actor)
			select id, body, $6, kind, subject, person, $7 from fresh),
		pending as (
			insert into audit.pending (event, hash) select id, hash from fresh)
		select id from fresh order by n`,
		bodies, kinds, subjects, persons, hashes, at.UTC().Truncate(time.Microsecond), by.Person)
	if err != nil {
		return nil, fmt.Errorf("append to the audit log: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("append to the audit log: %w", err)
	}
	for i, id := range ids {
		leaves[i].Event = id
	}
	return leaves, nil
}
