package crl

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "crl"

// patience has the database wait for a transaction that is silent for longer than others may be: while the first list of a large
// issuer is encoded, nothing is asked.
func patience(ctx context.Context, tx pgx.Tx, d time.Duration) error {
	_, err := tx.Exec(ctx, `select set_config('idle_in_transaction_session_timeout', $1, true)`, strconv.FormatInt(d.Milliseconds(), 10))
	return err
}

// issuerRow is an issuer's row.
type issuerRow struct {
	number     int64     // of its newest list of any kind
	thisUpdate time.Time // of that list
}

// lockIssuer holds the issuer's row until the transaction ends, and makes it at the first time.
func lockIssuer(ctx context.Context, tx pgx.Tx, issuer string) (r issuerRow, err error) {
	_, err = tx.Exec(ctx, `insert into crl.issuer (id, number, this_update) values ($1, 0, '-infinity') on conflict (id) do nothing`, issuer)
	if err != nil {
		return r, err
	}
	err = tx.QueryRow(ctx, `select number, case when number = 0 then to_timestamp(0) else this_update end
		from crl.issuer where id = $1 for update`, issuer).Scan(&r.number, &r.thisUpdate)
	return r, err
}

func updateIssuer(b *pgx.Batch, issuer string, r issuerRow) {
	b.Queue(`update crl.issuer set number = $2, this_update = $3 where id = $1`, issuer, r.number, r.thisUpdate)
}

// row is a list without its content.
type row struct {
	Kind
	Number, Base           int64
	ThisUpdate, NextUpdate time.Time
	Changes                int64
	Entries                int
	Size                   int64
	SHA256                 []byte
}

const columns = `partition, delta, number, coalesce(base, 0), this_update, next_update, changes, entries, size, sha256`

func (r *row) scan() []any {
	return []any{&r.Partition, &r.Delta, &r.Number, &r.Base, &r.ThisUpdate, &r.NextUpdate, &r.Changes, &r.Entries, &r.Size, &r.SHA256}
}

// selectNewest returns the newest list of each kind.
func selectNewest(ctx context.Context, tx pgx.Tx, issuer string) (map[Kind]row, error) {
	rows, err := tx.Query(ctx, `select distinct on (partition, delta) `+columns+` from crl.list
		where issuer = $1 order by partition, delta, number desc`, issuer)
	if err != nil {
		return nil, err
	}
	out := map[Kind]row{}
	var r row
	_, err = pgx.ForEachRow(rows, r.scan(), func() error {
		out[r.Kind] = r
		r.SHA256 = nil
		return nil
	})
	return out, err
}

// selectBases returns, of each partition, the oldest complete list that relying parties may still hold at a time. One from
// before there were deltas is none: it names no delta.
func selectBases(ctx context.Context, tx pgx.Tx, issuer string, now time.Time) (map[int]row, error) {
	rows, err := tx.Query(ctx, `select distinct on (partition) `+columns+` from crl.list
		where issuer = $1 and not delta and next_update > $2 and changes >= 0 order by partition, number`, issuer, now)
	if err != nil {
		return nil, err
	}
	out := map[int]row{}
	var r row
	_, err = pgx.ForEachRow(rows, r.scan(), func() error {
		out[r.Partition] = r
		r.SHA256 = nil
		return nil
	})
	return out, err
}

// selectRow returns the newest list of a kind, or ErrNoList.
func selectRow(ctx context.Context, tx pgx.Tx, issuer string, k Kind) (r row, err error) {
	err = tx.QueryRow(ctx, `select `+columns+` from crl.list where issuer = $1 and partition = $2 and delta = $3 order by number desc limit 1`,
		issuer, k.Partition, k.Delta).Scan(r.scan()...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoList
	}
	return r, err
}

// pieces are a list's content: its head, the ids of its segments, its tail.
type pieces struct {
	head, tail []byte
	segments   []int64
}

func selectPieces(ctx context.Context, tx pgx.Tx, issuer string, k Kind, number int64) (p pieces, err error) {
	err = tx.QueryRow(ctx, `select head, segments, tail from crl.list where issuer = $1 and partition = $2 and delta = $3 and number = $4`,
		issuer, k.Partition, k.Delta, number).Scan(&p.head, &p.segments, &p.tail)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoList
	}
	return p, err
}

// selectSegments returns segments by their ids.
func selectSegments(ctx context.Context, tx pgx.Tx, issuer string, ids []int64) (map[int64]*list.Segment, error) {
	out := make(map[int64]*list.Segment, len(ids))
	const most = 100 // segments of 50 kB in one answer
	for len(ids) > 0 {
		n := min(most, len(ids))
		rows, err := tx.Query(ctx, `select id, partition, der, until from crl.segment where issuer = $1 and id = any($2)`, issuer, ids[:n])
		if err != nil {
			return nil, err
		}
		var s list.Segment
		var until []byte
		_, err = pgx.ForEachRow(rows, []any{&s.ID, &s.Partition, &s.DER, &until}, func() error {
			one := s
			one.Until = make([]uint32, len(until)/4)
			for k := range one.Until {
				one.Until[k] = binary.BigEndian.Uint32(until[4*k:])
			}
			out[one.ID] = &one
			s, until = list.Segment{}, nil
			return one.Check()
		})
		if err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return out, nil
}

// insertSegments keeps those segments that are not kept yet, and tells them their ids.
func insertSegments(ctx context.Context, tx pgx.Tx, issuer string, segments []*list.Segment) error {
	const most = 100
	b := &pgx.Batch{}
	for n, s := range segments {
		if s.ID == 0 {
			until := make([]byte, 0, 4*len(s.Until))
			for _, u := range s.Until {
				until = binary.BigEndian.AppendUint32(until, u)
			}
			b.Queue(`insert into crl.segment (issuer, partition, der, until) values ($1, $2, $3, $4) returning id`,
				issuer, s.Partition, s.DER, until).QueryRow(func(r pgx.Row) error { return r.Scan(&s.ID) })
		}
		if b.Len() == most || n == len(segments)-1 && b.Len() > 0 {
			if err := tx.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			b = &pgx.Batch{}
		}
	}
	return nil
}

func insertList(b *pgx.Batch, issuer string, r row, p pieces) {
	var base *int64
	if r.Delta {
		base = &r.Base
	}
	b.Queue(`insert into crl.list (issuer, partition, delta, number, base, this_update, next_update, changes, entries, size, sha256, head, segments, tail)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, issuer, r.Partition, r.Delta, r.Number, base,
		r.ThisUpdate, r.NextUpdate, r.Changes, r.Entries, r.Size, r.SHA256, p.head, p.segments, p.tail)
}

// deleteOld lets go of lists that nobody asks for: of each kind, those before the newest keepLists. One that relying parties
// may still hold is a delta's base: its row stays until its end, without its content.
func deleteOld(ctx context.Context, tx pgx.Tx, issuer string, now time.Time) error {
	b := &pgx.Batch{}
	b.Queue(`with old as (select partition, delta, number, row_number() over (partition by partition, delta order by number desc) as age
			from crl.list where issuer = $1)
		delete from crl.list l using old o where l.issuer = $1 and (l.partition, l.delta, l.number) = (o.partition, o.delta, o.number)
			and o.age > $2 and (l.delta or l.next_update <= $3)`, issuer, keepLists, now)
	b.Queue(`with old as (select partition, delta, number, row_number() over (partition by partition, delta order by number desc) as age
			from crl.list where issuer = $1)
		update crl.list l set head = '', segments = '{}', tail = '' from old o
		where l.issuer = $1 and (l.partition, l.delta, l.number) = (o.partition, o.delta, o.number) and o.age > $2 and l.tail <> ''`, issuer, keepLists)
	b.Queue(`delete from crl.segment where issuer = $1 and id in
			(select id from crl.segment where issuer = $1 except select unnest(segments) from crl.list where issuer = $1)`, issuer)
	return tx.SendBatch(ctx, b).Close()
}

// upsertSeen records that a file was read back from a point, whole and right.
func upsertSeen(ctx context.Context, tx pgx.Tx, f *published, point string, s seen, at time.Time) error {
	number, next := s.columns()
	_, err := tx.Exec(ctx, `insert into crl.point (issuer, point, file, number, next_update, seen_at, looked_at, shown) values ($1, $2, $3, $4, $5, $6, $6, true)
		on conflict (issuer, point, file) do update set number = excluded.number, next_update = excluded.next_update,
			seen_at = excluded.seen_at, looked_at = excluded.looked_at, shown = true, failed_at = null, failure = null`, f.issuer.ID(), point, f.Name, number, next, at)
	return err
}

// upsertFailure records why a file is not at a point, and what was there instead if it was a list of the issuer.
func upsertFailure(ctx context.Context, tx pgx.Tx, f *published, point, failure string, s seen, at time.Time) error {
	number, next := s.columns()
	_, err := tx.Exec(ctx, `insert into crl.point as p (issuer, point, file, number, next_update, failed_at, failure, looked_at, shown) values ($1, $2, $3, $4, $5, $6, $7, $6, $8)
		on conflict (issuer, point, file) do update set looked_at = excluded.looked_at, shown = excluded.shown, failed_at = coalesce(p.failed_at, excluded.failed_at), failure = excluded.failure,
			number = case when excluded.number > 0 then excluded.number else p.number end,
			next_update = coalesce(excluded.next_update, p.next_update)`, f.issuer.ID(), point, f.Name, number, next, at, failure, s.shown)
	return err
}

func (s seen) columns() (number int64, next *time.Time) {
	if s.head == nil {
		return 0, nil
	}
	if s.head.Number != nil && s.head.Number.IsInt64() {
		number = s.head.Number.Int64()
	}
	if !s.head.NextUpdate.IsZero() {
		next = &s.head.NextUpdate
	}
	return number, next
}

func selectPoints(ctx context.Context, tx pgx.Tx) (out []Standing, err error) {
	rows, err := tx.Query(ctx, `select issuer, point, file, number, next_update, seen_at, looked_at, failed_at, coalesce(failure, ''), shown from crl.point`)
	if err != nil {
		return nil, err
	}
	var s Standing
	_, err = pgx.ForEachRow(rows, []any{&s.Issuer, &s.Point, &s.File, &s.Number, &s.NextUpdate, &s.SeenAt, &s.LookedAt, &s.FailedAt, &s.Failure, &s.shown}, func() error {
		out = append(out, s)
		s = Standing{}
		return nil
	})
	return out, err
}
