package gal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// people is LDIF of further people p0, p1, ….
func people(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "dn: uid=p%d,%s\nobjectClass: inetOrgPerson\nuid: p%d\ncn: P %d\nsn: P\nmail: p%d@example.test\n\n", i, slapdtest.People, i, i, i)
	}
	return s.String()
}

// The directory goes away in the middle, for an hour; then the sweep goes on from where it was.
func TestDirectoryAwayForAnHour(t *testing.T) {
	const n = 130 // two pages
	b := withSlapd(t, slapdtest.Config{More: people(n)}, gal.Policy{})
	for i := range n {
		b.issue(t, fmt.Sprintf("p%d", i))
	}
	for _, phase := range []gal.Phase{gal.People, gal.Repair} {
		killed := false
		b.Publisher = with(t, b.House, gal.Policy{}, func(c *gal.Config) {
			c.After = func(step string) {
				if step == "gal."+string(phase) && !killed {
					killed = true
					b.Slapd.Kill()
				}
			}
		}).Publisher
		how := gal.Sweeping{Now: phase == gal.People, Repair: true}
		if err := b.Sweep(t.Context(), operator, how); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatalf("%s: %v", phase, err)
		}
		s := b.status(t)
		if s.Phase != phase || s.Failure == "" || s.Ended != nil || s.People == 0 {
			t.Errorf("away: %+v", s)
		}
		b.Clock.Advance(time.Hour)
		if err := b.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("still away: %v", err)
		}
		must(t, b.Slapd.Restart(t.Context()))
	}
	must(t, b.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}))
	if s := b.status(t); s.Number != 1 || s.Phase != gal.Done || s.Failure != "" || s.People != n || s.Changed != n {
		t.Errorf("back: %+v", s)
	}
	b.drift(t, "back", map[gal.Kind]int{})
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "compared again", map[gal.Kind]int{})
}

// A server that shows few entries at once is asked in smaller pieces; one that lists not all of them is reported.
func TestSizeLimit(t *testing.T) {
	const n = 60
	b := withSlapd(t, slapdtest.Config{More: people(n), Extra: fmt.Sprintf("limits dn.exact=%q size=20\n", "cn=lookup,ou=services,"+slapdtest.Base)}, gal.Policy{})
	for i := range n {
		b.issue(t, fmt.Sprintf("p%d", i))
	}
	if s := b.sweep(t, gal.Sweeping{Repair: true}); s.Changed != n || s.People != n {
		t.Errorf("%+v", s)
	}
	b.drift(t, "repaired", map[gal.Kind]int{})
	if s := b.sweep(t, gal.Sweeping{}); s.Stopped != gal.StoppedScan || s.Phase != gal.Done {
		t.Errorf("%+v", s)
	}
	b.drift(t, "compared again", map[gal.Kind]int{})
}

// TestManyEntries: more entries than a page has, with the limit that docs/gal.md asks for.
func TestManyEntries(t *testing.T) {
	b := withSlapd(t, slapdtest.Config{More: people(700), Extra: fmt.Sprintf("limits dn.exact=%q size.prtotal=unlimited\n", "cn=lookup,ou=services,"+slapdtest.Base)}, gal.Policy{})
	c := b.issue(t, "alice")
	for i := range 700 {
		b.put(t, fmt.Sprintf("uid=p%d,%s", i, slapdtest.People), smime, []byte("\x30\x00 any"))
		if i == 200 {
			break
		}
	}
	var all strings.Builder
	for i := 201; i < 700; i++ {
		all.WriteString(add(fmt.Sprintf("uid=p%d,%s", i, slapdtest.People), smime, []byte("\x30\x00 any")) + "\n")
	}
	b.Slapd.Modify(t, all.String())
	b.put(t, "uid=p699,"+slapdtest.People, certificates, c.DER)
	if s := b.sweep(t, gal.Sweeping{Repair: true}); s.Stopped != "" || s.Entries != 700 || s.Changed != 2 {
		t.Errorf("%+v", s)
	}
	b.drift(t, "repaired", map[gal.Kind]int{})
}

// at is the house's directory with another configuration.
func (b *bundle) at(t *testing.T, change func(*directory.Config)) *directory.Directory {
	t.Helper()
	c := housetest.DirectoryConfig(b.Slapd)
	c.DB, c.Now, c.Timeout = b.DB, b.Clock.Now, 5*time.Second
	change(&c)
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

// A server that refers elsewhere, and one that takes no changes: nothing is half done, the sweep says why, and goes on at a
// server that does.
func TestReferralAndReadOnly(t *testing.T) {
	const outside = "ou=outside," + slapdtest.Base
	b := withSlapd(t, slapdtest.Config{More: "dn: " + outside + "\nobjectClass: referral\nobjectClass: extensibleObject\nou: outside\nref: ldap://127.0.0.1:1/" + outside + "\n\n"}, gal.Policy{})
	c := b.issue(t, "alice")
	replica := slapdtest.NewWith(t, slapdtest.Config{Extra: "readonly on\n"})
	sweep := func(d *directory.Directory, how gal.Sweeping) error {
		p := with(t, b.House, gal.Policy{}, func(c *gal.Config) { c.Directory = d }).Publisher
		return p.Sweep(t.Context(), operator, how)
	}
	err := sweep(b.at(t, func(c *directory.Config) { c.People.Base = outside }), gal.Sweeping{Now: true, Repair: true})
	if s := b.status(t); !errors.Is(err, directory.ErrRefused) || !strings.Contains(s.Failure, "refers to another server") || s.Phase != gal.People {
		t.Errorf("referral: %v, %+v", err, s)
	}
	err = sweep(b.at(t, func(c *directory.Config) {
		r := housetest.DirectoryConfig(replica)
		c.URLs, c.Trust, c.LookupPassword, c.PublisherPassword = r.URLs, r.Trust, r.LookupPassword, r.PublisherPassword
	}), gal.Sweeping{})
	if s := b.status(t); !errors.Is(err, directory.ErrRefused) || s.Failure == "" || s.Phase != gal.Repair || s.Changed != 0 {
		t.Errorf("read only: %v, %+v", err, s)
	}
	must(t, sweep(b.Directory, gal.Sweeping{}))
	b.holds(t, "at the right server", slapdtest.PersonDN("alice"), certificates, c.DER)
	b.drift(t, "at the right server", map[gal.Kind]int{})
}

// Between comparison and repair an entry is renamed, another deleted.
func TestRenamedAndDeletedMeanwhile(t *testing.T) {
	b := setup(t)
	alice := b.issue(t, "alice")
	b.issue(t, "bob")
	done := false
	b.Publisher = with(t, b.House, gal.Policy{}, func(c *gal.Config) {
		c.After = func(step string) {
			if step == "gal.repair" && !done {
				done = true
				b.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n")
				b.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: delete\n")
			}
		}
	}).Publisher
	if s := b.sweep(t, gal.Sweeping{Repair: true}); s.Changed != 1 {
		t.Errorf("%+v", s)
	}
	b.holds(t, "renamed", slapdtest.PersonDN("alicia"), certificates, alice.DER)
	b.drift(t, "deleted", map[gal.Kind]int{gal.NoEntry: 1})
}

// Others write into the same entries in the same instant: every value of theirs is there afterwards, and ours too.
func TestOthersWriteAtTheSameTime(t *testing.T) {
	b := setup(t)
	dn := slapdtest.PersonDN("alice")
	var old []ca.Certificate
	for range 5 {
		old = append(old, b.issue(t, "alice"))
	}
	current := b.issue(t, "alice")
	var foreign [][]byte
	for i := range 8 {
		foreign = append(foreign, b.numbered(t, int64(5000+i)))
	}
	others := [][]byte{[]byte("\x30\x00 one"), []byte("\x30\x00 two"), []byte("\x30\x00 three")}
	var g sync.WaitGroup
	g.Go(func() {
		for i, f := range foreign {
			if out, err := b.Slapd.ModifyAs(b.Slapd.Admin, add(dn, certificates, f)); err != nil {
				t.Errorf("foreign: %v %s", err, out)
			}
			if i < len(others) { // OpenLDAP takes this attribute's values all at once only
				whole := strings.Replace(add(dn, smime, others[:i+1]...), "\nadd: ", "\nreplace: ", 1)
				if out, err := b.Slapd.ModifyAs(b.Slapd.Admin, whole); err != nil {
					t.Errorf("foreign: %v %s", err, out)
				}
			}
		}
	})
	g.Go(func() { // the value that the repair puts in, and ones that it takes out
		for i := range 8 {
			_, _ = b.Slapd.ModifyAs(b.Slapd.Admin, add(dn, certificates, old[i%len(old)].DER)) // it may be there
			_, _ = b.Slapd.ModifyAs(b.Slapd.Admin, add(dn, certificates, current.DER))
		}
	})
	for range 6 {
		if err := b.Sweep(t.Context(), operator, gal.Sweeping{Now: true, Repair: true}); err != nil {
			t.Error(err)
		}
	}
	g.Wait()
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "after all", dn, certificates, append(foreign, current.DER)...)
	b.holds(t, "after all", dn, smime, others...)
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "after all", map[gal.Kind]int{gal.Undecodable: 1})
}

// Others' values fill an entry up to the limit: it is reported before, and nothing is added beyond.
func TestValueLimit(t *testing.T) {
	b := setup(t)
	b.Publisher = with(t, b.House, gal.Policy{MaxValues: 5}).Publisher
	dn := slapdtest.PersonDN("alice")
	stale := b.issue(t, "alice")
	current := b.issue(t, "alice")
	var foreign [][]byte
	for i := range 3 {
		foreign = append(foreign, b.numbered(t, int64(6000+i)))
	}
	b.put(t, dn, certificates, append(foreign, stale.DER)...)
	b.sweep(t, gal.Sweeping{Repair: true})
	b.drift(t, "nearly", map[gal.Kind]int{gal.NearlyFull: 1})
	b.holds(t, "nearly", dn, certificates, append(foreign, current.DER)...)
	for i := range 3 {
		foreign = append(foreign, b.numbered(t, int64(6100+i)))
	}
	b.put(t, dn, certificates, foreign[3:]...) // more than the limit, with ours
	next := b.issue(t, "alice")
	if _, err := b.Publish(t.Context(), b.alice.Person); !errors.Is(err, gal.ErrFull) {
		t.Errorf("publish: %v", err)
	}
	b.holds(t, "full", dn, certificates, foreign...)
	b.sweep(t, gal.Sweeping{Repair: true})
	b.drift(t, "full", map[gal.Kind]int{gal.Full: 1})
	b.Slapd.Modify(t, "dn: "+dn+"\nchangetype: modify\ndelete: userCertificate;binary\n")
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "emptied", dn, certificates, next.DER)
	b.drift(t, "emptied", map[gal.Kind]int{})
}

// Addresses and names full of what filters and distinguished names are made of.
func TestMetacharacters(t *testing.T) {
	var b *bundle
	dns := map[string]string{
		"a*|&!=": `uid=a*|&!\3D,` + slapdtest.People, "b,c+d": `uid=b\2Cc\2Bd,` + slapdtest.People,
		"(objectClass=*)": `uid=(objectClass\3D*),` + slapdtest.People, `x\2a"<>;#`: `uid=x\5C2a\22\3C\3E\3B#,` + slapdtest.People,
	}
	mails := map[string]string{"a*|&!=": "a*|&!=@example.test", "b,c+d": "b+c=d@example.test", "(objectClass=*)": "o'clock*@example.test", `x\2a"<>;#`: "#{x}`~@example.test"}
	var more strings.Builder
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for login, dn := range dns {
		fmt.Fprintf(&more, "dn:: %s\nobjectClass: inetOrgPerson\nuid:: %s\ncn: X\nsn: X\nmail:: %s\n\n", text(dn), text(login), text(mails[login]))
	}
	b = withSlapd(t, slapdtest.Config{More: more.String()}, gal.Policy{})
	issued := map[string]ca.Certificate{}
	for login := range dns {
		p, err := b.Directory.ByMailbox(t.Context(), mails[login])
		must(t, err)
		if p.Login != login {
			t.Errorf("%s is %s", mails[login], p.Login)
		}
		issued[login] = b.PKI.IssuePair(t, pkitest.Person{ID: p.ID, Name: "X", Mailbox: p.Mailboxes[0]}).Encryption
	}
	b.sweep(t, gal.Sweeping{Repair: true})
	b.drift(t, "repaired", map[gal.Kind]int{})
	for login, dn := range dns {
		b.holds(t, login, dn, certificates, issued[login].DER)
	}
}

// An attribute of 16 MB, and one of more than is read at all: others are compared all the same, and it is as it was.
func TestHugeAttribute(t *testing.T) {
	dn := func(login string) string { return "uid=" + login + "," + slapdtest.People }
	size := map[string]int{"p0": 16, "p1": 33, "p2": 0} // megabytes
	var more strings.Builder
	for i, entry := range strings.SplitAfter(people(3), "\n\n")[:3] {
		more.WriteString(strings.TrimSuffix(entry, "\n"))
		for n := range size[fmt.Sprintf("p%d", i)] {
			fmt.Fprintf(&more, "%s:: %s\n", smime, base64.StdEncoding.EncodeToString(append([]byte{0x30, 0x80, byte(n)}, bytes.Repeat([]byte("x"), 1<<20)...)))
		}
		more.WriteString("\n")
	}
	b := withSlapd(t, slapdtest.Config{More: more.String()}, gal.Policy{})
	for login := range size {
		b.issue(t, login)
	}
	s := b.sweep(t, gal.Sweeping{Repair: true})
	if s.Changed != 2 { // all but the largest
		t.Errorf("%+v", s)
	}
	b.drift(t, "repaired", map[gal.Kind]int{gal.Undecodable: 1, gal.TooLarge: 1})
	for login, n := range size {
		if got := len(b.values(t, dn(login), smime)); got != n {
			t.Errorf("%s has %d values", login, got)
		}
		if shown := len(b.values(t, dn(login), certificates)); (shown == 1) != (n < 32) {
			t.Errorf("%s shows %d certificates", login, shown)
		}
	}
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "compared again", map[gal.Kind]int{gal.Undecodable: 1, gal.TooLarge: 1})
}

// A sweep that is cut off after any page is gone on with, by another server.
func TestCutOffAnywhere(t *testing.T) {
	b := setup(t)
	b.issue(t, "alice")
	b.issue(t, "bob")
	how := gal.Sweeping{Now: true, Repair: true}
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		b.Publisher = with(t, b.House, gal.Policy{}, func(c *gal.Config) { c.After = func(string) { cancel() } }).Publisher
		err := b.Sweep(ctx, operator, how)
		cancel()
		how = gal.Sweeping{}
		if b.status(t).Phase == gal.Done {
			break
		}
		if !errors.Is(err, context.Canceled) || n > 20 {
			t.Fatalf("step %d: %v", n, err)
		}
	}
	if s := b.status(t); s.Number != 1 || s.Changed != 2 || s.People != 2 {
		t.Errorf("%+v", s)
	}
	b.drift(t, "after", map[gal.Kind]int{})
}
