package sambatest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// Password is every sample person's.
const Password = "Sample-Passw0rd"

// Login returns what a name's login is in this unit: logins are unique in a domain.
func (u *Unit) Login(name string) string { return fmt.Sprintf("%s-%d", name, u.number) }

// User makes somebody who can log in, with a mail address at example.test and further lines of LDIF ("title: Boss"), and returns
// the name of the entry.
func (u *Unit) User(t testing.TB, name string, lines ...string) string {
	t.Helper()
	dn := "CN=" + name + "," + u.People
	a := Account{Name: u.Login(name), DN: dn, Password: Password}
	u.Modify(t, strings.TrimSuffix(a.ldif(), "\n")+"displayName: "+name+"\nmail: "+name+"@example.test\n"+ldifLines(lines))
	return dn
}

// Contact makes somebody outside the company, and returns the name of the entry.
func (u *Unit) Contact(t testing.TB, name string, lines ...string) string {
	t.Helper()
	dn := "CN=" + name + "," + u.People
	u.Modify(t, "dn: "+dn+"\nobjectClass: contact\ndisplayName: "+name+"\nmail: "+name+"@example.test\n"+ldifLines(lines))
	return dn
}

// Group makes a group with members, and returns the name of the entry.
func (u *Unit) Group(t testing.TB, name string, members ...string) string {
	t.Helper()
	dn := "CN=" + name + "," + u.Groups
	ldif := "dn: " + dn + "\nobjectClass: group\nsAMAccountName: " + u.Login(name) + "\n"
	for _, m := range members {
		ldif += "member: " + m + "\n"
	}
	u.Modify(t, ldif)
	return dn
}

// Account makes an account with a password of its own and no rights.
func (u *Unit) Account(t testing.TB, name string) Account {
	t.Helper()
	a, err := u.account(u.Login(name), u.Base)
	if err != nil {
		t.Fatal(err)
	}
	u.Modify(t, a.ldif())
	return a
}

// ldif is the entry of a user whose password does not expire.
func (a Account) ldif() string {
	const normalAccount, dontExpirePassword = 0x200, 0x10000
	return fmt.Sprintf("dn: %s\nobjectClass: user\nsAMAccountName: %s\nuserPrincipalName: %s@ad.test\nuserAccountControl: %d\nunicodePwd:: %s\n\n",
		a.DN, a.Name, a.Name, normalAccount|dontExpirePassword, unicodePassword(a.Password))
}

// unicodePassword is how a password is written: quoted, in UTF-16, for LDIF in base64.
func unicodePassword(p string) string {
	var b []byte
	for _, c := range utf16.Encode([]rune(`"` + p + `"`)) {
		b = append(b, byte(c), byte(c>>8))
	}
	return base64.StdEncoding.EncodeToString(b)
}

func ldifLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
