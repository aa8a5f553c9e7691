package directory_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func names(people []directory.Person) (out []string) {
	for _, p := range people {
		out = append(out, p.Name)
	}
	return out
}

func TestSearch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ldap.Modify(t, "dn: uid=ilias,"+slapdtest.People+"\nobjectClass: inetOrgPerson\nuid: ilias\ncn: Ηλίας (Παπαδόπουλος)*\nsn: Παπαδόπουλος\nmail: ilias@example.test\n")
	for text, want := range map[string][]string{
		"alice":                 {"Alice Anders"},
		"LICE and":              {"Alice Anders"},
		"anders alice":          {"Alice Anders"},
		"robert.brown":          {"Bob Brown"},
		"müller":                {"Carol Müller-Żak"},
		"dunn":                  {"Dave Dunn"},
		"officer":               {"Olivia Officer", "Oscar Officer", "Otto Officer"},
		"παπαδ":                 {"Ηλίας (Παπαδόπουλος)*"},
		"(Παπαδόπουλος)*":       {"Ηλίας (Παπαδόπουλος)*"},
		"nobody at all":         nil,
		"**":                    nil,
		"al*ce":                 nil,
		"alice)(uid=*":          nil,
		"*)(objectClass=*":      nil,
		`\2a\2a`:                nil,
		"x)(|(userPassword=*)(": nil,
	} {
		people, more, err := b.Search(t.Context(), text, 10)
		if diff := cmp.Diff(want, names(people)); err != nil || more || diff != "" {
			t.Errorf("%q: more %t, %v %s", text, more, err, diff)
		}
	}
	found, _, err := b.Search(t.Context(), "dunn", 10)
	if err != nil || len(found) != 1 || !found[0].Disabled || found[0].Login != "dave" || found[0].ID != b.login(t, "dave").ID {
		t.Errorf("%+v %v", found, err)
	}
	for _, text := range []string{"", " ", "a", "\x00\x00", "a\nb\x01", "\xff\xfe", strings.Repeat("x", 101), "a b c d e f"} {
		_, _, err := b.Search(t.Context(), text, 10)
		is(t, fmt.Sprintf("%q", text), err, directory.ErrSearch)
	}
	b.ldap.Stop()
	_, _, err = b.Search(t.Context(), "alice", 10)
	is(t, "a directory that is away", err, directory.ErrUnavailable)
}

// A search that finds many says so, however many the server would show, and gives each of them one id, also in a race.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all strings.Builder
	for i := range 60 {
		fmt.Fprintf(&all, "dn: uid=many%02d,%s\nobjectClass: inetOrgPerson\nuid: many%02d\ncn: Many %02d\nsn: Many\n\n", i, slapdtest.People, i, i)
	}
	b.ldap.Modify(t, all.String())
	for limit, want := range map[int]int{5: 5, 0: 1, 1000: 50} {
		people, more, err := b.Search(t.Context(), "many", limit)
		if err != nil || len(people) != want || !more {
			t.Errorf("limit %d: %d people, more %t, %v", limit, len(people), more, err)
		}
	}
	fresh := with(t, b.ldap, func(c *directory.Config) { c.DB, c.Name = b.config.DB, "race" })
	found := make([][]directory.Person, 4)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			var err error
			if found[i], _, err = fresh.Search(t.Context(), "many 0", 20); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, f := range found[1:] {
		if diff := cmp.Diff(found[0], f); diff != "" || len(f) != 15 {
			t.Errorf("%d people: %s", len(f), diff)
		}
	}
	if n := b.db.Count(t, `select count(*) from directory.person where target = 'race'`); n != 15 {
		t.Errorf("%d ids", n)
	}
}

// Active Directory finds by the same words; the addresses of an account are in proxyAddresses.
func TestADSearch(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	u.User(t, "alice", "givenName: Alice", "sn: Anders-"+u.Name, "proxyAddresses: SMTP:alice@example.test", "proxyAddresses: smtp:a.jones-"+u.Name+"@example.test")
	u.User(t, "dave")
	u.Modify(t, "dn: CN=dave,"+u.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n")
	u.Contact(t, "alice-outside")
	f := inUnit(t, u)
	for text, want := range map[string][]string{"ALICE": {"alice"}, "a.jones": {"alice"}, "anders alice": {"alice"}, "dav": {"dave"}, "*)(cn=*": nil} {
		people, more, err := f.Search(t.Context(), text, 10)
		if diff := cmp.Diff(want, names(people)); err != nil || more || diff != "" {
			t.Errorf("%q: more %t, %v %s", text, more, err, diff)
		}
	}
	if found, _, err := f.Search(t.Context(), "dav", 10); err != nil || len(found) != 1 || !found[0].Disabled {
		t.Errorf("%+v %v", found, err)
	}
}
