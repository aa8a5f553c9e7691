// Package pg is the way to PostgreSQL: one pool, transactions that run as one room's role, advisory locks, and the
// schema's migration.
//
// Every room has its own schema and a NOLOGIN role that may touch only that. The server logs in as one role that owns
// nothing and inherits nothing (NOINHERIT); InTx and Batch begin each transaction with SET LOCAL ROLE, so that a room's code
// cannot read another room's tables even by mistake. It owns no table and knows no room: the SQL of a room lies in that
// room's store.go, the schema in package migrations.
package pg

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that this package returns.
var (
	ErrUnavailable = fault.New(fault.Unavailable, "database-unavailable",
		"The database does not answer. Nothing was changed; try again in a moment.")
	ErrSchema = fault.New(fault.Unavailable, "database-schema",
		"The database's schema does not fit this version. Run: sealpost migrate")
)

// Role is the name of a room's role, without the prefix that tells installations in one cluster apart.
type Role string

// DefaultRolePrefix begins the name of every role that Sealpost creates, unless configured otherwise.
const DefaultRolePrefix = "sealpost_"

// The login role (prefix + LoginRole) and the role that its sessions have outside InTx: the job queue's.
const (
	LoginRole Role = "server"
	IdleRole  Role = "jobs"
)

// Config says which database, and how much of it to use.
type Config struct {
	URL        string       // connection URL or keyword string; the user is the login role
	MaxConns   int32        // size of the pool; 0 means 16
	RolePrefix string       // "" means DefaultRolePrefix
	Log        *slog.Logger // nil discards
}

// DB is a pool of connections. It is safe for concurrent use.
type DB struct {
	pool   *pgxpool.Pool
	prefix string
	log    *slog.Logger
	holder holder
}

// Open connects and checks that the schema is the one this program was built for. It returns ErrUnavailable when the
// database does not answer and ErrSchema when it was never migrated, or by another version.
func Open(ctx context.Context, c Config) (*DB, error) {
	pc, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		// The error of the parser quotes the URL, which may hold a password.
		return nil, ErrUnavailable.Withf("The database URL cannot be read.")
	}
	prefix, err := checkedPrefix(c.RolePrefix)
	if err != nil {
		return nil, err
	}
	pc.MaxConns = c.MaxConns
	if pc.MaxConns == 0 {
		pc.MaxConns = 16
	}
	pc.MinConns = min(4, pc.MaxConns)
	pc.MaxConnIdleTime = 10 * time.Minute
	pc.ConnConfig.ConnectTimeout = 10 * time.Second
	params := pc.ConnConfig.RuntimeParams
	params["application_name"] = "sealpost"
	params["role"] = prefix + string(IdleRole)
	params["timezone"] = "UTC"
	// A lost client must not hold a row lock for ever, nor one statement the pool.
	params["idle_in_transaction_session_timeout"] = "60000"
	params["statement_timeout"] = "60000"
	params["lock_timeout"] = "20000"
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	db := &DB{pool: pool, prefix: prefix, log: c.Log, holder: holder{pool: pool}}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if err := db.checkSchema(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// Close closes every connection, after those in use have been given back.
func (db *DB) Close() { db.pool.Close() }

// Pool returns the pool itself, whose sessions have the job queue's role. It is for package jobs alone.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return wrap(db.pool.Ping(ctx)) }

// InTx runs fn in a transaction with the rights of role alone. The transaction is committed when fn returns nil and
// rolled back otherwise; fn's error is returned unchanged, except that a lost connection becomes ErrUnavailable.
//
// When the connection is lost during the commit nobody knows whether it took place: such an error is ErrUnavailable
// too, and callers that repeat must be idempotent by a key of their own.
func (db *DB) InTx(ctx context.Context, role Role, fn func(pgx.Tx) error) error {
	return db.inTx(ctx, role, "begin", fn)
}

// Snapshot runs fn in a read-only transaction that sees one state of the database throughout.
func (db *DB) Snapshot(ctx context.Context, role Role, fn func(pgx.Tx) error) error {
	return db.inTx(ctx, role, "begin isolation level repeatable read read only", fn)
}

func (db *DB) inTx(ctx context.Context, role Role, begin string, fn func(pgx.Tx) error) error {
	return wrap(pgx.BeginTxFunc(ctx, db.pool, db.txOptions(begin, role), fn))
}

// txOptions begins a transaction with a role's rights. Both statements go in one message: the role costs no round trip.
func (db *DB) txOptions(begin string, role Role) pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: begin + "; " + db.setRole(role)}
}

func (db *DB) setRole(role Role) string {
	return "set local role " + pgx.Identifier{db.prefix + string(role)}.Sanitize()
}

// Lock takes the advisory lock of that name until the transaction ends, waiting for it.
func Lock(ctx context.Context, tx pgx.Tx, name string) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, lockKey(name))
	return err
}

// TryLock takes the advisory lock of that name until the transaction ends if it is free, and reports whether it did.
func TryLock(ctx context.Context, tx pgx.Tx, name string) (bool, error) {
	var ok bool
	err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1)`, lockKey(name)).Scan(&ok)
	return ok, err
}

func lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("sealpost:" + name)) // never fails
	return int64(h.Sum64())
}

// Violates reports whether err says that the constraint or unique index of that name was violated.
func Violates(err error, constraint string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.ConstraintName == constraint &&
		strings.HasPrefix(pe.Code, "23") // class 23: integrity constraint violation
}

// wrap turns what says that the database is away, or shutting down, into ErrUnavailable.
func wrap(err error) error {
	if err == nil || fault.Of(err) != nil || errors.Is(err, context.Canceled) {
		return err
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		case strings.HasPrefix(pe.Code, "57P"), // shutdown, crash, cannot connect now, idle timeout
			strings.HasPrefix(pe.Code, "08"), // connection exception
			strings.HasPrefix(pe.Code, "53"), // insufficient resources
			pe.Code == "57014", pe.Code == "55P03", pe.Code == "40001", pe.Code == "40P01":
			return ErrUnavailable.Because(err)
		}
		return err
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) || isConnClosed(err) {
		return ErrUnavailable.Because(err)
	}
	return err
}

func checkedPrefix(p string) (string, error) {
	if p == "" {
		return DefaultRolePrefix, nil
	}
	for _, r := range p {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return "", fault.New(fault.Malformed, "role-prefix",
				fmt.Sprintf("The role prefix %q may hold only a-z, 0-9 and _.", p))
		}
	}
	return p, nil
}
