package pg_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestATransactionHasItsRoomsRightsAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var user, session string
	err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `select current_user, session_user`).Scan(&user, &session)
	})
	if err != nil || user != "sealpost_ca" || session != "sealpost_server" {
		t.Errorf("user %q session %q, %v", user, session, err)
	}
	err = db.InTx(t.Context(), "gal", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `select spki_sha256 from keyuse.key_use`)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("role gal reads keyuse: %v", err)
	}
	// Outside a transaction a session may do what the job queue may, and no more.
	if _, err := db.Pool().Exec(t.Context(), `select spki_sha256 from keyuse.key_use`); err == nil {
		t.Error("an idle session reads keyuse")
	}
}

func TestInTxRollsBackOnError(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	stop := errors.New("stop")
	err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into keyuse.key_use values (decode(repeat('00', 32), 'hex'), 'signing', gen_random_uuid(), $1)`, time.Now())
		return errors.Join(err, stop)
	})
	if err == nil || !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if n := d.Count(t, `select count(*) from keyuse.key_use`); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	empty := pgtest.Database{Cluster: d.Cluster, Name: "postgres"}
	newer := pgtest.NewDatabase(t)
	newer.Exec(t, `insert into public.sealpost_migration (version_id, is_applied) values (99999, true)`)
	for _, c := range []struct {
		what, url string
		want      *fault.Error
	}{
		{"never migrated", empty.URL(), pg.ErrSchema},
		{"newer schema", newer.URL(), pg.ErrSchema},
		{"nobody there", "postgres://sealpost_server@127.0.0.1:1/x", pg.ErrUnavailable},
		{"no URL", "postgres://sealpost_server:s3cret@[", pg.ErrUnavailable},
	} {
		_, err := pg.Open(t.Context(), pg.Config{URL: c.url})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows the password: %v", c.what, err)
		}
	}
}

func TestAnotherRolePrefix(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t) // to have the cluster
	d.Exec(t, `create database other_prefix`)
	o := pgtest.Database{Cluster: d.Cluster, Name: "other_prefix"}
	for range 2 { // the second finds everything done
		if err := pg.Migrate(t.Context(), pg.MigrateConfig{URL: o.AdminURL(), RolePrefix: "acme_"}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := pg.Open(t.Context(), pg.Config{URL: o.Cluster.URLAs("acme_server", o.Name), RolePrefix: "acme_"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var user string
	err = db.InTx(t.Context(), "enroll", func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `select current_user`).Scan(&user)
	})
	if err != nil || user != "acme_enroll" {
		t.Errorf("user %q, %v", user, err)
	}
	if _, err := pg.Open(t.Context(), pg.Config{URL: o.AdminURL(), RolePrefix: `x"; drop`}); !errors.Is(err, fault.Malformed) {
		t.Errorf("bad prefix: %v", err)
	}
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	err := db.InTx(t.Context(), "crl", func(tx pgx.Tx) error {
		if ok, err := pg.TryLock(t.Context(), tx, "a"); err != nil || !ok {
			t.Errorf("first: %v, %v", ok, err)
		}
		return db.InTx(t.Context(), "crl", func(tx pgx.Tx) error {
			if ok, err := pg.TryLock(t.Context(), tx, "a"); err != nil || ok {
				t.Errorf("second: %v, %v", ok, err)
			}
			ok, err := pg.TryLock(t.Context(), tx, "b")
			if !ok {
				t.Error("another name is not free")
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A server that dies in the middle of a transaction is reported as unavailable, and the pool works again afterwards.
func TestServerKilledAndBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs PostgreSQL; not run with -short")
	}
	dir, err := child.TempDir("sp-pgk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, dir) })
	cfg := pgtest.ClusterConfig{Data: dir + "/data", Sockets: dir + "/s", Durable: true}
	c, err := pgtest.StartCluster(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	if err := pgtest.Migrate(t.Context(), c.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	db, err := pg.Open(t.Context(), pg.Config{URL: c.URLAs("sealpost_server", "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ask := func(before func()) error {
		return db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
			before()
			_, err := tx.Exec(t.Context(), `select 1`)
			return err
		})
	}
	if err := ask(func() { c.Kill(syscall.SIGQUIT) }); !errors.Is(err, pg.ErrUnavailable) {
		t.Errorf("killed in the middle: %v", err)
	}
	if err := ask(func() {}); !errors.Is(err, pg.ErrUnavailable) {
		t.Errorf("while away: %v", err)
	}
	if c, err = pgtest.StartCluster(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for err = ask(func() {}); err != nil && ctx.Err() == nil; err = ask(func() {}) {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("after its return: %v", err)
	}
}

func removeAll(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
