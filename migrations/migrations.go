// Package migrations is the database schema as numbered SQL, forward only, embedded. It owns the tables of every room;
// package pg runs it. schema.sql is a dump of the result for readers, made by `go generate ./migrations` and compared in
// a test.
//
// Roles are written with the default prefix in double quotes ("sealpost_ca"); pg puts the configured prefix in.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:generate go test -run TestSchema . -update

// FS holds the migrations, named NNNNN_what.sql.
//
//go:embed 0*.sql
var FS embed.FS

// Latest returns the number of the newest migration.
func Latest() (int64, error) {
	entries, err := fs.ReadDir(FS, ".")
	if err != nil {
		return 0, err
	}
	last := entries[len(entries)-1].Name() // ReadDir sorts by name
	n, err := strconv.ParseInt(strings.SplitN(last, "_", 2)[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("migration %s has no number: %w", last, err)
	}
	return n, nil
}
