// Package gpgtest makes homes of GnuPG, in which gpgsm and dirmngr judge what we publish, as correspondents' do. It is
// imported by tests only.
//
// It owns a home's folder and the daemons that GnuPG starts in it. What the programs say is judged by the tests.
package gpgtest

import (
	"context"
	"crypto/sha1" // what GnuPG's list of trusted roots has
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/pkitest"
)

// patience bounds one run of a program.
const patience = time.Minute

// Home is a home of GnuPG. It is for one test.
type Home struct {
	Env []string // further variables of the programs' environment, such as LDAPTLS_CACERT
	t   testing.TB
	dir string
}

// New makes a home that trusts a root, and lets nothing of it be left when the test ends.
func New(t testing.TB, root *x509.Certificate) *Home {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sp-gpg-") // its sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{t: t, dir: dir}
	t.Cleanup(func() {
		if out, err := h.Try("gpgconf", "--kill", "all"); err != nil {
			t.Errorf("gpgconf --kill: %v %s", err, out)
		}
		_ = os.RemoveAll(dir) // a daemon that ends takes its socket away at the same time
	})
	var colons []string
	for _, b := range sha1.Sum(root.Raw) {
		colons = append(colons, fmt.Sprintf("%02X", b))
	}
	h.Write("trustlist.txt", []byte(strings.Join(colons, ":")+" S relax\n"))
	return h
}

// Path returns the path of a file in the home.
func (h *Home) Path(name string) string { return filepath.Join(h.dir, name) }

// Write writes a file into the home and returns its path.
func (h *Home) Write(name string, content []byte) string {
	h.t.Helper()
	if err := os.WriteFile(h.Path(name), content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return h.Path(name)
}

// Try runs a program with this home and returns what it prints, both channels together.
func (h *Home) Try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), "GNUPGHOME="+h.dir, "LC_ALL=C"), h.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run is Try of a program that must succeed.
func (h *Home) Run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.Try(name, args...)
	if err != nil {
		h.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// Import has gpgsm take certificates (DER), without a look at revocation lists.
func (h *Home) Import(certificates ...[]byte) {
	h.t.Helper()
	h.Run("gpgsm", "--batch", "--disable-crl-checks", "--import", h.Write("import.pem", pkitest.PEM(certificates...)))
}
