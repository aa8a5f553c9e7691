// Package tokentest makes tokens that are none (SoftHSM), one for each test that wants one. It is imported by tests only.
//
// It owns the folder with the token, and its PIN. SoftHSM is found through the environment, so tests with a token are not parallel.
package tokentest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Token is a token, as programs find it.
type Token struct {
	Module string // SoftHSM's library
	Label  string
	PIN    string

	t   testing.TB
	dir string
}

// New makes a token, and has the environment say where it is until the test ends.
func New(t *testing.T) *Token {
	t.Helper()
	if testing.Short() {
		t.Skip("needs SoftHSM")
	}
	v := &Token{Module: "/usr/lib/softhsm/libsofthsm2.so", Label: "sample", PIN: "123456", t: t, dir: t.TempDir()}
	conf := filepath.Join(v.dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+v.dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	v.Add(v.Label)
	return v
}

// Add makes a further token with the same PIN.
func (v *Token) Add(label string) {
	v.t.Helper()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", v.PIN).CombinedOutput()
	if err != nil {
		v.t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
}

// Objects is what pkcs11-tool says is on the token, for who has the PIN: one text for each object.
func (v *Token) Objects() []string {
	v.t.Helper()
	out, err := exec.Command("pkcs11-tool", "--module", v.Module, "--token-label", v.Label, "--login", "--pin", v.PIN, "--list-objects").Output()
	if err != nil {
		v.t.Fatalf("pkcs11-tool: %v", err)
	}
	var objects []string
	for _, line := range strings.SplitAfter(string(out), "\n") {
		if line != "" && !strings.HasPrefix(line, " ") {
			objects = append(objects, "")
		}
		if len(objects) > 0 {
			objects[len(objects)-1] += line
		}
	}
	return objects
}

// Count returns how many objects of a kind there are: "Private Key", "Public Key" or "Certificate".
func (v *Token) Count(kind string) (n int) {
	v.t.Helper()
	for _, o := range v.Objects() {
		if strings.HasPrefix(o, kind+" Object") {
			n++
		}
	}
	return n
}

// Unplug takes the token away until the function that is returned is called.
func (v *Token) Unplug() (plug func()) {
	v.t.Helper()
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		v.t.Fatal(err)
	}
	away := v.t.TempDir()
	move := func(from, to string) {
		for _, e := range entries {
			if e.IsDir() {
				if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
					v.t.Fatal(err)
				}
			}
		}
	}
	move(v.dir, away)
	return func() { move(away, v.dir) }
}
