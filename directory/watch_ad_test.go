package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// tells fails the test unless one look tells on exactly this.
func (f *forest) tells(t testing.TB, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	got, err := look(t, f.Directory)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %q, %v, want %q", what, got, err, want)
	}
}

func (f *forest) watched(t testing.TB) directory.Watched {
	t.Helper()
	w, err := f.Watched(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// People who come, change and leave in Active Directory; and one who is deleted, where the account may see what was.
func TestADWatch(t *testing.T) {
	t.Parallel()
	for name, as := range map[string]func(*sambatest.Unit) sambatest.Account{
		"user": func(u *sambatest.Unit) sambatest.Account { return u.Lookup }, "administrator": func(u *sambatest.Unit) sambatest.Account { return u.Admin },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := sambatest.New(t)
			f := inUnit(t, u, func(c *directory.Config) {
				c.Lookup, c.LookupPassword = directory.Account{DN: as(u).DN, PasswordFile: as(u).PasswordFile}, as(u).Password
			})
			for _, name := range []string{"alice", "bob", "carol", "dave"} {
				f.User(t, name)
				f.login(t, name)
			}
			f.tells(t, "at first")
			began := f.watched(t).Lost
			if began == nil {
				t.Fatal("at first, nobody knows what changed before")
			}
			f.tells(t, "nothing")
			f.Tool(t, "user", "disable", f.Login("alice"))
			f.tells(t, "a leaver", "alice disabled alice@example.test")
			f.Tool(t, "user", "enable", f.Login("alice"))
			f.tells(t, "is back", "alice active alice@example.test")
			change := "dn: CN=%s," + f.People + "\nchangetype: modify\nreplace: %s\n%[2]s: %s\n"
			f.Modify(t, fmt.Sprintf(change, "bob", "proxyAddresses", "smtp:robert@example.test"))
			f.tells(t, "another address", "bob active bob@example.test robert@example.test")
			f.Modify(t, fmt.Sprintf(change, "bob", "proxyAddresses", "smtp:r.brown@example.test")+"\n"+fmt.Sprintf(change, "carol", "proxyAddresses", "smtp:robert@example.test"))
			f.tells(t, "an address moves", "bob active bob@example.test r.brown@example.test", "carol active carol@example.test robert@example.test")
			f.User(t, "nora")
			f.User(t, "nina", "accountExpires: "+windowsTime(time.Now().Add(-time.Hour)))
			f.Contact(t, "partner")
			f.tells(t, "a joiner", "nora active nora@example.test joined")
			f.Modify(t, fmt.Sprintf(change, "nina", "accountExpires", "0"))
			f.tells(t, "may begin", "nina active nina@example.test joined")
			f.Modify(t, "dn: CN=dave,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=dave\ndeleteoldrdn: 1\nnewsuperior: "+f.Base+"\n")
			f.tells(t, "moved away", "gone")
			f.Modify(t, "dn: CN=carol,"+f.People+"\nchangetype: delete\n")
			if name == "administrator" {
				f.tells(t, "deleted", "gone")
			} else {
				f.tells(t, "deleted, and not shown")
			}
			if w := f.watched(t); !w.Lost.Equal(*began) || w.Pending != 0 || w.Failing != nil {
				t.Errorf("in the end: %+v", w)
			}
			// Another server of the domain, or one whose data was put back: its number is not this one's.
			if err := exec(t, f.config.DB, "directory", `update directory.watermark set mark = '0999999999999999999'`); err != nil {
				t.Fatal(err)
			}
			f.tells(t, "went back")
			if w := f.watched(t); !w.Lost.After(*began) {
				t.Error("a server that went back was trusted")
			}
			if err := exec(t, f.config.DB, "directory", `update directory.watermark set server = 'another'`); err != nil {
				t.Fatal(err)
			}
			before := f.watched(t).Lost
			f.tells(t, "another server")
			if w := f.watched(t); !w.Lost.After(*before) {
				t.Error("another server was trusted")
			}
			f.Modify(t, fmt.Sprintf(change, "alice", "title", "Boss"))
			f.tells(t, "goes on", "alice active alice@example.test")
		})
	}
}

// Many changes at once come in pages.
func TestADWatchManyChanges(t *testing.T) {
	t.Parallel()
	const many = 620
	f := inForest(t)
	f.tells(t, "at first")
	var ldif strings.Builder
	for n := range many {
		fmt.Fprintf(&ldif, "dn: CN=person%03d,%s\nobjectClass: user\nsAMAccountName: %s\nuserAccountControl: 544\nmail: p%[1]d@example.test\n\n", n, f.People, f.Login(fmt.Sprintf("p%d", n)))
	}
	f.Modify(t, ldif.String())
	got, err := look(t, f.Directory)
	if err != nil || len(got) != many || len(slices.Compact(got)) != many {
		t.Errorf("%d of %d joined, %v", len(got), many, err)
	}
	f.tells(t, "and no more")
}
