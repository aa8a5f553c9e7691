package directory_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

const sample = `
name: company
urls: ["ldaps://ldap1.example.com", "ldap://ldap2.example.com:1389/", "ldapi://%2Frun%2Fldapi"]
trust_file: ldap-ca.pem
lookup: {dn: "cn=lookup,dc=example,dc=com", password_file: lookup.password}
publisher: {dn: "cn=publisher,dc=example,dc=com", password_file: publisher.password}
people: {base: "ou=people,dc=example,dc=com", filter: "(&(objectClass=person)(!(employeeType=robot)))"}
disabled:
  - {attribute: employeeType, value: left}
  - {attribute: shadowFlag, bits: 4}
roles:
  - {role: registrar, group: "cn=registrars,ou=groups,dc=example,dc=com"}
membership: memberOf
decoy: "cn=decoy,dc=example,dc=com"
authorities: {base: "ou=pki,dc=example,dc=com", create: true}
cache: 30s
connections: 16
connect_timeout: 2s
timeout: 1m
`

func decode(t testing.TB, text string) directory.Config {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	var c directory.Config
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigFile(t *testing.T) {
	t.Parallel()
	c := decode(t, sample)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Cache != 30*time.Second || c.Roles[0].Role != audit.Registrar || c.Disabled[1].Bits != 4 || !c.Authorities.Create {
		t.Errorf("%+v", c)
	}
	if c.LookupPassword = "secret-word"; strings.Contains(marshal(t, c), "secret-word") {
		t.Error("the password is written into the file")
	}
}

func marshal(t testing.TB, c directory.Config) string {
	t.Helper()
	b, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every fault is reported at once, each with its path.
func TestConfigFaults(t *testing.T) {
	t.Parallel()
	c := decode(t, `
dialect: x500
urls: ["http://h", "ldaps://", "ldaps://u:p@h", "ldap://h/dc=x", "ldapi://", "ldapi://run", "ldaps://h?x", "", "cldap://h", "ldaps://h:p:q"]
publisher: {dn: "nonsense"}
people: {base: "dc=", filter: "(uid=x"}
disabled: [{attribute: "a)(b", value: x}, {attribute: a}, {attribute: a, value: x, bits: 1}]
roles: [{role: king, group: "cn=x"}, {role: subscriber, group: "cn=x"}, {role: auditor}]
membership: maybe
decoy: "x"
authorities: {create: true}
cache: -1s
connections: 1000
connect_timeout: -1s
timeout: -1s
`)
	var got []string
	for line := range strings.Lines(fmt.Sprint(c.Validate())) {
		path, _, _ := strings.Cut(line, ": ")
		got = append(got, path)
	}
	want := []string{"name", "dialect"}
	for i := range 10 {
		want = append(want, fmt.Sprintf("urls[%d]", i))
	}
	want = append(want, "lookup", "publisher", "publisher.dn", "people.base", "people.filter", "decoy", "authorities.base",
		"disabled[0].attribute", "disabled[1]", "disabled[2]", "roles[0].role", "roles[1].role", "roles[2].group", "membership", "connections", "cache",
		"connect_timeout", "timeout")
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("faults of:\n%s\nwant:\n%s", g, w)
	}
	if (directory.Config{}).Validate() == nil {
		t.Error("the empty configuration is valid")
	}
	if _, err := directory.New(c); err == nil {
		t.Error("a directory was made of it")
	}
}
