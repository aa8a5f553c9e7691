package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Batch runs statements in a transaction with the rights of role alone, in one round trip: begin, role, statements and
// commit go out together. It is for transactions that decide nothing between their statements; InTx is for the rest.
// When it returns nil the transaction was committed, and its answer has come. When a statement fails, nothing was changed.
// Errors are those of InTx.
//
// The functions that take the statements' results run before the commit is known, and cannot prevent it: what must hold
// is put into the batch with Require. Texts of statements are constant, because every connection keeps them prepared.
func (db *DB) Batch(ctx context.Context, role Role, b *pgx.Batch) error {
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		return wrap(err)
	}
	defer c.Release() // a connection that is left within a transaction is closed by it
	return wrap(db.batch(ctx, c.Conn(), role, b))
}

func (db *DB) batch(ctx context.Context, c *pgx.Conn, role Role, b *pgx.Batch) error {
	if err := db.prepare(ctx, c, role, b); err != nil {
		return err
	}
	whole, committed := &pgx.Batch{}, false
	whole.Queue("begin")
	whole.Queue(db.setRole(role))
	whole.QueuedQueries = append(whole.QueuedQueries, b.QueuedQueries...)
	whole.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	err := c.SendBatch(ctx, whole).Close()
	if err == nil && !committed {
		err = errors.New("a transaction was not committed, and nothing said why")
	}
	if c.PgConn().IsClosed() || c.PgConn().TxStatus() == 'I' {
		return err
	}
	_, undone := c.Exec(ctx, "rollback") // what failed is undone in any case; this keeps the connection
	if undone != nil {
		return errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return err
}

// preparedKey is where a connection's data has the set of statements that are prepared on it.
const preparedKey = "sealpost prepared"

// prepare makes the statements known to the connection, once for each connection. It is done with the rights of the
// role, since the session's own role may not even use the rooms' schemas, and names are looked up when a statement is
// prepared; rights on tables are checked whenever it is run.
func (db *DB) prepare(ctx context.Context, c *pgx.Conn, role Role, b *pgx.Batch) error {
	known, _ := c.PgConn().CustomData()[preparedKey].(map[string]bool)
	if known == nil {
		known = map[string]bool{}
		c.PgConn().CustomData()[preparedKey] = known
	}
	missing := map[string]bool{}
	for _, q := range b.QueuedQueries {
		if !known[q.SQL] {
			missing[q.SQL] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return pgx.BeginTxFunc(ctx, c, db.txOptions("begin", role), func(tx pgx.Tx) error {
		for sql := range missing {
			if _, err := tx.Prepare(ctx, sql, sql); err != nil { // by this name SendBatch finds it
				return fmt.Errorf("prepare %q: %w", sql, err)
			}
			known[sql] = true
		}
		return nil
	})
}

// Require puts a condition into a batch: a query of one row, whose first column is require.that(condition). Where the
// condition is not true the transaction ends there, and the batch returns refusal.
func Require(b *pgx.Batch, refusal error, query string, args ...any) *Required {
	r := &Required{}
	b.Queue(query, args...).Fn = func(results pgx.BatchResults) error {
		err := results.QueryRow().Scan(append([]any{nil}, r.into...)...)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == requireFailed {
			return refusal
		}
		return err
	}
	return r
}

// Required is a condition in a batch.
type Required struct{ into []any }

// Into says where the row's further columns go.
func (r *Required) Into(dest ...any) { r.into = dest }

// requireFailed is the SQLSTATE of require.that, of a class that PostgreSQL leaves to others.
const requireFailed = "SP001"
