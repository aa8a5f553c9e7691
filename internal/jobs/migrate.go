package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/sealpost/sealpost/internal/pg"
)

// Schema is where River's tables lie.
const Schema = "river"

// enqueuers are the rooms that may insert jobs in their own transactions.
var enqueuers = []pg.Role{"ca", "archive", "directory", "enroll", "crl", "gal", "notice", "testmail"}

// Migrate creates River's tables, or brings them up to the version of the River this program was built with, and grants
// the rights on them. It runs after pg.Migrate, which creates the roles.
func Migrate(ctx context.Context, c pg.MigrateConfig) error {
	pool, err := pgxpool.New(ctx, c.URL)
	if err != nil {
		return pg.ErrUnavailable.Withf("The database URL cannot be read.")
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Schema, Logger: c.Log})
	if err != nil {
		return fmt.Errorf("migrate job queue: %w", err)
	}
	// The lock is held by a transaction of its own: River's migrations need one each.
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "migrate-jobs"); err != nil {
			return err
		}
		if _, err := pool.Exec(ctx, "create schema if not exists "+Schema); err != nil {
			return err
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return grant(ctx, tx, c.RolePrefix) })
	})
	if err != nil {
		return fmt.Errorf("migrate job queue: %w", err)
	}
	return nil
}

func grant(ctx context.Context, tx pgx.Tx, prefix string) error {
	if prefix == "" {
		prefix = pg.DefaultRolePrefix
	}
	worker := pgx.Identifier{prefix + string(pg.IdleRole)}.Sanitize()
	statements := []string{
		"grant usage on schema " + Schema + " to " + worker,
		"grant select, insert, update, delete on all tables in schema " + Schema + " to " + worker,
		"grant usage on all sequences in schema " + Schema + " to " + worker,
	}
	for _, r := range enqueuers {
		role := pgx.Identifier{prefix + string(r)}.Sanitize()
		statements = append(statements,
			"grant usage on schema "+Schema+" to "+role,
			// River inserts with "on conflict do update … returning", which needs all three.
			"grant select, insert, update (kind) on "+Schema+".river_job to "+role,
			"grant usage on sequence "+Schema+".river_job_id_seq to "+role)
	}
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
