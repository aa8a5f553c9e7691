package notice

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Told returns when those whose keys cases ask for were first told of it by mail; nothing of cases of which they were not. It
// is for components of the server, which decide who may know.
func (t *Teller) Told(ctx context.Context, cases []uuid.UUID) (map[uuid.UUID]time.Time, error) {
	out := map[uuid.UUID]time.Time{}
	err := t.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select case_id, min(done_at) from notice.mail
			where case_id = any($1) and part in ('owner', 'subject') and outcome = 'sent' group by case_id`, cases)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
			out[id] = at
			return nil
		})
		return err
	})
	return out, err
}
