package directory_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// ldifValue is a line of LDIF.
func ldifValue(attribute string, value []byte) string {
	return attribute + ":: " + base64.StdEncoding.EncodeToString(value) + "\n"
}

// Whatever a value holds, the filter that is made of it asserts exactly that value and nothing else.
func FuzzFilter(f *testing.F) {
	for _, v := range []string{"alice", "", "*", "a*", "(", ")", "\\", "\x00", "a)(uid=*", "*)(|(uid=*", "\\2a", "\xff\xfe", "grün", " x ", "&|!=~<>:;"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		filter := directory.Equals("uid", value)
		attribute, got, ok := directory.CompiledValue(filter)
		if !ok || attribute != "uid" || got != value {
			t.Errorf("%q became the filter %s, which asserts %q = %q", value, filter, attribute, got)
		}
	})
}

// A name that is accepted means the same after it was written in the normal form that is sent, and is below what it is
// said to be below.
func FuzzDN(f *testing.F) {
	for _, v := range []string{"cn=a", "cn=a,dc=b", "CN = a + OU=b , dc=c", `cn=a\,b,dc=c`, `cn=\C3\A9,dc=c`, "cn=#0403414243,dc=x", "cn=a;dc=b", "", "=", ",", "cn=a,,dc=b",
		`cn=a\`, "cn=\xff", `cn= \ a\ ,dc=b`, "1.2.3=#040141,dc=b", "\t0\xc8=\x10\xbf",
		"\t=x", "cn=a,1.=b", `cn=\ff`, strings.Repeat("cn=\u00fc,", 500) + "cn=x"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, in string) {
		normal, err := directory.NormalDN(in)
		if err != nil {
			return
		}
		again, err := directory.NormalDN(normal)
		if err != nil || again != normal {
			t.Errorf("%q is %q, and that is %q, %v", in, normal, again, err)
		}
		if !directory.Within(in, normal) || !directory.Within("cn=x,"+normal, in) || directory.Within(in, "cn=x,"+normal) {
			t.Errorf("%q: its place is not its place", in)
		}
	})
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dn, base string
		want     bool
	}{
		{"cn=a,ou=pki,dc=x", "ou=pki,dc=x", true},
		{"ou=pki,dc=x", "ou=pki,dc=x", true},
		{"CN=a,OU=PKI,DC=X", "ou=pki, dc=x", true},
		{"cn=a,ou=b,ou=pki,dc=x", "ou=pki,dc=x", true},
		{"dc=x", "ou=pki,dc=x", false},
		{"cn=a,ou=people,dc=x", "ou=pki,dc=x", false},
		{`cn=a\,ou=pki,dc=x`, "ou=pki,dc=x", false},
		{`cn=a,xou=pki,dc=x`, "ou=pki,dc=x", false},
	} {
		if got := directory.Within(c.dn, c.base); got != c.want {
			t.Errorf("%s within %s: %v", c.dn, c.base, got)
		}
	}
}

// adDirectory is a directory of the dialect ad that is never asked.
func adDirectory(t *testing.T) *directory.Directory {
	t.Helper()
	c := decode(t, sample)
	c.Dialect, c.Membership, c.LookupPassword, c.PublisherPassword = "ad", "", "x", "x"
	c.People.Filter = ""
	c.DB = pgtest.New(t)
	c.Now = func() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }
	d, err := directory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// An entry as Active Directory shows it.
func TestActiveDirectoryEntry(t *testing.T) {
	t.Parallel()
	d := adDirectory(t)
	guid, err := hex.DecodeString("00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	entry := func(control, expires string) map[string][]string {
		return map[string][]string{
			"objectGUID": {string(guid)}, "sAMAccountName": {"alice"}, "userPrincipalName": {"alice@ad.example.test"},
			"displayName": {"Alice Anders"}, "cn": {"Anders, Alice"}, "givenName": {"Alice"}, "sn": {"Anders"}, "employeeID": {"1001"},
			"mail":               {"Alice.Anders@example.test"},
			"proxyAddresses":     {"smtp:alice@example.test", "SMTP:Alice.Anders@Example.test", "X500:/o=ExchangeLabs", "smtp:alice@bücher.example"},
			"userAccountControl": {control}, "accountExpires": {expires},
		}
	}
	const never = "9223372036854775807"
	id, got, _, err := d.ReadEntry("CN=Anders\\, Alice,CN=Users,DC=ad", entry("66048", never))
	want := directory.Person{Login: "alice", DN: "CN=Anders\\, Alice,CN=Users,DC=ad", Name: "Alice Anders", GivenName: "Alice", Surname: "Anders", Employee: "1001",
		Mailboxes: []string{"Alice.Anders@example.test", "alice@example.test", "alice@xn--bcher-kva.example"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || id != "33221100-5544-7766-8899-aabbccddeeff" {
		t.Errorf("%s %v %s", id, err, diff)
	}
	for _, c := range []struct {
		control, expires string
		disabled         bool
	}{
		{"512", "0", false}, {"514", "0", true}, {"66050", never, true}, {"", "", false}, {"x", "y", false},
		{"512", "134170992000000000", true},  // 2026-03-04 12:00
		{"512", "134170992000000001", false}, // 100 ns later
		{"512", "116444736000000000", true},  // 1970
	} {
		if _, p, _, err := d.ReadEntry("CN=x", entry(c.control, c.expires)); err != nil || p.Disabled != c.disabled {
			t.Errorf("control %s, expires %s: disabled %v, %v", c.control, c.expires, p.Disabled, err)
		}
	}
	bad := entry("512", "0")
	bad["objectGUID"] = []string{"short"}
	if _, _, _, err := d.ReadEntry("CN=x", bad); err == nil {
		t.Error("an entry without a proper objectGUID is read")
	}
}

func TestActiveDirectoryFilters(t *testing.T) {
	t.Parallel()
	d := adDirectory(t)
	if got := d.LoginFilter("a*"); got != `(|(sAMAccountName=a\2a)(userPrincipalName=a\2a))` {
		t.Error(got)
	}
	want := `(|(mail=a@xn--bcher-kva.example)(proxyAddresses=smtp:a@xn--bcher-kva.example)` +
		`(mail=a@b\c3\bccher.example)(proxyAddresses=smtp:a@b\c3\bccher.example))`
	if got := d.MailboxFilter("a@xn--bcher-kva.example"); got != want {
		t.Error(got)
	}
	value, err := directory.GUIDValue("33221100-5544-7766-8899-aabbccddeeff")
	if err != nil || hex.EncodeToString([]byte(value)) != "00112233445566778899aabbccddeeff" {
		t.Errorf("%x %v", value, err)
	}
	if back, err := directory.ParseGUID([]byte(value)); err != nil || back != "33221100-5544-7766-8899-aabbccddeeff" {
		t.Errorf("%s %v", back, err)
	}
}

// What is no text in an entry is left out, the rest is kept.
func TestBadText(t *testing.T) {
	t.Parallel()
	d := adDirectory(t)
	_, p, _, err := d.ReadEntry("CN=x", map[string][]string{"objectGUID": {strings.Repeat("x", 16)}, "sAMAccountName": {"x"},
		"displayName": {"a\x00b"}, "cn": {"Proper Name"}, "givenName": {"\xff"}, "sn": {strings.Repeat("x", 300)}, "employeeID": {" 7 "}})
	want := directory.Person{Login: "x", DN: "CN=x", Name: "Proper Name", Employee: "7"}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if p.Actor(audit.MethodSystem, 0).Has(audit.Subscriber) {
		t.Error("a role from nowhere")
	}
}
