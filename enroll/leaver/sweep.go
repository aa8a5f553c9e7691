package leaver

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

const (
	// pageSize is how many people the directory is asked about at once.
	pageSize = directory.MaxStandings
	// pagePause is what the directory is left alone between pages: it has others to serve.
	pagePause = 100 * time.Millisecond

	sweepTimeout = 2 * time.Minute // of one job; the next goes on
	lookEvery    = time.Minute     // whether a sweep is due, or was interrupted
)

// Register makes the queue sweep as often as the policy says, and watch the directory as often as its configuration does, each
// in one process of all.
func (d *Desk) Register(q *jobs.Queue) {
	jobs.Handle(q, sweepTimeout, func(ctx context.Context, _ jobs.SweepLeavers) error {
		err := d.Sweep(ctx, false)
		if errors.Is(err, context.DeadlineExceeded) { // the next run goes on
			return nil
		}
		return err
	})
	q.Every(lookEvery, jobs.SweepLeavers{})
	jobs.Handle(q, sweepTimeout, func(ctx context.Context, _ jobs.WatchDirectory) error {
		err := d.Directory.Watch(ctx, d.Heard)
		if errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded) { // the next run goes on
			d.Log.Warn("the directory is not watched", "error", err)
			return nil
		}
		return err
	})
	q.Every(d.Directory.Config.Watch, jobs.WatchDirectory{})
}

// Sweep asks the directory about everybody with a valid certificate, page by page, if that is due or was interrupted, or
// at once; then it settles those whose grace is over. Each page is kept when it is done, by whoever did it: after an
// error or a crash the next Sweep goes on from there, and two at once share the work. When the directory does not answer
// it ends, and nobody is worse off.
func (d *Desk) Sweep(ctx context.Context, atOnce bool) error {
	unfinished := d.leaveAll(ctx)
	if errors.Is(unfinished, fault.Unavailable) || ctx.Err() != nil {
		return unfinished
	}
	p, err := d.begin(ctx, atOnce)
	if err != nil || p.Done {
		return errors.Join(unfinished, err)
	}
	for number := p.Number; !p.Done && p.Number == number; {
		people, err := d.Authority.People(ctx, p.Cursor, pageSize)
		if err != nil {
			return err
		}
		if len(people) == 0 {
			return d.end(ctx, p)
		}
		if p, err = d.page(ctx, p, people); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pagePause):
		}
	}
	return nil
}

// begin returns the pass that is under way, begun anew if one is due: when the policy's time has come, or when the directory may
// have changed since without telling.
func (d *Desk) begin(ctx context.Context, atOnce bool) (p pass, err error) {
	w, err := d.Directory.Watched(ctx)
	if err != nil {
		return p, err
	}
	now := d.now()
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		p, err = lockPass(ctx, tx)
		since := now.Sub(p.BegunAt)
		atOnce = atOnce || w.Lost != nil && w.Lost.After(p.BegunAt)
		if err != nil || !p.Done || !atOnce && 0 <= since && since < d.Policy.Every {
			return err
		}
		p = pass{Number: p.Number + 1, BegunAt: now, Total: p.Total}
		return updatePass(ctx, tx, p)
	})
	return p, err
}

// page looks at some people and returns the pass as it is then. If another has looked at them meanwhile, that counts.
func (d *Desk) page(ctx context.Context, p pass, people []uuid.UUID) (pass, error) {
	list, err := d.ask(ctx, people)
	if err != nil {
		return p, err
	}
	fresh, err := d.fresh(ctx, list)
	if err != nil {
		return p, err
	}
	now := d.now()
	seen := now
	if seen.Before(p.BegunAt) { // another server's clock is ahead
		seen = p.BegunAt
	}
	var gone []uuid.UUID
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		is, err := lockPass(ctx, tx)
		if err != nil {
			return err
		}
		if is.Done || is.Number != p.Number || is.Cursor != p.Cursor {
			p = is
			return nil
		}
		p = is
		p.Cursor, p.People = people[len(people)-1], p.People+len(people)
		if err := d.note(ctx, tx, now, seen, list, fresh); err != nil {
			return err
		}
		if gone, err = left(ctx, tx, people); err != nil {
			return err
		}
		return updatePass(ctx, tx, p)
	})
	if err != nil {
		return p, err
	}
	d.After("leaver.page")
	return p, d.again(ctx, gone)
}

// end settles who is due, after everybody has been looked at, and ends the pass.
func (d *Desk) end(ctx context.Context, p pass) error {
	err := d.inPass(ctx, p, func(_ pgx.Tx, p *pass) error { p.Total = p.People; return nil })
	if err != nil {
		return err
	}
	for {
		var due []*Leaver
		err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			due, err = selectDue(ctx, tx, d.now().Add(-d.Policy.Grace), p.BegunAt, pageSize)
			return err
		})
		if err != nil {
			return err
		}
		if len(due) == 0 {
			break
		}
		if err := d.settle(ctx, due); err != nil {
			return err
		}
		d.After("leaver.settled")
	}
	unfinished := d.leaveAll(ctx) // whoever is among these is tried again, whether or not a pass is under way
	err = d.inPass(ctx, p, func(tx pgx.Tx, p *pass) error {
		p.Done = true
		return deleteUnseen(ctx, tx, p.BegunAt, d.now().Add(-revokedLately))
	})
	return errors.Join(unfinished, err)
}

// inPass changes a pass, unless another has ended it.
func (d *Desk) inPass(ctx context.Context, p pass, change func(pgx.Tx, *pass) error) error {
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		is, err := lockPass(ctx, tx)
		if err != nil || is.Done || is.Number != p.Number {
			return err
		}
		if err := change(tx, &is); err != nil {
			return err
		}
		return updatePass(ctx, tx, is)
	})
}
