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

// embedded holds every SQL file, named NNNNN_what.sql, and schema.sql.
//
//go:embed *.sql
var embedded embed.FS

// FS holds the migrations, without schema.sql.
var FS fs.FS = numbered{embedded}

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

// numbered hides what is no migration.
type numbered struct{ embed.FS }

// ReadDir lists the migrations alone.
func (n numbered) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := n.FS.ReadDir(name)
	var out []fs.DirEntry
	for _, e := range all {
		if e.Name() != "schema.sql" {
			out = append(out, e)
		}
	}
	return out, err
}
