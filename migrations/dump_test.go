package migrations_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write schema.sql")

// noise is what pg_dump writes that differs between versions and runs.
var noise = regexp.MustCompile(`(?m)^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n`)

// schema.sql is what the migrations make, for readers.
func TestSchemaIsWhatTheMigrationsMake(t *testing.T) {
	d := pgtest.NewDatabase(t)
	dump, err := child.FindProgram("pg_dump", "/usr/lib/postgresql/*/bin")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), dump, "--schema-only", "--no-owner", "--exclude-schema=river", d.AdminURL()).Output()
	if err != nil {
		t.Fatal(err)
	}
	out = noise.ReplaceAll(out, nil)
	out = regexp.MustCompile(`\n{2,}`).ReplaceAll(out, []byte("\n\n"))
	major := d.Count(t, `select current_setting('server_version_num')::int / 10000`)
	head := fmt.Sprintf("-- What the migrations make, as pg_dump %d writes it; for readers. Made by: go generate ./migrations\n-- The job queue's own schema (river) is left out.\n", major)
	out = append([]byte(head), out...)
	if *update {
		if err := os.WriteFile("schema.sql", out, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(have, []byte(head)) {
		t.Skipf("schema.sql was written with another PostgreSQL than %d, whose pg_dump writes differently", major)
	}
	if !bytes.Equal(have, out) {
		t.Error("schema.sql is not what the migrations make; run: go generate ./migrations")
	}
}
