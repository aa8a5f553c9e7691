package gal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/slapdtest"
)

// The rights that docs/gal.md asks for are those of the servers that tests run with, and the publishing account may do no
// more with people's entries.
func TestDocumentedRights(t *testing.T) {
	b := setup(t)
	page, err := os.ReadFile("../docs/gal.md")
	must(t, err)
	conf, err := os.ReadFile("../internal/slapdtest/conf.go")
	must(t, err)
	have := strings.NewReplacer("{{.People}}", slapdtest.People, "{{.Contacts}}", slapdtest.Contacts, "{{.Publisher.DN}}", b.Slapd.Publisher.DN, "{{.Lookup.DN}}", b.Slapd.Lookup.DN).Replace(string(conf))
	rules := 0
	for line := range strings.Lines(strings.ReplaceAll(string(page), "dc=com", "dc=test")) {
		if strings.HasPrefix(line, "access to ") || strings.HasPrefix(line, "\tby ") {
			rules++
			if !strings.Contains(have, strings.TrimSpace(line)) {
				t.Errorf("the tests' servers have no rule %q", line)
			}
		}
	}
	if rules != 7 {
		t.Errorf("docs/gal.md has %d lines of rules", rules)
	}
	dn := slapdtest.PersonDN("alice")
	for _, change := range []string{
		"changetype: modify\nreplace: mail\nmail: mallory@example.test\n", "changetype: modify\nreplace: userPassword\nuserPassword: x\n",
		"changetype: modify\nadd: objectClass\nobjectClass: simpleSecurityObject\n", "changetype: delete\n",
		"changetype: modrdn\nnewrdn: uid=other\ndeleteoldrdn: 1\n",
	} {
		if out, err := b.Slapd.ModifyAs(b.Slapd.Publisher, "dn: "+dn+"\n"+change); err == nil || !strings.Contains(out, "Insufficient access") {
			t.Errorf("the publishing account may: %s%s", change, out)
		}
	}
	if out, err := b.Slapd.ModifyAs(b.Slapd.Lookup, add(dn, certificates, b.twin(t).Raw)); err == nil {
		t.Errorf("the lookup account writes: %s", out)
	}
}
