package kra_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

func TestKeyGen(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "a", "home")
	o := open(t, home)
	refused(t, "no home", o.Unlock(t.Context(), passphrase), kra.ErrNoKeys, "keygen")
	for name, want := range map[string]string{"": "empty", "a\nb": "mislead", "a\u202eb": "mislead", strings.Repeat("x", 300): "too long"} {
		_, err := o.KeyGen(t.Context(), name, passphrase)
		refused(t, "name "+name, err, kra.ErrCard, want)
	}
	_, err := o.KeyGen(t.Context(), "Olga", keys.Unlock("short"))
	refused(t, "weak", err, kra.ErrPassphrase, "at least 12")
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("refused, and the home is there: %v", err)
	}
	first, err := o.KeyGen(t.Context(), "Olga Berg", passphrase)
	must(t, err)
	info, err := os.Stat(home)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, name := range []string{"signing", "decryption"} {
		out, err := exec.Command("openssl", "req", "-in", filepath.Join(home, name+".csr"), "-noout", "-verify", "-subject").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Olga Berg") {
			t.Errorf("openssl req: %v\n%s", err, out)
		}
		out, err = exec.Command("openssl", "pkey", "-in", filepath.Join(home, name+".key"), "-passin", "pass:"+string(passphrase), "-noout", "-text").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "P-256") {
			t.Errorf("openssl pkey: %v\n%s", err, out)
		}
	}
	if bytes.Equal(first.Signing, first.Decryption) {
		t.Error("one key for both")
	}
	_, err = open(t, home).KeyGen(t.Context(), "Olga Berg", passphrase)
	refused(t, "again", err, kra.ErrKeysExist, home)
	refused(t, "wrong passphrase", open(t, home).Unlock(t.Context(), keys.Unlock("not that one at all")), keys.ErrPassphrase, "signing.key")
	// Killed before the last file: the keys stay, the rest is done.
	must(t, os.Remove(filepath.Join(home, "decryption.csr")))
	_, err = open(t, home).KeyGen(t.Context(), "Olga Berg", keys.Unlock("another passphrase"))
	refused(t, "go on with another passphrase", err, keys.ErrPassphrase, "signing.key")
	before := read(t, home, "signing.key")
	_, err = open(t, home).KeyGen(t.Context(), "Olga Berg", passphrase)
	must(t, err)
	if !bytes.Equal(before, read(t, home, "signing.key")) {
		t.Error("the key was replaced")
	}
}

func TestHomesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := kra.Open(kra.Config{})
	refused(t, "no name", err, kra.ErrHome, "no name")
	shared := filepath.Join(dir, "shared")
	must(t, os.Mkdir(shared, 0o755))
	_, err = kra.Open(kra.Config{Home: shared})
	refused(t, "open to others", err, kra.ErrHome, "chmod 700")
	file := filepath.Join(dir, "file")
	write(t, []byte("x"), file)
	_, err = kra.Open(kra.Config{Home: file})
	refused(t, "a file", err, kra.ErrHome, "not a folder")
	_, err = kra.Open(kra.Config{Home: filepath.Join(file, "home")})
	refused(t, "in a file", err, kra.ErrHome, "cannot be read")
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	o := (&company{t: t}).keyGen("Olga")
	f, err := os.OpenFile(filepath.Join(o.home, "lock"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	_, err = open(t, o.home).KeyGen(t.Context(), "Olga", passphrase)
	refused(t, "at once", err, kra.ErrBusy, o.home)
}

func TestStateThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, plan := c.ceremony(officers)
	all(t, officers, dir, 0+1)
	state := func(o *officer) string { return filepath.Join(o.home, "ceremonies", plan.Hash().String(), "state.cms") }
	good := read(t, state(officers[0]))
	for name, b := range map[string][]byte{
		"another's":  read(t, state(officers[1])),
		"a flip":     append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"cut off":    good[:len(good)/2],
		"empty":      {},
		"in clear":   plan.Bytes(),
		"not a file": nil,
	} {
		must(t, os.RemoveAll(state(officers[0])))
		want := kra.ErrState
		if b == nil {
			must(t, os.Mkdir(state(officers[0]), 0o700))
			want = disk.ErrDisk
		} else {
			write(t, b, state(officers[0]))
		}
		_, err := officers[0].Reveal(t.Context(), dir)
		refused(t, name, err, want, "state.cms")
	}
	must(t, os.RemoveAll(state(officers[0])))
	write(t, good, state(officers[0]))
	_, err := officers[0].Reveal(t.Context(), dir)
	must(t, err)
}
