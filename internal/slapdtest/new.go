package slapdtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
)

// New returns a server of the test's own, with the sample company; it is gone when the test ends. With -short the test
// is skipped; a missing slapd fails it.
func New(t testing.TB) *Server {
	t.Helper()
	return NewWith(t, Config{})
}

// NewWith is New for a server with peculiarities. It sets c.Dir.
func NewWith(t testing.TB, c Config) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs slapd; not run with -short")
	}
	dir, err := child.TempDir("sp-ldap-")
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

// Search runs ldapsearch over TLS as an account (the zero Account asks anonymously) and returns the LDIF that it
// prints, with unfolded lines.
func (s *Server) Search(t testing.TB, as Account, args ...string) string {
	t.Helper()
	out, err := s.run(as, s.TLSURL(), "", "ldapsearch", append([]string{"-LLL", "-o", "ldif-wrap=no"}, args...)...)
	if err != nil {
		t.Fatalf("ldapsearch %q: %v: %s", args, err, out)
	}
	return out
}

// Modify changes the directory as its administrator. Records without a changetype are added.
func (s *Server) Modify(t testing.TB, ldif string) {
	t.Helper()
	if out, err := s.ModifyAs(s.Admin, ldif); err != nil {
		t.Fatalf("ldapmodify: %v: %s", err, out)
	}
}

// ModifyAs changes the directory as an account, and returns what ldapmodify says.
func (s *Server) ModifyAs(as Account, ldif string) (string, error) {
	return s.run(as, s.SocketURL(), ldif, "ldapmodify", "-a")
}

func (s *Server) run(as Account, url, stdin, program string, args ...string) (string, error) {
	path, err := child.FindProgram(program)
	if err != nil {
		return "", err
	}
	args = append([]string{"-x", "-H", url}, args...)
	if as.DN != "" {
		args = append([]string{"-D", as.DN, "-y", as.PasswordFile}, args...)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"LDAPCONF=/dev/null", "LDAPTLS_CACERT=" + s.TrustFile, "HOME=" + s.conf.Dir}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
