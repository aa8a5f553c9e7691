package slapdtest_test

import (
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestCompanyAndPasswords(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	people := s.Search(t, s.Lookup, "-b", slapdtest.People, "-s", "one", "(objectClass=person)", "uid")
	if n := strings.Count(people, "\nuid: "); n != 10 {
		t.Errorf("%d people, want 10:\n%s", n, people)
	}
	for line := range strings.Lines(people) {
		login, ok := strings.CutPrefix(strings.TrimSpace(line), "uid: ")
		if !ok {
			continue
		}
		file := t.TempDir() + "/password"
		if err := os.WriteFile(file, []byte(slapdtest.Password(login)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Search(t, slapdtest.Account{DN: slapdtest.PersonDN(login), PasswordFile: file}, "-b", slapdtest.People, "-s", "base")
	}
}

// The rights of slapd.conf, tried with ldapmodify and ldapsearch.
func TestRights(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	alice := "dn: " + slapdtest.PersonDN("alice") + "\nchangetype: modify\n"
	entry := "dn: cn=Test CA," + slapdtest.PKI + "\nchangetype: add\nobjectClass: applicationProcess\nobjectClass: pkiCA\n"
	for _, c := range []struct {
		what string
		as   slapdtest.Account
		ldif string
		ok   bool
	}{
		{"publisher writes a certificate", s.Publisher, alice + "add: userSMIMECertificate\nuserSMIMECertificate: x\n", true},
		{"publisher marks a certificate's owner", s.Publisher, alice + "add: objectClass\nobjectClass: pkiUser\n", true},
		{"publisher makes an issuer's entry", s.Publisher, entry, true},
		{"publisher changes a mail address", s.Publisher, alice + "replace: mail\nmail: mallory@example.test\n", false},
		{"publisher changes a password", s.Publisher, alice + "replace: userPassword\nuserPassword: x\n", false},
		{"publisher adds a class", s.Publisher, alice + "add: objectClass\nobjectClass: extensibleObject\n", false},
		{"publisher joins a group", s.Publisher, "dn: " + slapdtest.GroupDN("registrars") + "\nchangetype: modify\nadd: member\nmember: " + slapdtest.PersonDN("bob") + "\n", false},
		{"publisher deletes a person", s.Publisher, "dn: " + slapdtest.PersonDN("bob") + "\nchangetype: delete\n", false},
		{"lookup writes a certificate", s.Lookup, alice + "add: userSMIMECertificate\nuserSMIMECertificate: y\n", false},
		{"lookup makes an entry", s.Lookup, strings.Replace(entry, "Test", "Other", 1), false},
	} {
		out, err := s.ModifyAs(c.as, c.ldif)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v: %s", c.what, err, out)
		}
		if !c.ok && !strings.Contains(out, "Insufficient access") {
			t.Errorf("%s: %s", c.what, out)
		}
	}
	anyone := s.Search(t, slapdtest.Account{}, "-b", slapdtest.Base, "(uid=alice)", "*", "+")
	if !strings.Contains(anyone, "mail: alice@") || strings.Contains(anyone, "employeeNumber") || strings.Contains(anyone, "userPassword") {
		t.Errorf("anybody reads:\n%s", anyone)
	}
	all := s.Search(t, s.Lookup, "-b", slapdtest.Base, "*", "+")
	if !strings.Contains(all, "employeeNumber") || strings.Contains(all, "userPassword") {
		t.Errorf("the lookup account reads:\n%s", all)
	}
}

// A password is refused before TLS, and a server without TLS has none.
func TestPlain(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	out, err := exec.Command("ldapwhoami", "-x", "-H", s.StartTLSURL(), "-D", s.Lookup.DN, "-y", s.Lookup.PasswordFile).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "onfidentiality required") {
		t.Errorf("bind without TLS: %v: %s", err, out)
	}
}

// What was written survives Stop, Kill and a new Server on the same folder; the accounts stay.
func TestTakenUpAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs slapd; not run with -short")
	}
	dir, err := child.TempDir("sp-ldap-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := slapdtest.Config{Dir: filepath.Join(dir, "the demo's folder"), Durable: true, Log: t.Output()}
	s, err := slapdtest.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.Modify(t, "dn: cn=first,"+slapdtest.PKI+"\nobjectClass: applicationProcess\n")
	s.Kill()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	again, err := slapdtest.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	if again.Lookup != s.Lookup {
		t.Error("the lookup account changed")
	}
	again.Search(t, again.Publisher, "-b", "cn=first,"+slapdtest.PKI)
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if _, err := slapdtest.Start(t.Context(), slapdtest.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v", err)
	}
}

// A certificate that is given is the one that clients see.
func TestGivenCertificate(t *testing.T) {
	t.Parallel()
	first := slapdtest.New(t)
	dir := filepath.Dir(first.TrustFile)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := os.ReadFile(first.TrustFile)
	if err != nil {
		t.Fatal(err)
	}
	second := slapdtest.NewWith(t, slapdtest.Config{Certificate: &cert, Trust: trust})
	conn, err := tls.Dial("tcp", strings.TrimPrefix(second.TLSURL(), "ldaps://"), &tls.Config{RootCAs: first.Trust})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	var pid int
	var address, dir string
	t.Run("server", func(t *testing.T) {
		s := slapdtest.New(t)
		pid, address, dir = s.PID(), strings.TrimPrefix(s.TLSURL(), "ldaps://"), s.TrustFile
	})
	if pid == 0 {
		return // -short
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", pid, err)
	}
	if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		c.Close()
		t.Error("somebody still listens on", address)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("files are left: %v", err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		slapdtest.New(b)
	}
}
