package jobs

import (
	"context"
	"time"
)

const (
	// longestWait is more than any job waits, between attempts or before its first.
	longestWait = time.Hour
	recallEvery = 5 * time.Minute
	dueEvery    = time.Second
)

// beginDue begins, each second until ctx ends, those jobs whose time has come. River's own look is every five seconds, on one
// server of all: too rarely for a list that is to follow a revocation within as many.
func (q *Queue) beginDue(ctx context.Context) {
	tick := time.NewTicker(dueEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := q.release(ctx); err != nil && ctx.Err() == nil {
			q.config.Logger.Warn("jobs whose time has come wait longer", "error", err)
		}
	}
}

func (q *Queue) release(ctx context.Context) error {
	_, err := q.db.Pool().Exec(ctx, `update `+Schema+`.river_job set state = 'available' where state = 'scheduled' and scheduled_at <= now()`)
	return err
}

// recallLost begins, every few minutes until ctx ends, those jobs that are to wait longer than any job does. They were told so by a
// server whose clock was ahead, by a day, say: without this a point would go without the newest list until then. River's tables
// live by the database's clock.
func (q *Queue) recallLost(ctx context.Context) {
	tick := time.NewTicker(recallEvery) // counts time as it passes, whatever the clock says
	defer tick.Stop()
	for {
		_, err := q.db.Pool().Exec(ctx, `update `+Schema+`.river_job set scheduled_at = now()
			where state in ('available', 'scheduled', 'retryable') and scheduled_at > now() + $1::interval`, longestWait)
		if err != nil && ctx.Err() == nil {
			q.config.Logger.Warn("jobs that wait too long are not recalled", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
