package directory_test

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealpost/sealpost/directory"
)

func TestAttributeURL(t *testing.T) {
	t.Parallel()
	address, dn, attribute, filter, err := directory.ParseAttributeURL("ldap://ldap.example.test/cn=Issuing%20CA%5C%2C%201,ou=pki?certificateRevocationList;binary?base?objectClass=cRLDistributionPoint")
	if err != nil || address != "ldap.example.test:389" || dn != `cn=Issuing CA\, 1,ou=pki` || attribute != "certificateRevocationList;binary" || filter != "(objectClass=cRLDistributionPoint)" {
		t.Errorf("%q %q %q %q %v", address, dn, attribute, filter, err)
	}
}

func TestPartitionDN(t *testing.T) {
	t.Parallel()
	for dn, want := range map[string]string{
		"cn=Issuing CA 1,ou=pki,dc=example": "cn=Issuing CA 1-3,ou=pki,dc=example",
		`cn=CA\, one,dc=example`:            `cn=CA\, one-3,dc=example`,
	} {
		if got, err := directory.PartitionDN(dn, "3"); err != nil || got != want {
			t.Errorf("%s: %s, %v", dn, got, err)
		}
	}
	for _, dn := range []string{"", "x", "ou=pki,dc=example", "cn=a+ou=b,dc=example"} {
		_, err := directory.PartitionDN(dn, "3")
		is(t, dn, err, directory.ErrEntryName)
	}
}

// Whatever a certificate says, what is asked of a directory is a name, one attribute and a filter.
func FuzzAttributeURL(f *testing.F) {
	for _, s := range []string{
		"ldap://h/cn=x?certificateRevocationList;binary", "ldaps://h:1/cn=x,dc=y?a?sub?(b=c)", "ldap://[::1]/cn=x?a?one?b=c?x=y", "ldap:///cn=x?a",
		"ldap://h/cn=%00?a", "ldap://h/cn=x?a?base?(&(b=c)(!(d=*)))", "ldap://h/cn=x?a;b?base?(b=\\zz)", "LDAP://h/CN=X?A", "ldap://h", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, dn, attribute, filter, err := directory.ParseAttributeURL(s)
		if err != nil {
			return
		}
		if address == "" || attribute == "" {
			t.Errorf("%q: nobody, or nothing, is asked", s)
		}
		if _, err := directory.ParseDN(dn); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := ldap.CompileFilter(filter); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}
