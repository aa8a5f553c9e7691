package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

var errRefused = errors.New("refused")

// claim is a batch that claims a key, on a condition.
func claim(key []byte, condition bool) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(`insert into keyuse.key_use (spki_sha256, use, person, claimed_at) values ($1, 'signing', $2, $3)`, key, uuid.New(), time.Now())
	pg.Require(b, errRefused, `select require.that($1)`, condition)
	return b
}

// A batch is committed whole or not at all, with the role's rights alone, and its connection serves the next.
func TestBatch(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db, err := pg.Open(t.Context(), pg.Config{URL: d.URL(), MaxConns: 1}) // so that all use the same connection
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first, second := make([]byte, 32), append(make([]byte, 31), 1)
	for range 2 { // with statements that the connection does not know yet, and with those it does
		if err := db.Batch(t.Context(), "ca", claim(first, false)); !errors.Is(err, errRefused) {
			t.Errorf("a condition that does not hold: %v", err)
		}
		if err := db.Batch(t.Context(), "gal", claim(first, true)); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("another room's table: %v", err)
		}
	}
	if n := d.Count(t, `select count(*) from keyuse.key_use`); n != 0 {
		t.Errorf("%d rows of batches that failed", n)
	}
	if err := db.Batch(t.Context(), "ca", claim(first, true)); err != nil {
		t.Fatal(err)
	}
	b := claim(second, true)
	b.QueuedQueries = append(b.QueuedQueries, claim(first, true).QueuedQueries...) // a row that is there
	if err := db.Batch(t.Context(), "ca", b); !pg.Violates(err, "key_use_pkey") {
		t.Errorf("a constraint: %v", err)
	}
	if n := d.Count(t, `select count(*) from keyuse.key_use`); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	var user string
	b = &pgx.Batch{}
	b.Queue(`select current_user`).QueryRow(func(row pgx.Row) error { return row.Scan(&user) })
	if err := db.Batch(t.Context(), "archive", b); err != nil || user != "sealpost_archive" {
		t.Errorf("user %q, %v", user, err)
	}
	if err := db.Pool().QueryRow(t.Context(), `select current_user`).Scan(&user); err != nil || user != "sealpost_jobs" {
		t.Errorf("outside: user %q, %v", user, err)
	}
	if s := db.Pool().Stat(); s.NewConnsCount() != 1 {
		t.Errorf("%d connections were made, want 1", s.NewConnsCount())
	}
}

// Statements are prepared with the role's rights, so the session's own role needs none on the rooms' schemas.
func TestIdleSessionsMayNotUseTheRoomsSchemas(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	n := d.Count(t, `select count(*) from pg_namespace where nspname in ('ca', 'archive', 'enroll', 'audit', 'keyuse', 'directory', 'crl')
		and has_schema_privilege('sealpost_jobs', oid, 'usage')`)
	if n != 0 {
		t.Errorf("an idle session may use %d of the rooms' schemas", n)
	}
}

func TestBatchWhileAwayAndGivenUp(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	b := claim(make([]byte, 32), true)
	b.Queue(`select pg_sleep(5)`)
	if err := db.Batch(ctx, "ca", b); err == nil {
		t.Error("a batch outlived its context")
	}
	b = claim(make([]byte, 32), true)
	b.Queue(`select pg_sleep(20)`)
	time.AfterFunc(300*time.Millisecond, func() {
		d.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'sealpost_server' and query like '%pg_sleep%'`)
	})
	if err := db.Batch(t.Context(), "ca", b); !errors.Is(err, pg.ErrUnavailable) {
		t.Errorf("a connection that ends: %v", err)
	}
	if n := d.Count(t, `select count(*) from keyuse.key_use`); n != 0 {
		t.Errorf("%d rows left", n)
	}
	if err := db.Batch(t.Context(), "ca", claim(make([]byte, 32), true)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
