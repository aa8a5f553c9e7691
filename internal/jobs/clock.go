package jobs

import (
	"context"
	"time"
)

const (
	// longestWait is more than any job waits, between attempts or before its first.
	longestWait = time.Hour
	recallEvery = 5 * time.Minute
)

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
