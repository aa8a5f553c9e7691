package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// A running server has read and verified its keys and its roster. When somebody alters the roster in the database, or the
// files go, new keys are sealed to the pinned roster all the same, and nothing else; the next start is refused and says why.
func TestAlteredBehindARunningServer(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	pinned := i.psql(t, `select encode(key_id, 'hex') from archive.roster`)
	r := i.serve(t)
	// The intruder's roster: another key in the same place, and another file under its own hash.
	i.db.Exec(t, `update archive.roster set file = set_byte(file, length(file) - 9, get_byte(file, length(file) - 9) # 1), key_id = sha256('intruder')`)
	i.db.Exec(t, `insert into archive.roster (hash, key_id, epoch, file, added_at) select sha256(file), sha256('other'), epoch + 1, file, now() from archive.roster`)
	keys, err := filepath.Glob(i.path("pki/*.key"))
	must(t, err)
	for _, file := range append(keys, i.path("passphrase")) {
		must(t, os.Rename(file, file+".away"))
	}
	r.enrol(t, "alice")
	r.awaitHealth(t)
	if sealed := i.psql(t, `select distinct encode(key_id, 'hex') from archive.record`); len(sealed) != 1 || sealed[0] != pinned[0] {
		t.Errorf("a key was sealed to %v, the pinned roster's is %v", sealed, pinned)
	}
	i.keepsRules(t, "after the files went")
	r.stop(t)

	oneLine(t, "the files are gone", e2etest.Bad(t, i.command("serve"), "unlock.passphrase_file"))
	for _, file := range append(keys, i.path("passphrase")) {
		must(t, os.Rename(file+".away", file))
	}
	oneLine(t, "the roster was altered", e2etest.Bad(t, i.command("serve"), "roster"))
}
