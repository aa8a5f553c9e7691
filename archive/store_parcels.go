package archive

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
)

func selectParcels(ctx context.Context, tx pgx.Tx, person uuid.UUID, now time.Time) ([]*Parcel, error) {
	rows, err := tx.Query(ctx, `select name, length(content), sha256, kept_at, ends_at, null::bytea from archive.parcel
		where person = $1 and (ends_at is null or ends_at > $2) order by name`, person, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanParcel)
}

func selectParcel(ctx context.Context, tx pgx.Tx, person uuid.UUID, name string, now time.Time) (*Parcel, error) {
	rows, err := tx.Query(ctx, `select name, length(content), sha256, kept_at, ends_at, content from archive.parcel
		where person = $1 and name = $2 and (ends_at is null or ends_at > $3)`, person, name, now)
	if err != nil {
		return nil, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanParcel)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownParcel
	}
	return p, err
}

func scanParcel(row pgx.CollectableRow) (*Parcel, error) {
	p := &Parcel{}
	var hash []byte
	var ends *time.Time
	if err := row.Scan(&p.Name, &p.Size, &hash, &p.KeptAt, &ends, &p.Content); err != nil {
		return nil, err
	}
	if ends != nil {
		p.EndsAt = *ends
	}
	p.Hash = record.Hash(hash)
	return p, nil
}

func upsertParcel(ctx context.Context, tx pgx.Tx, person uuid.UUID, p *Parcel) error {
	_, err := tx.Exec(ctx, `insert into archive.parcel (person, name, content, kept_at, ends_at) values ($1, $2, $3, $4, $5)
		on conflict (person, name) do update set content = excluded.content, kept_at = excluded.kept_at, ends_at = excluded.ends_at`,
		person, p.Name, p.Content, p.KeptAt, orNull(p.EndsAt))
	return err
}

func deleteParcel(ctx context.Context, tx pgx.Tx, person uuid.UUID, name string) error {
	_, err := tx.Exec(ctx, `delete from archive.parcel where person = $1 and name = $2`, person, name)
	return err
}

// deleteEndedParcels removes whoever's time is over, a few at a time, and reports whether there may be more.
func deleteEndedParcels(ctx context.Context, tx pgx.Tx, now time.Time) (more bool, err error) {
	const some = 100
	tag, err := tx.Exec(ctx, `delete from archive.parcel where ctid in
		(select ctid from archive.parcel where ends_at <= $1 limit $2 for update skip locked)`, now, some)
	return tag.RowsAffected() == some, err
}
