package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// shared is the test binary's cluster; it is started by the first test that asks.
var shared struct {
	once    sync.Once
	cluster *Cluster
	dir     string
	err     error
	main    bool
	next    atomic.Int64
}

// template is the migrated database that every test's database is a copy of.
const template = "sealpost_template"

// Main runs a test binary's tests and then stops the cluster they used, and what else is given. Every package whose tests
// call New has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M, ends ...func()) {
	shared.main = true
	code := m.Run()
	for _, end := range ends {
		end()
	}
	if shared.cluster != nil {
		shared.cluster.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// Database is one test's own database.
type Database struct {
	Cluster *Cluster
	Name    string
}

// URL is the server's own way in, as the login role.
func (d Database) URL() string {
	return d.Cluster.URLAs(pg.DefaultRolePrefix+string(pg.LoginRole), d.Name)
}

// AdminURL is the way in for those who look at everything.
func (d Database) AdminURL() string { return d.Cluster.URL(d.Name) }

// New returns a pool on a fresh, migrated database of the test's own, logged in as the server is. It is dropped with
// the cluster. With -short the test is skipped; a missing PostgreSQL fails it.
func New(t testing.TB) *pg.DB {
	t.Helper()
	return Open(t, NewDatabase(t))
}

// Open returns another pool on d.
func Open(t testing.TB, d Database) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Config{URL: d.URL(), MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// NewDatabase returns a fresh, migrated database.
func NewDatabase(t testing.TB) Database {
	t.Helper()
	c := sharedCluster(t)
	d := Database{Cluster: c, Name: fmt.Sprintf("test_%d", shared.next.Add(1))}
	exec(t, c.URL("postgres"), "create database "+d.Name+" template "+template+" strategy file_copy")
	return d
}

// Exec runs SQL as the cluster's owner: what an intruder in the database could do.
func (d Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	exec(t, d.AdminURL(), sql, args...)
}

// Count returns the single number that a query yields, asked as the cluster's owner.
func (d Database) Count(t testing.TB, sql string, args ...any) int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var n int64
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func sharedCluster(t testing.TB) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL; not run with -short")
	}
	if !shared.main {
		t.Fatal("add to this package's tests: func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	shared.once.Do(func() { shared.err = startShared(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

func startShared(ctx context.Context) error {
	dir, err := child.TempDir("sp-pg-")
	if err != nil {
		return err
	}
	shared.dir = dir
	c, err := StartCluster(ctx, ClusterConfig{Data: filepath.Join(dir, "data"), Sockets: filepath.Join(dir, "s"), Log: os.Stderr})
	if err != nil {
		return err
	}
	shared.cluster = c
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create database "+template); err != nil {
		return err
	}
	return Migrate(ctx, c.URL(template))
}

// Migrate brings a database up to date, rooms and job queue, as `sealpost migrate` does.
func Migrate(ctx context.Context, adminURL string) error {
	if err := pg.Migrate(ctx, pg.MigrateConfig{URL: adminURL}); err != nil {
		return err
	}
	return jobs.Migrate(ctx, pg.MigrateConfig{URL: adminURL})
}
