package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Archived returns when the server last brought a piece of its log away (archive_command or archive_library), and when it last
// failed to, as it says itself; zero: never since it counts.
func (db *DB) Archived(ctx context.Context) (last, failed time.Time, err error) {
	var l, f *time.Time
	err = db.InTx(ctx, IdleRole, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select last_archived_time, last_failed_time from pg_stat_archiver`).Scan(&l, &f)
	})
	if l != nil {
		last = *l
	}
	if f != nil {
		failed = *f
	}
	return last, failed, err
}
