package gal

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

// role is the room's database role.
const role pg.Role = "gal"

// lockSweep returns a directory's sweep, and holds it.
func lockSweep(ctx context.Context, tx pgx.Tx, target string) (Status, error) {
	if _, err := tx.Exec(ctx, `insert into gal.sweep (target, number, begun_at, ended_at, phase, cursor, entries, repaired, repair, beyond, people, changed,
			foreign_values, stopped, failure)
		values ($1, 0, to_timestamp(0), to_timestamp(0), 'done', $2, 0, 0, false, false, 0, 0, 0, '', '') on conflict do nothing`, target, uuid.Nil); err != nil {
		return Status{}, err
	}
	return selectSweep(ctx, tx, target, " for update")
}

func selectSweep(ctx context.Context, tx pgx.Tx, target, lock string) (s Status, err error) {
	s.Target = target
	err = tx.QueryRow(ctx, `select number, begun_at, ended_at, phase, cursor, entries, repaired, repair, beyond, people, changed, foreign_values, stopped, failure
		from gal.sweep where target = $1`+lock, target).
		Scan(&s.Number, &s.Begun, &s.Ended, &s.Phase, &s.cursor, &s.Entries, &s.repaired, &s.Repair, &s.Beyond, &s.People, &s.Changed, &s.Foreign, &s.Stopped, &s.Failure)
	s.Begun = s.Begun.UTC()
	return s, err
}

func updateSweep(ctx context.Context, tx pgx.Tx, s Status) error {
	_, err := tx.Exec(ctx, `update gal.sweep set number = $2, begun_at = $3, ended_at = $4, phase = $5, cursor = $6, entries = $7, repaired = $8, repair = $9,
			beyond = $10, people = $11, changed = $12, foreign_values = $13, stopped = $14, failure = $15 where target = $1`,
		s.Target, s.Number, s.Begun, s.Ended, s.Phase, s.cursor, s.Entries, s.repaired, s.Repair, s.Beyond, s.People, s.Changed, s.Foreign, s.Stopped, s.Failure)
	return err
}

func updateFailure(ctx context.Context, tx pgx.Tx, s Status, failure string) error {
	_, err := tx.Exec(ctx, `update gal.sweep set failure = $3 where target = $1 and number = $2 and ended_at is null`, s.Target, s.Number, failure)
	return err
}

// writeFindings writes what a page found, and takes off the list who is as they should be.
func writeFindings(ctx context.Context, tx pgx.Tx, s Status, now time.Time, findings []Finding, clean []string) error {
	b := &pgx.Batch{}
	for _, f := range findings {
		var person *uuid.UUID
		if f.Person != uuid.Nil {
			person = &f.Person
		}
		b.Queue(`insert into gal.drift (target, entry, person, dn, kinds, missing, stale, foreign_values, undecodable, held, failure, sweep, seen_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			on conflict (target, entry) do update set person = $3, dn = $4, kinds = $5, missing = $6, stale = $7, foreign_values = $8, undecodable = $9,
				held = $10, failure = $11, sweep = $12, seen_at = $13`,
			s.Target, f.entry, person, f.DN, f.Kinds, f.Missing, f.Stale, f.Foreign, f.Undecodable, f.Held, f.Failure, s.Number, now)
	}
	if len(clean) > 0 {
		b.Queue(`delete from gal.drift where target = $1 and entry = any($2)`, s.Target, clean)
	}
	return tx.SendBatch(ctx, b).Close()
}

// deleteUnseen takes those off the list whom a whole sweep did not come by.
func deleteUnseen(ctx context.Context, tx pgx.Tx, s Status) error {
	_, err := tx.Exec(ctx, `delete from gal.drift where target = $1 and sweep < $2`, s.Target, s.Number)
	return err
}

const findingColumns = `number, coalesce(person, '00000000-0000-0000-0000-000000000000'), dn, kinds, missing, stale, foreign_values, undecodable, held, failure, seen_at, entry`

func collectFindings(rows pgx.Rows, err error) ([]Finding, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Finding, err error) {
		err = row.Scan(&f.Number, &f.Person, &f.DN, &f.Kinds, &f.Missing, &f.Stale, &f.Foreign, &f.Undecodable, &f.Held, &f.Failure, &f.Seen, &f.entry)
		f.Seen = f.Seen.UTC()
		return f, err
	})
}

func selectFindings(ctx context.Context, tx pgx.Tx, target string, kind Kind, after int64, limit int) ([]Finding, error) {
	return collectFindings(tx.Query(ctx, `select `+findingColumns+` from gal.drift
		where target = $1 and number > $2 and ($3 = '' or $3 = any(kinds)) order by number limit $4`, target, after, string(kind), limit))
}

// selectRepairable returns entries with something to put in or take out.
func selectRepairable(ctx context.Context, tx pgx.Tx, target string, after int64, limit int) ([]Finding, error) {
	return collectFindings(tx.Query(ctx, `select `+findingColumns+` from gal.drift
		where target = $1 and number > $2 and kinds && array['missing', 'stale'] order by number limit $3`, target, after, limit))
}

func countKind(ctx context.Context, tx pgx.Tx, target string, kind Kind) (n int, err error) {
	err = tx.QueryRow(ctx, `select count(*) from gal.drift where target = $1 and $2 = any(kinds)`, target, string(kind)).Scan(&n)
	return n, err
}

func countKinds(ctx context.Context, tx pgx.Tx, target string) (map[Kind]int, error) {
	rows, err := tx.Query(ctx, `select kind, count(*) from gal.drift, unnest(kinds) as kind where target = $1 group by kind`, target)
	if err != nil {
		return nil, err
	}
	out := map[Kind]int{}
	var kind Kind
	var n int
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error { out[kind] = n; return nil })
	return out, err
}
