package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// watched is what one look told on, by the people's names, as "Name standing addresses".
func (b *bench) watched(t testing.TB) []string {
	t.Helper()
	out, err := look(t, b.Directory)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func look(t testing.TB, d *directory.Directory) (out []string, err error) {
	t.Helper()
	out = []string{}
	err = d.Watch(t.Context(), func(_ context.Context, list []directory.Changed) error {
		for _, c := range list {
			s := strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Name, c.Standing, strings.Join(c.Mailboxes, " ")))
			if c.Joined {
				s += " joined"
			}
			out = append(out, s)
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// tells fails the test unless one look tells on exactly this; or, where values of one second do not tell two changes within it
// apart, this among what was told before.
func (b *bench) tells(t testing.TB, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	got := b.watched(t)
	if b.twice {
		got = slices.DeleteFunc(got, func(s string) bool { return !slices.Contains(want, s) })
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// nextSecond waits until what was made before has another time to the second.
func nextSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
}

func (b *bench) lost(t testing.TB) *time.Time {
	t.Helper()
	w, err := b.Watched(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w.Lost
}

const (
	disable = "\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n"
	enable  = "\nchangetype: modify\ndelete: employeeType\n"
)

func address(list ...string) string {
	return "\nchangetype: modify\nreplace: mail\nmail: " + strings.Join(list, "\nmail: ") + "\n"
}

func newcomer(login string, more ...string) string {
	return "dn: " + slapdtest.PersonDN(login) + "\nobjectClass: inetOrgPerson\nuid: " + login + "\ncn: " + login + "\nsn: " + login +
		"\nmail: " + login + "@example.test\n" + strings.Join(more, "\n")
}

// Marks are the ways in which changes are found in a directory of OpenLDAP's kind: with the number that OpenLDAP gives every
// change, and with the time to the second, which is all that other servers have.
func TestWatch(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"entryCSN": "", "modifyTimestamp": "access to attrs=entryCSN by * none"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := with(t, slapdtest.NewWith(t, slapdtest.Config{First: first}))
			b.twice = first != ""
			nextSecond()
			for _, login := range []string{"alice", "bob", "carol"} {
				b.login(t, login)
			}
			b.tells(t, "at first")
			if b.lost(t) == nil {
				t.Error("at first, nobody knows what changed before")
			}
			before := b.lost(t)
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
			b.tells(t, "a leaver", "Alice Anders disabled alice@example.test")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+enable)
			b.tells(t, "is back", "Alice Anders active alice@example.test")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+address("bob@example.test")+"\ndn: "+slapdtest.PersonDN("carol")+address("carol@example.test", "robert.brown@example.test"))
			b.tells(t, "an address moves", "Bob Brown active bob@example.test", "Carol Müller-Żak active carol@example.test robert.brown@example.test")
			b.ldap.Modify(t, newcomer("nora"))
			b.tells(t, "a joiner", "nora active nora@example.test joined")
			b.ldap.Modify(t, newcomer("nina", "employeeType: disabled"))
			b.tells(t, "a joiner who may not begin yet")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("nina")+enable)
			b.tells(t, "may begin", "nina active nina@example.test joined")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("nina")+"\nchangetype: modify\nreplace: title\ntitle: Boss\n")
			b.tells(t, "known by now", "nina active nina@example.test")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n")
			b.tells(t, "another login", "Alice Anders active alice@example.test")
			b.ldap.Modify(t, "dn: uid=alicia,"+slapdtest.People+"\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\nnewsuperior: ou=services,"+slapdtest.Base+"\n")
			b.tells(t, "moved away", "gone")
			b.ldap.Modify(t, "dn: "+slapdtest.GroupDN("operators")+"\nchangetype: modify\nreplace: description\ndescription: changed\n")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("otto")+"\nchangetype: modify\nreplace: title\ntitle: Unknown\n")
			b.tells(t, "nobody whom we know")
			if now := b.lost(t); !now.Equal(*before) {
				t.Error("nothing was lost, and everybody is looked at")
			}
			for kind, want := range map[string]int64{"person.joined": 2, "person.recorded": 5} {
				if n := b.db.Count(t, `select count(*) from audit.event where kind = $1`, kind); n != want {
					t.Errorf("%d events %s, want %d", n, kind, want)
				}
			}
		})
	}
}

// What changed while nobody looked, in another server's time or through a restart, is told on by whoever looks next, once.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	b.login(t, "bob")
	b.tells(t, "at first")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+disable)
	// Who is told fails: nothing is told on.
	failure := errors.New("the process ended")
	if err := b.Watch(t.Context(), func(context.Context, []directory.Changed) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("failed: %v", err)
	}
	w, err := b.Watched(t.Context())
	if err != nil || w.Pending != 2 || w.Failing == nil || w.Failure == "" {
		t.Errorf("failed: %+v, %v", w, err)
	}
	// Another process goes on, with what changed meanwhile.
	other, err := directory.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+enable)
	got, err := look(t, other)
	if want := []string{"Alice Anders disabled alice@example.test", "Bob Brown active bob@example.test robert.brown@example.test"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("another process: %q, %v", got, err)
	}
	b.tells(t, "told on already")
	if w, err = b.Watched(t.Context()); err != nil || w.Pending != 0 || w.Failing != nil || w.At == nil {
		t.Errorf("good again: %+v, %v", w, err)
	}
}

// An entry that changes while it is told on is told on again.
func TestWatchWhileItChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	b.tells(t, "at first")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	var once sync.Once
	err := b.Watch(t.Context(), func(context.Context, []directory.Changed) error {
		once.Do(func() { b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+enable) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.tells(t, "afterwards", "Alice Anders active alice@example.test")
	b.tells(t, "and no more")
}

// Of two servers that look at the same time, one does.
func TestOneWatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	b.tells(t, "at first")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	config := b.config
	config.DB = pgtest.Open(t, b.db) // a process of its own
	other, err := directory.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	var told atomic.Int64
	err = b.Watch(t.Context(), func(_ context.Context, list []directory.Changed) error {
		told.Add(int64(len(list)))
		return other.Watch(t.Context(), func(context.Context, []directory.Changed) error {
			t.Error("two at once")
			return nil
		})
	})
	if err != nil || told.Load() != 1 {
		t.Errorf("%d, %v", told.Load(), err)
	}
}

// A server that is away delays, and what it does not say is not told.
func TestWatchWithoutADirectory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	b.tells(t, "at first")
	b.ldap.Stop()
	if _, err := look(t, b.Directory); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("stopped: %v", err)
	}
	if w, err := b.Watched(t.Context()); err != nil || w.Failing == nil {
		t.Errorf("stopped: %+v, %v", w, err)
	}
	if err := b.ldap.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	b.tells(t, "back", "Alice Anders disabled alice@example.test")
	c := b.config
	c.People.Base = "ou=nowhere," + slapdtest.Base
	d, err := directory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if _, err := look(t, d); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a base that is not there: %v", err)
	}
}

// Neither of the two clocks matters: ours may jump ahead or back, and the directory's may have been wrong for a while.
func TestWatchWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{More: strings.ReplaceAll(newcomer("future",
		"entryCSN: 20991231235959.000000Z#000000#000#000000", "modifyTimestamp: 20991231235959Z"), "dn: ", "\ndn: ") + "\n"}), func(c *directory.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	b.login(t, "alice")
	b.tells(t, "at first")
	for n, jump := range []time.Duration{0, 48 * time.Hour, -48 * time.Hour, 0, 2 * time.Minute, time.Hour} {
		shift.Store(int64(jump))
		b.ldap.Modify(t, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: title\ntitle: %d\n", slapdtest.PersonDN("alice"), n))
		b.tells(t, fmt.Sprintf("our clock is %v ahead", jump), "Alice Anders active alice@example.test")
	}
}

// A directory that holds what it held a while ago is noticed; so is one that is no replica of the other at all.
func TestWatchADirectoryThatWentBack(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	b := setup(t, func(c *directory.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	b.login(t, "alice")
	b.ldap.Modify(t, newcomer("last"))
	b.login(t, "last")
	b.tells(t, "at first")
	first := b.lost(t)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("last")+"\nchangetype: delete\n")
	b.tells(t, "right after")
	if !b.lost(t).Equal(*first) {
		t.Error("all entries were read a moment after they had been")
	}
	shift.Store(int64(time.Hour))
	b.tells(t, "later")
	if !b.lost(t).After(*first) {
		t.Error("what left the mark is gone, and nothing was lost")
	}
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	b.tells(t, "goes on", "Alice Anders disabled alice@example.test")
	// Another server, of which nothing is known.
	second := b.lost(t)
	shift.Store(int64(2 * time.Hour))
	other := slapdtest.New(t)
	c := b.config
	c.URLs, c.Trust, c.LookupPassword = []string{other.TLSURL()}, other.Trust, other.Lookup.Password
	d, err := directory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if _, err := look(t, d); err != nil {
		t.Errorf("another server: %v", err)
	}
	if !b.lost(t).After(*second) {
		t.Error("another server was trusted")
	}
	// The first goes on from where it was left.
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+enable)
	b.tells(t, "the first again", "Alice Anders active alice@example.test")
}

// Many changes at once come in pages, each once.
func TestWatchManyChanges(t *testing.T) {
	t.Parallel()
	const many = 1200
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{First: `limits dn.exact="cn=lookup,ou=services,` + slapdtest.Base + `" size.prtotal=unlimited`}))
	b.tells(t, "at first")
	nextSecond()
	var ldif strings.Builder
	for n := range many {
		ldif.WriteString(newcomer(fmt.Sprintf("person%04d", n)) + "\n")
	}
	b.ldap.Modify(t, ldif.String())
	if got := b.watched(t); len(got) != many || len(slices.Compact(got)) != many {
		t.Errorf("%d of %d joined", len(got), many)
	}
	b.tells(t, "and no more")
}

// A look-up account that is shown too little says so.
func TestWatchWithinALimit(t *testing.T) {
	t.Parallel()
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{Extra: "sizelimit 2"}))
	if _, err := look(t, b.Directory); !errors.Is(err, directory.ErrScan) {
		t.Errorf("%v", err)
	}
	hidden := with(t, slapdtest.NewWith(t, slapdtest.Config{First: "access to attrs=entryCSN,modifyTimestamp by * none"}))
	_, err := look(t, hidden.Directory)
	is(t, "hidden", err, directory.ErrRefused)
}

// What is remembered of somebody is forgotten when they change, and of everybody when a group of a role does.
func TestWatchForgets(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) { c.Cache = 1 << 40 })
	alice := b.login(t, "alice")
	b.tells(t, "at first")
	roles := func(what string, disabled bool, n int) {
		t.Helper()
		p, err := b.Person(t.Context(), alice.ID)
		if err != nil || p.Disabled != disabled || len(p.Roles) != n {
			t.Errorf("%s: %v, %v", what, p, err)
		}
	}
	roles("before", false, 1)
	b.ldap.Modify(t, "dn: "+slapdtest.GroupDN("operators")+"\nchangetype: modify\nadd: member\nmember: "+slapdtest.PersonDN("alice")+"\n")
	roles("remembered", false, 1)
	b.tells(t, "a group")
	roles("in a group", false, 2)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	b.watched(t)
	roles("disabled", true, 0)
}
