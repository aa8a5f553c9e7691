package pg

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/sealpost/sealpost/migrations"
)

// versionTable lies in the public schema, because it must exist before any other.
const versionTable = "sealpost_migration"

// MigrateConfig says which database to bring up to date.
type MigrateConfig struct {
	URL        string       // of a role that may create schemas and roles; not the server's login role
	RolePrefix string       // "" means DefaultRolePrefix
	Log        *slog.Logger // nil discards
}

// Migrate brings the database to the schema that this program was built for, forward only. It creates the rooms' roles
// and the login role (without a password) when they are absent. Several may run at once: one works, the others wait.
func Migrate(ctx context.Context, c MigrateConfig) error {
	prefix, err := checkedPrefix(c.RolePrefix)
	if err != nil {
		return err
	}
	cc, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return ErrUnavailable.Withf("The database URL cannot be read.")
	}
	// Roles belong to the whole cluster, and the session that creates them must not be cut off.
	cc.RuntimeParams["application_name"] = "sealpost migrate"
	db := stdlib.OpenDB(*cc)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return ErrUnavailable.Because(err)
	}
	p, err := provider(db, prefix)
	if err != nil {
		return err
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		if c.Log != nil {
			c.Log.Info("migrated", "file", r.Source.Path, "seconds", r.Duration.Seconds())
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func provider(db *sql.DB, prefix string) (*goose.Provider, error) {
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider("", db, prefixed{migrations.FS, prefix}, goose.WithStore(store),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
}

// prefixed is the migrations with the roles' prefix put in. They are written with the default prefix, in double quotes,
// so that they read as they run.
type prefixed struct {
	fs.FS
	prefix string
}

func (p prefixed) Open(name string) (fs.File, error) {
	f, err := p.FS.Open(name)
	if err != nil || p.prefix == DefaultRolePrefix {
		return f, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return p.FS.Open(name)
	}
	b, err := fs.ReadFile(p.FS, name)
	if err != nil {
		return nil, err
	}
	b = bytes.ReplaceAll(b, []byte(`"`+DefaultRolePrefix), []byte(`"`+p.prefix))
	return &file{Reader: bytes.NewReader(b), info: info}, nil
}

type file struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// checkSchema compares the database's migration with the newest one embedded.
func (db *DB) checkSchema(ctx context.Context) error {
	want, err := migrations.Latest()
	if err != nil {
		return err
	}
	var have int64
	err = db.pool.QueryRow(ctx, `select coalesce(max(version_id), 0) from public.`+versionTable+` where is_applied`).Scan(&have)
	if err != nil {
		if errors.Is(wrap(err), ErrUnavailable) {
			return wrap(err)
		}
		return ErrSchema.Withf("The database has no Sealpost schema, or this login may not use it. Run: sealpost migrate").Because(err)
	}
	if have != want {
		return ErrSchema.Withf("The database is at migration %d, this version needs %d. Run: sealpost migrate", have, want)
	}
	return nil
}
