package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "archive"

// queueInsert stores a record, whose event is the last that the transaction appended to the audit log, and notes that in
// its receipt.
func queueInsert(b *pgx.Batch, r *Receipt, sealed *record.Record) {
	b.Queue(`
		insert into archive.record (id, request, person, spki_sha256, key_id, wrapping_id, state, sealed,
			receipt, leaf_hash, event, deposited_at)
		values ($1, $2, $3, $4, $5, $6, 'held', $7, $8, $9, currval('audit.event_id'), $10) returning event`,
		r.ID, r.Request, r.Person, r.Key[:], r.KeyID[:], sealed.WrappingKey[:], sealed.Bytes(),
		r.Signed, r.Leaf[:], r.Time).QueryRow(func(row pgx.Row) error { return row.Scan(&r.Event) })
}

// receiptRow is the part of a record that its receipt is made of.
type receiptRow struct {
	ID      uuid.UUID
	Request uuid.UUID
	Person  uuid.UUID
	Key     []byte
	KeyID   []byte
	Signed  []byte
	Leaf    []byte
	Event   int64
	Time    time.Time
}

const receiptColumns = `id, request, person, spki_sha256, key_id, receipt, leaf_hash, event, deposited_at`

func (w receiptRow) receipt() *Receipt {
	return &Receipt{ID: w.ID, Request: w.Request, Person: w.Person, Key: [32]byte(w.Key), KeyID: record.Hash(w.KeyID),
		Signed: w.Signed, Leaf: [32]byte(w.Leaf), Event: w.Event, Time: w.Time}
}

func selectReceipt(ctx context.Context, tx pgx.Tx, where string, args ...any) (*Receipt, error) {
	rows, err := tx.Query(ctx, `select `+receiptColumns+` from archive.record where `+where, args...)
	if err != nil {
		return nil, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[receiptRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownReceipt
	}
	if err != nil {
		return nil, err
	}
	return row.receipt(), nil
}

func selectReceipts(ctx context.Context, tx pgx.Tx, person, after uuid.UUID, limit int) ([]*Receipt, error) {
	rows, err := tx.Query(ctx, `select `+receiptColumns+` from archive.record
		where person = $1 and id > $2 order by id limit $3`, person, after, limit)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[receiptRow])
	out := make([]*Receipt, len(found))
	for i, f := range found {
		out[i] = f.receipt()
	}
	return out, err
}

func selectRoster(ctx context.Context, tx pgx.Tx, hash record.Hash) (file []byte, err error) {
	err = tx.QueryRow(ctx, `select file from archive.roster where hash = $1`, hash[:]).Scan(&file)
	return file, err
}

func insertRoster(ctx context.Context, tx pgx.Tx, r *record.Roster, at time.Time) (added bool, err error) {
	hash, keyID := r.Hash(), r.KeyID()
	tag, err := tx.Exec(ctx, `insert into archive.roster (hash, key_id, epoch, file, added_at) values ($1, $2, $3, $4, $5)
		on conflict (hash) do nothing`, hash[:], keyID[:], int64(r.Epoch()), r.Bytes(), at)
	return tag.RowsAffected() == 1, err
}

func selectWrappingUse(ctx context.Context, tx pgx.Tx) ([]WrappingUse, error) {
	rows, err := tx.Query(ctx, `select wrapping_id, count(*), min(deposited_at), max(deposited_at) from archive.record
		group by wrapping_id order by min(deposited_at), wrapping_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u WrappingUse, err error) {
		var id []byte
		if err := row.Scan(&id, &u.Records, &u.First, &u.Last); err != nil {
			return u, err
		}
		u.Key, err = hashColumn(id)
		return u, err
	})
}

// selectWrappingIDs goes from one id to the next by the index, and so never reads the records.
func selectWrappingIDs(ctx context.Context, tx pgx.Tx) ([]record.Hash, error) {
	rows, err := tx.Query(ctx, `with recursive used (id) as (
			(select wrapping_id from archive.record order by 1 limit 1)
			union all
			select (select wrapping_id from archive.record where wrapping_id > used.id order by 1 limit 1) from used where used.id is not null)
		select id from used where id is not null`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (record.Hash, error) {
		var id []byte
		if err := row.Scan(&id); err != nil {
			return record.Hash{}, err
		}
		return hashColumn(id)
	})
}

// hashColumn refuses what the server did not write: the database is not believed.
func hashColumn(id []byte) (record.Hash, error) {
	if len(id) != len(record.Hash{}) {
		return record.Hash{}, fmt.Errorf("a record's wrapping_id or key_id has %d bytes", len(id))
	}
	return record.Hash(id), nil
}
