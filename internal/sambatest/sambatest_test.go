package sambatest_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/sambatest"
)

func TestMain(m *testing.M) { sambatest.Main(m) }

// What a unit makes is found again, also in the global catalog and through nested groups; units do not see each other's.
func TestEntries(t *testing.T) {
	t.Parallel()
	u, other := sambatest.New(t), sambatest.New(t)
	alice := u.User(t, "alice", "title: Boss", "proxyAddresses: smtp:a.jones@example.test")
	other.User(t, "alice")
	partner := u.Contact(t, "partner")
	inner := u.Group(t, "inner", alice)
	outer := u.Group(t, "outer", inner, partner)
	for _, c := range []struct{ filter, want string }{
		{"(sAMAccountName=" + u.Login("alice") + ")", alice},
		{"(proxyAddresses=smtp:a.jones@example.test)", alice},
		{"(&(objectClass=contact)(mail=partner@example.test))", partner},
		{"(memberOf:1.2.840.113556.1.4.1941:=" + outer + ")", alice},
	} {
		if out := u.Search(t, u.Lookup, "-b", u.Base, c.filter, "dn"); !strings.Contains(out, "dn: "+c.want+"\n") {
			t.Errorf("%s: %q", c.filter, out)
		}
	}
	if out := u.Search(t, u.Lookup, "-b", u.Base, "(mail=alice@example.test)", "dn"); strings.Count(out, "dn: ") != 1 {
		t.Errorf("one alice is wanted: %s", out)
	}
	catalog := exec.Command("ldapsearch", "-x", "-LLL", "-H", u.CatalogURL(), "-D", alice, "-w", sambatest.Password, "-b", "", "(title=*)", "mail")
	catalog.Env = []string{"LDAPCONF=/dev/null", "LDAPTLS_CACERT=" + u.TrustFile}
	if out, err := catalog.CombinedOutput(); err != nil || !strings.Contains(string(out), "mail: alice@example.test") {
		t.Errorf("global catalog: %v: %s", err, out)
	}
}

// Rights as docs/gal.md has them, tried with ldapmodify.
func TestRights(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	alice := "dn: " + u.User(t, "alice") + "\nchangetype: modify\n"
	partner := "dn: " + u.Contact(t, "partner") + "\nchangetype: modify\n"
	value := base64.StdEncoding.EncodeToString([]byte("any bytes"))
	for _, c := range []struct {
		what string
		as   sambatest.Account
		ldif string
		ok   bool
	}{
		{"publisher writes a certificate", u.Publisher, alice + "add: userCertificate\nuserCertificate:: " + value + "\n", true},
		{"publisher writes an S/MIME certificate", u.Publisher, alice + "add: userSMIMECertificate\nuserSMIMECertificate:: " + value + "\n", true},
		{"publisher writes a contact's", u.Publisher, partner + "add: userCertificate\nuserCertificate:: " + value + "\n", false},
		{"publisher changes a mail address", u.Publisher, alice + "replace: mail\nmail: mallory@example.test\n", false},
		{"publisher makes a user", u.Publisher, "dn: CN=eve," + u.People + "\nobjectClass: user\nsAMAccountName: " + u.Login("eve") + "\n", false},
		{"lookup writes a certificate", u.Lookup, alice + "add: userSMIMECertificate\nuserSMIMECertificate:: " + value + "\n", false},
		{"alice writes her own", sambatest.Account{DN: "CN=alice," + u.People, PasswordFile: passwordFile(t)}, alice + "replace: title\ntitle: Boss\n", false},
	} {
		out, err := u.ModifyAs(t, c.as, c.ldif)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v: %s", c.what, err, out)
		}
		if !c.ok && !strings.Contains(out, "Insufficient access") {
			t.Errorf("%s: %s", c.what, out)
		}
	}
	if out := u.Tool(t, "user", "show", u.Login("alice"), "--attributes=userCertificate"); !strings.Contains(out, "any bytes") {
		t.Errorf("samba-tool sees no certificate: %s", out)
	}
}

func passwordFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(sambatest.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// No password goes over a connection that is not encrypted; StartTLS and Kerberos are there.
func TestWaysIn(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	alice := u.User(t, "alice")
	run := func(stdin string, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = []string{"LDAPCONF=/dev/null", "LDAPTLS_CACERT=" + u.TrustFile, "KRB5_CONFIG=" + u.Krb5Conf, "KRB5CCNAME=FILE:" + filepath.Join(t.TempDir(), "tickets")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	search := []string{"-x", "-H", u.StartTLSURL(), "-D", alice, "-w", sambatest.Password, "-b", u.People, "-s", "base"}
	if out, err := run("", "ldapsearch", search...); err == nil || !strings.Contains(out, "Strong(er) authentication required") {
		t.Errorf("without TLS: %v: %s", err, out)
	}
	if out, err := run("", "ldapsearch", append(search, "-ZZ")...); err != nil {
		t.Errorf("StartTLS: %v: %s", err, out)
	}
	if out, err := run(sambatest.Password+"\n", "kinit", u.Login("alice")); err != nil {
		t.Errorf("kinit: %v: %s", err, out)
	}
	if out, err := run("wrong\n", "kinit", u.Login("alice")); err == nil {
		t.Errorf("kinit with a wrong password: %s", out)
	}
}

// A test binary that is killed leaves no process behind.
func TestKilledBinary(t *testing.T) {
	const victim = "SEALPOST_SAMBATEST_VICTIM"
	if os.Getenv(victim) != "" {
		s := sambatest.Shared(t)
		fmt.Printf("victim %s %s\n", s.TLSURL(), filepath.Dir(s.Krb5Conf))
		select {}
	}
	t.Parallel()
	sambatest.Shared(t) // or -short
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledBinary$")
	cmd.Env = append(os.Environ(), victim+"=yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url, dir string
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "victim" {
			url, dir = words[1], words[2]
		}
	}
	if url == "" {
		t.Fatalf("no controller: %v", cmd.Wait())
	}
	defer os.RemoveAll(dir)
	if n := len(processes(t, dir)); n < 2 {
		t.Errorf("%d processes work in the folder, fewer than python and samba", n)
	}
	if !listens(url) {
		t.Error("nobody listens while it lives")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for end := time.Now().Add(2 * time.Minute); len(processes(t, dir)) > 0 || listens(url); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left: %q, listening: %v", processes(t, dir), listens(url))
		}
	}
}

// processes returns those that work in the folder.
func processes(t *testing.T, dir string) (list []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if at, err := os.Readlink(l); err == nil && at == dir {
			list = append(list, l)
		}
	}
	return list
}

func listens(url string) bool {
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "ldaps://"), time.Minute)
	if err == nil {
		c.Close()
	}
	return err == nil
}
