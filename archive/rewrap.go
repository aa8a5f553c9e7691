package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// rewrapBatch is how many records one transaction moves.
const rewrapBatch = 100

// Rewrap moves records that another wrapping key than the first covers to the first, until none is left or ctx ends, and
// returns how many it moved. What was moved stays moved. Any number of servers may do it at once. A record that does not
// open stays as it is, and is an error after all others have been moved.
//
// Neither the agents' layer nor the record's hash changes, so that receipts and open cases hold.
func (a *Archive) Rewrap(ctx context.Context) (moved int, err error) {
	damaged := map[uuid.UUID]error{}
	for {
		n, more, err := a.rewrapSome(ctx, damaged)
		moved += n
		if err != nil || !more {
			return moved, errors.Join(err, errors.Join(slices.Collect(maps.Values(damaged))...))
		}
	}
}

// rewrapSome moves one batch, and adds to damaged what does not open.
func (a *Archive) rewrapSome(ctx context.Context, damaged map[uuid.UUID]error) (moved int, more bool, err error) {
	var old [][]byte // those at hand: a record of any other cannot be moved
	for _, k := range a.Wrapping[1:] {
		id := k.ID()
		old = append(old, id[:])
	}
	if len(old) == 0 {
		return 0, false, nil
	}
	now := a.Now()
	err = a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		stored, err := selectWrapped(ctx, tx, old, slices.AppendSeq([]uuid.UUID{}, maps.Keys(damaged)), rewrapBatch)
		if err != nil || len(stored) == 0 {
			return err
		}
		more = true
		for id, r := range stored {
			if stored[id], err = r.Rewrap(a.Wrapping[0].Public(), a.Wrapping...); err != nil {
				damaged[id] = fmt.Errorf("record %s: %w", id, err)
				delete(stored, id)
			}
		}
		if moved = len(stored); moved == 0 {
			return nil
		}
		if err := updateWrapped(ctx, tx, stored); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, audit.System("archive"), audit.Event{Kind: "archive.rewrapped", Subject: "wrapping:" + a.Wrapping[0].ID().String(),
			Data: map[string]any{"records": moved}})
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return moved, more, nil
}

func selectWrapped(ctx context.Context, tx pgx.Tx, keys [][]byte, except []uuid.UUID, limit int) (map[uuid.UUID]*record.Record, error) {
	rows, err := tx.Query(ctx, `select id, sealed from archive.record where wrapping_id = any($1) and id <> all($2)
		order by wrapping_id, deposited_at limit $3 for update skip locked`, keys, except, limit)
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID]*record.Record{}
	var id uuid.UUID
	var sealed []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &sealed}, func() (err error) {
		out[id], err = record.ParseRecord(sealed)
		return err
	})
	return out, err
}

func updateWrapped(ctx context.Context, tx pgx.Tx, records map[uuid.UUID]*record.Record) error {
	var ids []uuid.UUID
	var keys, sealed [][]byte
	for id, r := range records {
		ids, keys, sealed = append(ids, id), append(keys, r.WrappingKey[:]), append(sealed, r.Bytes())
	}
	_, err := tx.Exec(ctx, `update archive.record r set wrapping_id = x.key, sealed = x.sealed
		from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as x (id, key, sealed) where r.id = x.id`, ids, keys, sealed)
	return err
}
