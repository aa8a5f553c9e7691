package main

import (
	"os"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// A server that cannot work does not start, and says in one line what is wrong.
func TestServerDoesNotStart(t *testing.T) {
	t.Parallel()
	good := newInstallation(t)
	good.serve(t).stop(t)
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, i *installation)
		says  []string
	}{
		{"no configuration", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("server.yaml"))) }, []string{"server.yaml"}},
		{"a key that is no setting", func(t *testing.T, i *installation) { i.edit(t, map[string]any{"publik_url": "x"}) }, []string{"publik_url"}},
		{"a wrong passphrase", func(t *testing.T, i *installation) { write(t, i.path("passphrase"), "something else\n") }, []string{"passphrase", "audit.key"}},
		{"an empty passphrase", func(t *testing.T, i *installation) { write(t, i.path("passphrase"), "\n") }, []string{"unlock.passphrase_file"}},
		{"no passphrase", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("passphrase"))) }, []string{"unlock.passphrase_file"}},
		{"a passphrase for all to read", func(t *testing.T, i *installation) { must(t, os.Chmod(i.path("passphrase"), 0o644)) }, []string{"unlock.passphrase_file", "0600"}},
		{"no passphrase in the environment", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"unlock": map[string]any{"passphrase_env": "SEALPOST_NOT_SET"}})
		}, []string{"unlock.passphrase_env", "SEALPOST_NOT_SET"}},
		{"no issuing key", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("pki/issuing.key"))) }, []string{"issuing.key"}},
		{"an issuing key for all to read", func(t *testing.T, i *installation) { must(t, os.Chmod(i.path("pki/issuing.key"), 0o644)) }, []string{"issuing.key", "0600"}},
		{"another issuing key", func(t *testing.T, i *installation) {
			must(t, os.Rename(i.path("pki/receipt.key"), i.path("pki/issuing.key")))
		}, []string{"issuer", "key"}},
		{"no issuing certificate", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("pki/issuing.pem"))) }, []string{"issuing.pem"}},
		{"the root in place of the issuer", func(t *testing.T, i *installation) {
			write(t, i.path("pki/issuing.pem"), read(t, i.path("pki/root.pem")))
		}, []string{"issuer"}},
		{"no wrapping key", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("pki/wrapping.key"))) }, []string{"archive.wrapping_keys[0]", "wrapping.key"}},
		{"garbage for a wrapping key", func(t *testing.T, i *installation) { write(t, i.path("pki/wrapping.key"), "x") }, []string{"archive.wrapping_keys[0]"}},
		{"no receipt key", func(t *testing.T, i *installation) { must(t, os.Remove(i.path("pki/receipt.key"))) }, []string{"archive.receipt_key"}},
		{"a pin that does not match", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"archive.roster_pins": []string{strings.Repeat("ab", 32)}})
		}, []string{"roster"}},
		{"a roster that somebody changed", func(t *testing.T, i *installation) {
			i.db.Exec(t, `update archive.roster set file = set_byte(file, length(file) - 9, get_byte(file, length(file) - 9) # 1)`)
		}, []string{"roster"}},
		{"no roster", func(t *testing.T, i *installation) { i.db.Exec(t, `delete from archive.roster`) }, []string{"roster"}},
		{"no database server", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"database.url": "postgres:///sealpost?host=" + i.dir})
		}, []string{"database"}},
		{"no such database", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"database.url": strings.Replace(i.db.URL(), i.db.Name, "nothing", 1)})
		}, []string{"database"}},
		{"a database that was not migrated", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"database.url": strings.Replace(i.db.URL(), i.db.Name, "template1", 1)})
		}, []string{"database", "migrate"}},
		{"no password of the directory", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"directory.lookup.password_file": "nowhere"})
		}, []string{"directory", "nowhere"}},
		{"an address that is taken", func(t *testing.T, i *installation) {
			i.edit(t, map[string]any{"listen.public": strings.TrimPrefix(i.slapd.TLSURL(), "ldaps://")})
		}, []string{"address already in use"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			c.spoil(t, i)
			said := e2etest.Bad(t, i.command("serve"), c.says...)
			oneLine(t, c.what, said)
		})
	}
}

// What the configuration says of limits holds: agents are told how long an answer may take, and who fails too often has to wait.
func TestLimits(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"limits.call_timeout": "7s", "limits.failures.login": map[string]any{"burst": 2, "every": "1h"}})
	r := i.serve(t)
	told, err := r.as(t, "alice").Policy(t.Context())
	must(t, err)
	if told.AnswerWithin != 7 {
		t.Errorf("answers come within %d s", told.AnswerWithin)
	}
	d := r.desk(t, "bob")
	wrong := d.enroll()
	wrong.Env[0] = "SEALPOST_PASSWORD=guessed"
	for range 2 {
		fails(t, wrong, "wrong-credentials")
	}
	fails(t, wrong, "too-many-failures")
}
