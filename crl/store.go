package crl

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "crl"

// lastList is an issuer's row.
type lastList struct {
	number     int64
	changes    int64
	thisUpdate time.Time
}

// lockIssuer holds the issuer's row until the transaction ends, and makes it at the first time.
func lockIssuer(ctx context.Context, tx pgx.Tx, issuer string) (l lastList, err error) {
	_, err = tx.Exec(ctx, `insert into crl.issuer (id, number, changes, this_update, next_update)
		values ($1, 0, 0, '-infinity', '-infinity') on conflict (id) do nothing`, issuer)
	if err != nil {
		return l, err
	}
	err = tx.QueryRow(ctx, `select number, changes, case when number = 0 then to_timestamp(0) else this_update end
		from crl.issuer where id = $1 for update`, issuer).Scan(&l.number, &l.changes, &l.thisUpdate)
	return l, err
}

func insertList(ctx context.Context, tx pgx.Tx, l *List, changes int64) error {
	b := &pgx.Batch{}
	b.Queue(`insert into crl.list (issuer, number, this_update, next_update, der) values ($1, $2, $3, $4, $5)`,
		l.Issuer, l.Number, l.ThisUpdate, l.NextUpdate, l.DER)
	b.Queue(`update crl.issuer set number = $2, changes = $3, this_update = $4, next_update = $5 where id = $1`,
		l.Issuer, l.Number, changes, l.ThisUpdate, l.NextUpdate)
	b.Queue(`delete from crl.list where issuer = $1 and number <= $2`, l.Issuer, l.Number-keepLists)
	return tx.SendBatch(ctx, b).Close()
}

func selectNewest(ctx context.Context, tx pgx.Tx, issuer string) (*List, error) {
	rows, err := tx.Query(ctx, `select issuer, number, this_update, next_update, der from crl.list
		where issuer = $1 order by number desc limit 1`, issuer)
	if err != nil {
		return nil, err
	}
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[List])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNoList
	}
	return l, err
}

func selectNumber(ctx context.Context, tx pgx.Tx, issuer string) (n int64, err error) {
	err = tx.QueryRow(ctx, `select number from crl.issuer where id = $1`, issuer).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && n == 0 {
		return 0, ErrNoList
	}
	return n, err
}

// upsertSeen records that a list was read back from a point. An older one never hides a newer.
func upsertSeen(ctx context.Context, tx pgx.Tx, issuer, point string, number int64, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into crl.point as p (issuer, point, number, seen_at) values ($1, $2, $3, $4)
		on conflict (issuer, point) do update set number = excluded.number, seen_at = excluded.seen_at, failed_at = null, failure = null
		where p.number <= excluded.number`, issuer, point, number, at)
	return err
}

func upsertFailure(ctx context.Context, tx pgx.Tx, issuer, point, failure string, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into crl.point (issuer, point, number, failed_at, failure) values ($1, $2, 0, $4, $3)
		on conflict (issuer, point) do update set failed_at = excluded.failed_at, failure = excluded.failure`, issuer, point, failure, at)
	return err
}

// PointStatus is what is known of a distribution point.
type PointStatus struct {
	Issuer   string
	Point    string
	Number   int64      // of the list last read back; 0: none
	SeenAt   *time.Time // when
	FailedAt *time.Time // when a delivery failed since
	Failure  string     // how
}

// Status returns what is known of every distribution point that a delivery was tried to.
func (p *Publisher) Status(ctx context.Context) ([]PointStatus, error) {
	var out []PointStatus
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select issuer, point, number, seen_at, failed_at, coalesce(failure, '') from crl.point order by issuer, point`)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[PointStatus])
		return err
	})
	return out, err
}
