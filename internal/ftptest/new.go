package ftptest

import (
	"os"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
)

// New returns a server of the test's own; it is gone when the test ends. It sets c.Dir. With -short the test is skipped;
// a missing vsftpd fails it.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs vsftpd; not run with -short")
	}
	dir, err := child.TempDir("sp-ftp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c.Dir = dir
	if c.Log == nil {
		c.Log = t.Output()
	}
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
