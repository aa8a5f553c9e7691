package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

// Backlog is what of one kind of job waits to be done.
type Backlog struct {
	Kind    string
	Waiting int       // due and not done
	Failing int       // of these, tried in vain
	Oldest  time.Time // since when the one has waited that waits longest
}

// maxBacklog is how many waiting jobs are counted at most.
const maxBacklog = 10_000

// Backlogs returns what waits, by kind. It reads those that wait alone, and no more than ten thousand of them.
func (q *Queue) Backlogs(ctx context.Context, now time.Time) (out []Backlog, err error) {
	err = q.db.InTx(ctx, pg.IdleRole, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select kind, count(*), count(*) filter (where attempt > 0), min(created_at) from (
				select kind, attempt, created_at from `+Schema+`.river_job where state in ('available', 'retryable') and (scheduled_at <= $1 or attempt > 0) limit $2) w
			group by kind order by kind`, now, maxBacklog)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Backlog])
		return err
	})
	return out, err
}
