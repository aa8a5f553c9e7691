package directory_test

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestNewPrincipals(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"(uid={name})", "(krbPrincipalName={principal})", "(|(userPrincipalName={principal})(sAMAccountName={name}))", "(&(objectClass=person)(uid={name}))"} {
		if _, err := directory.NewPrincipals("rfc4523", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "uid={name}", "(uid=*)", "(uid={name}*)", "(uid>={name})", "(uid={name}", "(!(uid={name}))", "(&(uid={name})(!(a=b)))", "({name}=uid)", "(uid={name}{name})", "(uid={mailbox})", "(&(uid={name})(x={name)})"} {
		if _, err := directory.NewPrincipals("rfc4523", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := directory.NewPrincipals("ad", ""); err != nil {
		t.Errorf("Active Directory needs no filter: %v", err)
	}
}

// A principal is a person's if the entry says so letter for letter, and only if one does.
func TestByPrincipal(t *testing.T) {
	t.Parallel()
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{More: "dn: uid=v," + slapdtest.People + "\nobjectClass: inetOrgPerson\nuid: v\ncn: V\nsn: V\nmail: alice@example.test\n"}))
	name, err := directory.NewPrincipals("rfc4523", "(uid={name})")
	is(t, "name", err, nil)
	whole, err := directory.NewPrincipals("rfc4523", "(mail={principal})")
	is(t, "whole", err, nil)
	for _, c := range []struct {
		by    *directory.Principals
		name  string
		login string
		err   error
	}{
		{name, "bob", "bob", nil}, {name, "BOB", "bob", nil}, {whole, "bob", "bob", nil}, {name, "dave", "dave", nil},
		{whole, "alice", "", directory.ErrSeveral}, // two have the address
		{name, "ｂob", "", directory.ErrUnknownPerson}, {name, "bob ", "", directory.ErrUnknownPerson}, {name, "b*", "", directory.ErrUnknownPerson},
		{name, "", "", directory.ErrUnknownPerson}, {name, "bob/admin", "", directory.ErrUnknownPerson}, {name, "*)(uid=bob", "", directory.ErrUnknownPerson},
		{name, "bob\x00", "", directory.ErrUnknownPerson}, {name, strings.Repeat("b", 300), "", directory.ErrUnknownPerson}, {whole, "bob@example.test", "", directory.ErrUnknownPerson},
	} {
		p, err := b.ByPrincipal(t.Context(), c.by, c.name, "EXAMPLE.TEST")
		is(t, c.name, err, c.err)
		if err == nil && p.Login != c.login {
			t.Errorf("%s is %s", c.name, p.Login)
		}
	}
}
