package sambatest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
)

// Realm is the domain as Kerberos names it.
const Realm = "AD.TEST"

// Computer makes an account as a computer has it that has joined the domain, and returns its name, which ends in $. The lines are further
// ones of LDIF ("managedBy: …").
func (u *Unit) Computer(t testing.TB, name string, lines ...string) string {
	t.Helper()
	const workstation, dontExpirePassword = 0x1000, 0x10000
	account := strings.ToUpper(u.Login(name))
	u.Modify(t, fmt.Sprintf("dn: CN=%s,%s\nobjectClass: computer\nsAMAccountName: %s$\ndNSHostName: %s.ad.test\nuserAccountControl: %d\nunicodePwd:: %s\n",
		account, u.Base, account, strings.ToLower(account), workstation|dontExpirePassword, unicodePassword(Password))+ldifLines(lines))
	return account + "$"
}

// Keytab returns a new file with the keys of a principal of the domain, as an administrator exports them on the controller.
func (s *Server) Keytab(t testing.TB, principal string) string {
	t.Helper()
	program, err := child.FindProgram("samba-tool")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keytab")
	cmd := exec.CommandContext(t.Context(), program, "domain", "exportkeytab", file, "--principal="+principal, "--configfile="+s.path("smb.conf"))
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "KRB5_CONFIG=" + s.Krb5Conf, "LC_ALL=C.UTF-8"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("samba-tool domain exportkeytab %s: %v: %s", principal, err, out)
	}
	return file
}

// Kinit returns a new ticket cache of a principal that has the sample people's password.
func (s *Server) Kinit(t testing.TB, principal string) string {
	t.Helper()
	return s.kinit(t, Password+"\n", principal)
}

// KinitTo returns a new ticket cache with a ticket to a service alone, got with the password itself.
func (s *Server) KinitTo(t testing.TB, principal, service string) string {
	t.Helper()
	return s.kinit(t, Password+"\n", "-S", service, principal)
}

// KinitWith is Kinit by a keytab.
func (s *Server) KinitWith(t testing.TB, principal, keytab string) string {
	t.Helper()
	return s.kinit(t, "", "-k", "-t", keytab, principal)
}

func (s *Server) kinit(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	program, err := child.FindProgram("kinit")
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "tickets")
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Stdin = s.Env(cache), strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kinit %q: %v: %s", args, err, out)
	}
	return cache
}

// Env is the environment of a program that uses a ticket cache.
func (s *Server) Env(cache string) []string {
	return []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "KRB5_CONFIG=" + s.Krb5Conf, "KRB5CCNAME=FILE:" + cache, "LC_ALL=C.UTF-8"}
}
