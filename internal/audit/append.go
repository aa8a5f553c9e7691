package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// Append records events in the caller's transaction, all with the same time and actor, in one round trip. The events
// are in the log if and only if the transaction commits; their index in it, and with it a proof, comes a moment later.
// Only a mistake in an event itself is ErrEvent; then nothing was sent to the database.
func Append(ctx context.Context, tx pgx.Tx, at time.Time, by Actor, events ...Event) ([]Leaf, error) {
	b := &pgx.Batch{}
	leaves, err := Queue(b, at, by, events...)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	return leaves, nil
}

// Queue is Append for callers who send more in the same round trip: it puts the events into a batch. The leaves' hashes
// are there at once, their events' rows when the batch has been closed.
func Queue(b *pgx.Batch, at time.Time, by Actor, events ...Event) ([]Leaf, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if len(events) > MaxEvents {
		return nil, fmt.Errorf("%w: %d at once, more than %d", ErrEvent, len(events), MaxEvents)
	}
	n := len(events)
	leaves := make([]Leaf, n)
	rows := eventRows{at: at.UTC().Truncate(time.Microsecond), actor: by.Person, bodies: make([]string, n), kinds: make([]string, n),
		subjects: make([]string, n), persons: make([]uuid.UUID, n), hashes: make([][]byte, n)}
	for i, e := range events {
		body, err := encode(at, by, e)
		if err != nil {
			return nil, err
		}
		leaves[i].Hash = proof.LeafHash(body)
		rows.bodies[i], rows.kinds[i], rows.subjects[i], rows.persons[i] = string(body), e.Kind, e.Subject, e.Person
		rows.hashes[i] = leaves[i].Hash[:]
	}
	queueEvents(b, rows, func(ids []int64, err error) error {
		if err != nil {
			return fmt.Errorf("append to the audit log: %w", err)
		}
		for i, id := range ids {
			leaves[i].Event = id
		}
		return nil
	})
	return leaves, nil
}
