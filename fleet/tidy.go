package fleet

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
)

const (
	tidyEvery   = 12 * time.Hour
	tidyTimeout = 5 * time.Minute
	tidyRows    = 1000 // in a transaction
)

// Register has the fleet's job done.
func (f *Fleet) Register(q *jobs.Queue) {
	jobs.Handle(q, tidyTimeout, func(ctx context.Context, _ jobs.TidyFleet) error { return f.Tidy(ctx) })
	q.Every(tidyEvery, jobs.TidyFleet{})
}

// Tidy forgets machines that have been silent for too long, and those of people who left.
func (f *Fleet) Tidy(ctx context.Context) error {
	var gone int64
	for {
		var n int64
		err := f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			n, err = deleteSilent(ctx, tx, f.now().Add(-f.Policy.Forget), tidyRows)
			return err
		})
		if gone += n; err != nil {
			return err
		}
		if n < tidyRows {
			break
		}
	}
	n, err := f.forgetLeavers(ctx)
	if gone += n; gone > 0 {
		f.Log.InfoContext(ctx, "machines forgotten", "machines", gone)
	}
	return err
}

// forgetLeavers goes through the people who have machines, a part at a time.
func (f *Fleet) forgetLeavers(ctx context.Context) (gone int64, err error) {
	if f.Left == nil {
		return 0, nil
	}
	for after := uuid.Nil; ; {
		var people []uuid.UUID
		err := f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			people, err = selectPeople(ctx, tx, after, tidyRows)
			return err
		})
		if err != nil || len(people) == 0 {
			return gone, err
		}
		after = people[len(people)-1]
		left, err := f.Left(ctx, people)
		if err != nil {
			return gone, err
		}
		var those []uuid.UUID
		for person, yes := range left {
			if yes {
				those = append(those, person)
			}
		}
		if len(those) == 0 {
			continue
		}
		err = f.DB.InTx(ctx, role, func(tx pgx.Tx) error {
			n, err := deleteOf(ctx, tx, those)
			gone += n
			return err
		})
		if err != nil {
			return gone, err
		}
	}
}
