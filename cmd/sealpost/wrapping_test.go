package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// vault is an installation whose recovery officers' shares are at hand, and a place for what is kept offline.
type vault struct {
	*installation
	roster rostertest.Roster
	safe   string
}

// newVault takes the first backup offline, as an operator does.
func newVault(t testing.TB) *vault {
	t.Helper()
	v := &vault{newInstallation(t), rostertest.New(t, 2, 3), t.TempDir()}
	must(t, os.WriteFile(v.path("roster.bin"), v.roster.Bytes(), 0o600))
	v.edit(t, map[string]any{"archive.roster_pins": []string{v.roster.Hash().String()}})
	v.run(t, "roster add", v.path("roster.bin"))
	for _, f := range []string{"wrapping.backup", "wrapping.backup.passphrase"} {
		must(t, os.Rename(v.path("pki/"+f), filepath.Join(v.safe, f)))
	}
	return v
}

// opens demands that what somebody deposited opens with the shares of t officers and the given wrapping keys, and that the
// archive's receipt for it holds.
func (v *vault) opens(t testing.TB, s submission, wrapping ...string) {
	t.Helper()
	unlock, err := keys.ReadPassphrase(v.path("passphrase"))
	must(t, err)
	var opened []*record.WrappingKey
	for _, file := range wrapping {
		k, err := setup.OpenWrappingKey(v.path(file), unlock)
		must(t, err)
		opened = append(opened, k)
	}
	public, err := x509.MarshalPKIXPublicKey(s.keys.encryption.Public())
	must(t, err)
	raw := e2etest.Tool(t, "", "psql", v.db.AdminURL(), "-XAtc", fmt.Sprintf(`select encode(sealed, 'hex') from archive.record where spki_sha256 = sha256(decode('%x', 'hex'))`, public))
	sealed, err := record.ParseRecord(unhex(t, raw))
	must(t, err)
	inner, err := sealed.UnwrapOuter(opened...)
	must(t, err)
	want, err := x509.MarshalPKCS8PrivateKey(s.keys.encryption)
	must(t, err)
	if got, err := v.roster.Open(t, inner, 1, 3); err != nil || !bytes.Equal(got, want) {
		t.Errorf("two officers open another key than %s's: %v", s.login, err)
	}
	if _, err := v.roster.Open(t, inner, 2); err == nil {
		t.Errorf("one officer opens %s's key", s.login)
	}
	c := v.as(t, s.login)
	defer c.Close()
	receipts, err := c.Receipts(t.Context(), "")
	must(t, err)
	verified := false
	for _, r := range receipts.Items {
		signed, err := record.ParseReceipt(r.Signed)
		must(t, err)
		signer, err := x509.ParsePKIXPublicKey(r.Signer)
		must(t, err)
		must(t, signed.Verify(signer))
		verified = verified || signed.Record == sealed.Capsule.Hash()
	}
	if !verified {
		t.Errorf("%s has no receipt for the record", s.login)
	}
}

// awaitOneKey waits until the server has moved every record to its first wrapping key.
func (v *vault) awaitOneKey(t testing.TB) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		if n := v.db.Count(t, `select count(distinct wrapping_id) from archive.record`); n != 1 {
			return fmt.Errorf("records need %d wrapping keys", n)
		}
		return nil
	})
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	_, err := fmt.Sscanf(strings.TrimSpace(s), "%x", &b)
	must(t, err)
	return b
}

// The wrapping key is lost: the server says so and what to do; the right backup, and no other, brings it back, and what
// was archived before opens.
func TestWrappingKeyLost(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	r := v.serve(t)
	_, alice := r.enrol(t, "alice")
	r.stop(t)
	backup := filepath.Join(v.safe, "wrapping.backup")
	restore := func(args ...string) e2etest.Command { return v.command("wrapping restore", args...) }
	e2etest.Bad(t, restore("--backup", backup), "holds this key already")
	must(t, os.Remove(v.path("pki/wrapping.key")))
	oneLine(t, "the key is lost", e2etest.Bad(t, v.command("serve"), "archive.wrapping_keys[0]", "There is no wrapping key", "sealpost wrapping restore --backup"))
	e2etest.Bad(t, v.command("check --connect"), "sealpost wrapping restore")
	lost := e2etest.Run(t, v.command("wrapping check"))
	if lost.Code != 1 || !strings.Contains(lost.Stdout, "NOT THERE") || !strings.Contains(lost.Stdout, "records  1,") || !strings.Contains(lost.Stderr, "1 records need") {
		t.Errorf("wrapping check: %+v", lost)
	}
	e2etest.Bad(t, v.command("wrapping rotate"), "There is no wrapping key")

	unlock, other := keys.Unlock("another server's"), t.TempDir()
	_, err := setup.MakeWrappingKey(filepath.Join(other, "wrapping.key"), filepath.Join(other, "wrapping.backup"), unlock)
	must(t, err)
	write(t, filepath.Join(v.safe, "wrong.passphrase"), "not it\n")
	write(t, filepath.Join(v.safe, "garbage"), "x")
	for what, c := range map[string]struct {
		command e2etest.Command
		says    string
	}{
		"no backup named":       {restore(), "backup"},
		"no such backup":        {restore("--backup", filepath.Join(v.safe, "nowhere")), "nowhere"},
		"another key's backup":  {restore("--backup", filepath.Join(other, "wrapping.backup")), "the archive's records need"},
		"a wrong passphrase":    {restore("--backup", backup, "--backup-passphrase", filepath.Join(v.safe, "wrong.passphrase")), "does not open the backup"},
		"garbage":               {restore("--backup", filepath.Join(v.safe, "garbage"), "--backup-passphrase", backup+".passphrase"), "does not hold a sealed secret"},
		"over a file":           {restore("--backup", backup, "--to", v.path("pki/receipt.key")), "nothing is ever replaced"},
		"a folder for all":      {restore("--backup", backup, "--to", filepath.Join(v.safe, "nowhere", "x.key")), "cannot be written"},
		"another key's name":    {restore("--backup", backup, "--to", v.path("pki/wrapping-00000000.key")), "not the one that belongs into"},
		"the server's own file": {restore("--backup", v.path("pki/receipt.key"), "--backup-passphrase", v.path("passphrase")), "does not hold a sealed secret"},
	} {
		oneLine(t, what, e2etest.Bad(t, c.command, c.says))
		if _, err := os.Lstat(v.path("pki/wrapping.key")); err == nil {
			t.Fatalf("%s: a key was written", what)
		}
	}
	if n := v.db.Count(t, `select count(*) from audit.event where kind = 'archive.wrapping-restored'`); n != 0 {
		t.Errorf("%d refused restorations are in the log", n)
	}

	// The passphrase is typed, as from paper.
	passphrase := read(t, backup+".passphrase")
	must(t, os.Rename(backup+".passphrase", filepath.Join(t.TempDir(), "elsewhere")))
	typed := restore("--backup", backup)
	typed.Stdin = passphrase
	if out := e2etest.Good(t, typed); !strings.Contains(out, "which 1 records need, is back in "+v.path("pki/wrapping.key")) {
		t.Errorf("restore says: %s", out)
	}
	if info, err := os.Stat(v.path("pki/wrapping.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if n := v.db.Count(t, `select count(*) from audit.event where kind = 'archive.wrapping-restored'`); n != 1 {
		t.Errorf("%d restorations are in the log", n)
	}
	if out := v.run(t, "wrapping check"); !strings.Contains(out, "records  1\n") {
		t.Errorf("wrapping check: %s", out)
	}
	r = v.serve(t)
	v.opens(t, alice, "pki/wrapping.key")
	_, bob := r.enrol(t, "bob")
	v.opens(t, bob, "pki/wrapping.key")

	// A damaged file is not replaced either: it is named, and moved aside by hand.
	write(t, v.path("pki/wrapping.key"), "x")
	oneLine(t, "a damaged key", e2etest.Bad(t, v.command("check --connect"), "does not open with this server's passphrase", "move it aside"))
	typed.Stdin = passphrase
	oneLine(t, "a damaged key", e2etest.Bad(t, typed, "move it aside first"))
}

// The key is replaced while records of the old one stay: those from before and after open, and receipts hold. A key that
// records need cannot be forgotten.
func TestWrappingKeyRotation(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	r := v.serve(t)
	_, alice := r.enrol(t, "alice")
	out := v.run(t, "wrapping rotate", "--backup-dir", v.safe)
	files, err := filepath.Glob(v.path("pki/wrapping-*.key"))
	if err != nil || len(files) != 1 || !strings.Contains(out, files[0]) || !strings.Contains(out, "- pki/wrapping.key\n") {
		t.Fatalf("rotate made %v and says:\n%s", files, out)
	}
	fresh := "pki/" + filepath.Base(files[0])
	if n := v.db.Count(t, `select count(*) from audit.event where kind = 'archive.wrapping-made'`); n != 1 {
		t.Errorf("%d new keys are in the log", n)
	}
	_, bob := r.enrol(t, "bob") // the running server knows nothing of it yet
	for _, s := range []submission{alice, bob} {
		v.opens(t, s, "pki/wrapping.key")
	}
	r.stop(t)
	// The old key is not forgotten as long as a record needs it.
	v.edit(t, map[string]any{"archive.wrapping_keys": []string{fresh}})
	oneLine(t, "an old key is not configured", e2etest.Bad(t, v.command("serve"), "Records need the wrapping key", "wrapping-key-missing"))
	e2etest.Bad(t, v.command("wrapping check"), "2 records need")
	first := filepath.Join(v.safe, "wrapping.backup")
	e2etest.Bad(t, v.command("wrapping restore", "--backup", first), "--to")
	// The new key is lost before a record needs it.
	v.edit(t, map[string]any{"archive.wrapping_keys": []string{fresh, "pki/wrapping.key"}})
	backup := filepath.Join(v.safe, strings.TrimSuffix(filepath.Base(fresh), ".key")+".backup")
	must(t, os.Remove(v.path(fresh)))
	e2etest.Bad(t, v.command("wrapping restore", "--backup", first), "holds this key already")
	v.run(t, "wrapping restore", "--backup", backup)
	v.run(t, "wrapping check", "--backup", backup)

	r = v.serve(t)
	_, carol := r.enrol(t, "carol")
	v.opens(t, carol, fresh)
	for _, s := range []submission{alice, bob} { // whichever key it is that they need now
		v.opens(t, s, fresh, "pki/wrapping.key")
	}
	v.awaitOneKey(t)
	for _, s := range []submission{alice, bob, carol} {
		v.opens(t, s, fresh)
	}
	r.stop(t)
	v.edit(t, map[string]any{"archive.wrapping_keys": []string{fresh}})
	if out := v.run(t, "wrapping check"); !strings.Contains(out, "records  3\n") {
		t.Errorf("wrapping check: %s", out)
	}
	// The new key is lost when it is the only one.
	must(t, os.Remove(v.path(fresh)))
	e2etest.Bad(t, v.command("wrapping restore", "--backup", first), "the archive's records need")
	v.run(t, "wrapping restore", "--backup", backup)
	v.serve(t)
	v.opens(t, alice, fresh)
	// The same key under another name is a mistake.
	must(t, os.WriteFile(v.path("pki/copy.key"), []byte(read(t, v.path(fresh))), 0o600))
	v.edit(t, map[string]any{"archive.wrapping_keys": []string{fresh, "pki/copy.key"}})
	e2etest.Bad(t, v.command("check --connect"), "twice")
}

// What rotate cannot finish it takes back.
func TestWrappingRotationIsUndone(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	before, err := os.ReadDir(v.path("pki"))
	must(t, err)
	oneLine(t, "nowhere to back up to", e2etest.Bad(t, v.command("wrapping rotate", "--backup-dir", filepath.Join(v.safe, "nowhere")), "cannot be written"))
	v.db.Exec(t, `alter table audit.event rename to away`) // as if the database failed in the middle
	e2etest.Bad(t, v.command("wrapping rotate", "--backup-dir", v.safe), "audit.event")
	v.db.Exec(t, `alter table audit.away rename to event`)
	after, err := os.ReadDir(v.path("pki"))
	must(t, err)
	kept, err := os.ReadDir(v.safe)
	must(t, err)
	if len(after) != len(before) || len(kept) != 2 {
		t.Errorf("left behind: %v, %v", after, kept)
	}
}

// TestWrappingRunbook does what docs/runbooks/wrapping-key.md says, word for word.
func TestWrappingRunbook(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	machines := map[string]*installation{"server": v.installation, "other": newInstallationOn(t, v.db)}
	for who, i := range machines {
		write(t, i.path(program), "#!/bin/sh\nexec "+shared.path(program)+" \"$@\" --config "+i.path("server.yaml")+"\n")
		must(t, os.Chmod(i.path(program), 0o700))
		i.edit(t, map[string]any{"archive.roster_pins": []string{v.roster.Hash().String()}})
		if who == "other" { // its wrapping key is the first one's, under a passphrase of its own
			must(t, os.Remove(i.path("pki/wrapping.key")))
			write(t, i.path("passphrase"), "the other server's\n")
			i.run(t, "wrapping restore", "--backup", filepath.Join(v.safe, "wrapping.backup"))
		}
	}
	server := v.serve(t)
	_, alice := server.enrol(t, "alice")
	server.stop(t)
	id, ran := "3f2a9c01", 0
	text := strings.ReplaceAll(read(t, filepath.FromSlash("../../docs/runbooks/wrapping-key.md")), "\n   ", "\n") // of lists
	for _, block := range fencedBlock.FindAllStringSubmatch(text, -1) {
		content := strings.NewReplacer("/media/safe", v.safe, "3f2a9c01", id).Replace(block[2])
		if block[1] == "yaml" {
			var tree map[string]any
			must(t, yaml.Unmarshal([]byte(content), &tree))
			v.edit(t, leaves(tree, ""))
			continue
		}
		if strings.Contains(content, "wrapping restore") && ran == 1 { // its section is about a key that is lost
			must(t, os.Remove(v.path("pki/wrapping.key")))
		}
		for line := range strings.Lines(content) {
			m := promptLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				t.Fatalf("not a command: %s", line)
			}
			ran++
			action, isSystem := strings.CutPrefix(m[2], "systemctl ")
			if !isSystem {
				dir := machines[m[1]].dir
				out := e2etest.Good(t, e2etest.Command{Path: "sh", Args: []string{"-c", strings.ReplaceAll(m[2], "/etc/sealpost", dir)}, Dir: dir,
					Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")}})
				if _, made, ok := strings.Cut(out, "Made the wrapping key "); ok {
					id = made[:8]
				}
				continue
			}
			if action != "start sealpost" && !server.Ended() {
				server.stop(t)
			}
			if action != "stop sealpost" {
				server = v.serve(t)
			}
		}
	}
	if ran < 12 {
		t.Errorf("the runbook has only %d commands", ran)
	}
	_, bob := server.enrol(t, "bob")
	v.awaitOneKey(t)
	for _, s := range []submission{alice, bob} {
		v.opens(t, s, "pki/wrapping-"+id+".key")
	}
	other := machines["other"]
	other.edit(t, map[string]any{"archive.wrapping_keys": []string{"pki/wrapping.key", "pki/wrapping-" + id + ".key"}})
	if out := other.run(t, "wrapping check"); !strings.Contains(out, "records  2\n") || !strings.Contains(out, "no record needs") && !strings.Contains(out, "records  0\n") {
		t.Errorf("the other server: %s", out)
	}
}
