package directory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestNewFinder(t *testing.T) {
	for _, good := range []string{"", "(mail={mailbox})", "(|(mail={mailbox})(proxyAddresses=smtp:{mailbox}))", "(&(objectClass=person)(!(objectClass=device))(mail={mailbox}))"} {
		if _, err := directory.NewFinder(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"mail={mailbox}", "(mail=*)", "(mail=*{mailbox})", "(mail>={mailbox})", "(mail={mailbox}", "(!(mail={mailbox}))", "(&(a=b)(!(|(c=d)(mail={mailbox}))))",
		"({mailbox}=mail)", "(mail={mailbox})(", "(mail={mailbox}{mailbox})", "(mail:caseExactMatch:={mailbox})", "(&(mail={mailbox})(x={mailbox)})"} {
		if _, err := directory.NewFinder(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func FuzzNewFinder(f *testing.F) {
	for _, seed := range []string{"", "(mail={mailbox})", "(|(mail={mailbox})(!(a={mailbox})))", "(mail=\\2a{mailbox})"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		if _, err := directory.NewFinder(template); err == nil && template != "" && !strings.Contains(template, "={") && !strings.Contains(template, "{mailbox}") {
			t.Errorf("%q names no address", template)
		}
	})
}

// Entries are found by any of the forms of an address, and tell which addresses lead to them.
func TestHoldingsAt(t *testing.T) {
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{More: "dn: uid=u," + slapdtest.People + "\nobjectClass: inetOrgPerson\nuid: u\ncn: U\nsn: U\n" +
		"mail: Umlaut@xn--mller-kva.test\ndescription: SMTP:second@example.test\ndescription: x400:third@example.test\n\n" +
		"dn: uid=v," + slapdtest.People + "\nobjectClass: inetOrgPerson\nuid: v\ncn: V\nsn: V\nmail: alice@example.test\n"}))
	f, err := directory.NewFinder("(|(mail={mailbox})(description=smtp:{mailbox}))")
	is(t, "finder", err, nil)
	asked := []string{"umlaut@müller.test", "second@example.test", "third@example.test", "alice@example.test", "*@example.test", "bob@example.test"}
	got, err := b.HoldingsAt(t.Context(), f, asked, directory.UserCertificate)
	is(t, "holdings", err, nil)
	for m, n := range map[string]int{"umlaut@xn--mller-kva.test": 1, "second@example.test": 1, "third@example.test": 0, "alice@example.test": 2, "*@example.test": 0, "bob@example.test": 1} {
		if got[m].Entries != n {
			t.Errorf("%s leads to %d entries, want %d", m, got[m].Entries, n)
		}
	}
	if have := got["second@example.test"].Mailboxes; !slices.Equal(have, []string{"umlaut@xn--mller-kva.test", "second@example.test"}) {
		t.Errorf("addresses: %q", have)
	}
	for _, bad := range []string{"alice@example.test", "nobody@example.test", "*", "*@example.test"} {
		want := directory.ErrUnknownPerson
		if bad == "alice@example.test" {
			want = directory.ErrSeveral
		}
		is(t, bad, b.ReviseAt(t.Context(), f, bad, []directory.Attribute{directory.UserCertificate}, func(directory.Holding) map[directory.Attribute]directory.Change { return nil }), want)
	}
}
