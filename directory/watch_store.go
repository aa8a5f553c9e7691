package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/fault"
)

// Watched is how the watching of the directory stands.
type Watched struct {
	At      *time.Time // when it was last looked, and everything told on; nil: never
	Lost    *time.Time // when changes may last have been missed; nil: never
	Failing *time.Time // since when it fails; nil: it does not
	Failure string     // why
	Pending int        // changes that are not told on yet
}

// Watched returns how the watching of the directory stands. Before the first look it is zero.
func (d *Directory) Watched(ctx context.Context) (w Watched, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select looked_at, lost_at, failing_since, coalesce(failure, ''),
			(select count(*) from directory.change where target = $1 and told_at is null) from directory.watch where target = $1`, d.Name)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Watched])
		for _, f := range found {
			w = f
		}
		return err
	})
	return w, err
}

// now returns the time as the database keeps it.
func (d *Directory) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }

// beginWatch makes sure that the directory has its row.
func (d *Directory) beginWatch(ctx context.Context) error {
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into directory.watch (target) values ($1) on conflict do nothing`, d.Name)
		return err
	})
}

// noteLook writes down how a look ended.
func (d *Directory) noteLook(ctx context.Context, failed error) error {
	set := `looked_at = $2, failing_since = null, failure = null where target = $1`
	args := []any{d.Name, d.now()}
	if failed != nil {
		set = `failing_since = coalesce(failing_since, $2), failure = $3 where target = $1`
		text := "An error that the server's log has."
		if f := fault.Of(failed); f != nil {
			text = f.Detail
		}
		args = append(args, text)
	}
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update directory.watch set `+set, args...)
		return err
	})
}

// watermark is how far a server was read.
type watermark struct {
	Mark  string
	Since time.Time
}

// watermark returns how far a server was read; "" if never.
func (d *Directory) watermark(ctx context.Context, p position) (w watermark, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select mark, since from directory.watermark where target = $1 and server = $2 and attribute = $3`, d.Name, p.server, p.rising.attribute)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[watermark])
		for _, f := range found {
			w = f
		}
		return err
	})
	return w, err
}

// began returns the mark with which the watching began: of this server, or of any where all have the same.
func (d *Directory) began(ctx context.Context, p position) (mark string, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select coalesce(min(began), '') from directory.watermark where target = $1 and attribute = $2 and (server = $3 or $4)`,
			d.Name, p.rising.attribute, p.server, p.rising.shared).Scan(&mark)
	})
	return mark, err
}

// highest returns the highest mark that any server was read to, where all have the same; "" for none.
func (d *Directory) highest(ctx context.Context, r rising) (mark string, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select coalesce(max(mark), '') from directory.watermark where target = $1 and attribute = $2 and $3`,
			d.Name, r.attribute, r.shared).Scan(&mark)
	})
	return mark, err
}

// setWatermark writes down how far a server was read, and forgets changes told on that are not found again from there. If
// changes may have been missed before, everybody must be looked at.
func (d *Directory) setWatermark(ctx context.Context, p position, mark, keepFrom string, lost bool) error {
	now := d.now()
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into directory.watermark (target, server, attribute, began, mark, since) values ($1, $2, $3, $4, $4, $5)
			on conflict (target, server, attribute) do update set mark = excluded.mark, since = excluded.since where watermark.mark <> excluded.mark`,
			d.Name, p.server, p.rising.attribute, mark, now)
		if err != nil {
			return err
		}
		if lost {
			if _, err := tx.Exec(ctx, `update directory.watch set lost_at = $2 where target = $1`, d.Name, now); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `delete from directory.change where target = $1 and told_at is not null and stamp < $2`, d.Name, keepFrom)
		return err
	})
}

// stamped is an entry that was found changed.
type stamped struct {
	Number int64
	Entry  string // the directory's own id
	Stamp  string // a mark
}

// settled is how long after a change was noticed no other change can have left the same value, where values are of one second.
const settled = 5 * time.Second

// noteChanges writes changed entries down. What was told on already is not told again; unless values are not unique and it was
// told on so soon that the entry may have changed again since.
func (d *Directory) noteChanges(ctx context.Context, r rising, list []stamped) error {
	if len(list) == 0 {
		return nil
	}
	entries, stamps := make([]string, len(list)), make([]string, len(list))
	for i, c := range list {
		entries[i], stamps[i] = c.Entry, c.Stamp
	}
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into directory.change (target, source_id, stamp, noticed_at)
			select $1, e, max(s), $4 from unnest($2::text[], $3::text[]) as u (e, s) group by e order by max(s)
			on conflict (target, source_id) do update set number = default, stamp = excluded.stamp, told_at = null,
				noticed_at = case when change.stamp = excluded.stamp then change.noticed_at else excluded.noticed_at end
			where change.stamp <> excluded.stamp or not $5 and change.told_at < change.noticed_at + $6::interval`, d.Name, entries, stamps, d.now(), r.unique, settled)
		return err
	})
}

// noteTold writes changed entries down as told on, except what is still to be told.
func (d *Directory) noteTold(ctx context.Context, list []stamped) error {
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		for _, c := range list {
			b.Queue(`insert into directory.change (target, source_id, stamp, noticed_at, told_at) values ($1, $2, $3, $4, $4)
				on conflict do nothing`, d.Name, c.Entry, c.Stamp, d.now())
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// pending returns changes that are not told on yet, in the order in which they were noticed.
func (d *Directory) pending(ctx context.Context, limit int) (list []stamped, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select number, source_id, stamp from directory.change where target = $1 and told_at is null order by number limit $2`, d.Name, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[stamped])
		return err
	})
	return list, err
}

// told marks changes as told on, as far as the entries were not found changed again.
func (d *Directory) told(ctx context.Context, list []stamped, readAt time.Time) error {
	numbers := make([]int64, len(list))
	for i, c := range list {
		numbers[i] = c.Number
	}
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update directory.change set told_at = $3 where target = $1 and number = any($2) and told_at is null`, d.Name, numbers, readAt)
		return err
	})
}
