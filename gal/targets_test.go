package gal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// contact is LDIF of an entry for a person of the company in a partner's directory, under the partner's own id.
func contact(n int, mailboxes ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "dn: uid=x%d,%s\nobjectClass: inetOrgPerson\nuid: x%d\ncn: X %d\nsn: X\n", n, slapdtest.People, n, n)
	for _, m := range mailboxes {
		fmt.Fprintf(&s, "mail: %s\n", m)
	}
	return s.String() + "\n"
}

func contactDN(n int) string { return fmt.Sprintf("uid=x%d,%s", n, slapdtest.People) }

// partners is a house with a further directory, in which the company's people have entries of other names: the sample company's
// own are taken out of it.
type partners struct {
	*bundle
	there  *bundle // the same with the other server, for its checks
	target *gal.Target
}

func withPartners(t *testing.T, more string, change ...func(*gal.TargetConfig)) *partners {
	t.Helper()
	t.Parallel()
	h := housetest.On(t, pgtest.NewDatabase(t), slapdtest.New(t))
	slapd := slapdtest.NewWith(t, slapdtest.Config{More: more})
	for _, login := range []string{"alice", "bob", "carol"} {
		slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: delete\n")
	}
	return partnersOn(t, h, slapd, change...)
}

// partnersOn is another server's publisher for the same directories.
func partnersOn(t *testing.T, h *housetest.House, slapd *slapdtest.Server, change ...func(*gal.TargetConfig)) *partners {
	t.Helper()
	c := housetest.DirectoryConfig(slapd)
	c.Name, c.DB, c.Now, c.Timeout, c.ConnectTimeout = "partners", h.DB, h.Clock.Now, 20*time.Second, 20*time.Second // the machine may be busy
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	find, err := directory.NewFinder("")
	must(t, err)
	further := gal.TargetConfig{Directory: d, Find: find, Domains: []string{"example.test"}}
	for _, f := range change {
		f(&further)
	}
	b := with(t, h, gal.Policy{}, func(c *gal.Config) { c.Further = []gal.TargetConfig{further} })
	target, err := b.At("partners")
	must(t, err)
	other := *h
	other.Slapd = slapd
	return &partners{bundle: b, there: &bundle{House: &other, Publisher: b.Publisher}, target: target}
}

func (p *partners) sweepThere(t *testing.T, how gal.Sweeping) gal.Status {
	t.Helper()
	how.Now = true
	must(t, p.target.Sweep(t.Context(), operator, how))
	return p.statusThere(t)
}

func (p *partners) statusThere(t *testing.T) gal.Status {
	t.Helper()
	s, err := p.target.Status(t.Context(), operator)
	must(t, err)
	return s
}

func (p *partners) driftThere(t *testing.T, what string, want map[gal.Kind]int) {
	t.Helper()
	if got := p.statusThere(t).Drift; !maps.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Two directories: what is reported is repaired in each, nothing foreign is lost, and nothing is left to do.
func TestPartnersDirectory(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test")+contact(2, "bob@example.test", "robert.brown@example.test")+contact(3, "carol@example.test")+
		contact(4, "carol@example.test")+contact(5, "erin@partner.test"))
	alice, bob, rita := p.issue(t, "alice"), p.issue(t, "bob"), p.issue(t, "rita")
	carol, olivia := p.issue(t, "carol"), p.issue(t, "olivia")
	p.there.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("olivia")+"\nchangetype: delete\n")
	foreign, other := p.twin(t).Raw, p.numbered(t, 4712)
	next := p.issueAgain(t, "bob")
	p.there.put(t, contactDN(1), certificates, foreign)
	p.there.put(t, contactDN(2), certificates, bob.DER, other)
	p.there.put(t, contactDN(5), certificates, next.DER, foreign) // copied to somebody else
	p.there.put(t, contactDN(3), certificates, foreign)
	p.put(t, slapdtest.PersonDN("bob"), certificates, bob.DER, other)

	p.sweep(t, gal.Sweeping{})
	s := p.sweepThere(t, gal.Sweeping{})
	if s.Target != "partners" || s.People != 5 || s.Changed != 0 || s.Foreign != 2 || s.Phase != gal.Done {
		t.Errorf("report: %+v", s)
	}
	p.drift(t, "at home", map[gal.Kind]int{gal.Missing: 5, gal.Stale: 1})
	p.driftThere(t, "there", map[gal.Kind]int{gal.Missing: 3, gal.Stale: 2, gal.Several: 1, gal.NoEntry: 1})
	p.there.holds(t, "report", contactDN(1), certificates, foreign)

	if s := p.sweep(t, gal.Sweeping{Repair: true}); s.Changed != 5 {
		t.Errorf("repair at home: %+v", s)
	}
	if s := p.sweepThere(t, gal.Sweeping{Repair: true}); s.Changed != 4 || s.Stopped != "" {
		t.Errorf("repair there: %+v", s)
	}
	p.sweep(t, gal.Sweeping{})
	p.sweepThere(t, gal.Sweeping{})
	p.drift(t, "at home, repaired", map[gal.Kind]int{})
	p.driftThere(t, "there, repaired", map[gal.Kind]int{gal.Several: 1, gal.NoEntry: 1})
	p.there.holds(t, "repaired", contactDN(1), certificates, foreign, alice.DER)
	p.there.holds(t, "repaired", contactDN(2), certificates, next.DER, other)
	p.there.holds(t, "repaired", contactDN(3), certificates, foreign)
	p.there.holds(t, "repaired", contactDN(4), certificates)
	p.there.holds(t, "repaired", contactDN(5), certificates, foreign)
	p.there.holds(t, "repaired", slapdtest.PersonDN("rita"), certificates, rita.DER)
	p.holds(t, "repaired", slapdtest.PersonDN("carol"), certificates, carol.DER)
	p.holds(t, "repaired", slapdtest.PersonDN("olivia"), certificates, olivia.DER)
	if n := p.Database.Count(t, `select count(*) from audit.event where kind = 'gal.published' and body::text like '%partners%'`); n != 4 {
		t.Errorf("%d events of what was done there", n)
	}
	// One of the two goes, and one is made: nobody says so, the next sweep sees it.
	p.there.Slapd.Modify(t, "dn: "+contactDN(4)+"\nchangetype: delete\n")
	p.there.Slapd.Modify(t, contact(6, "OLIVIA@Example.Test"))
	p.Clock.Advance(25 * time.Hour)
	must(t, p.target.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}))
	p.driftThere(t, "mended by others", map[gal.Kind]int{})
	p.there.holds(t, "mended by others", contactDN(3), certificates, foreign, carol.DER)
	p.there.holds(t, "mended by others", contactDN(6), certificates, olivia.DER)
}

// issueAgain issues a newer certificate to somebody.
func (b *bundle) issueAgain(t *testing.T, login string) ca.Certificate {
	t.Helper()
	b.Clock.Advance(time.Minute)
	return b.issue(t, login)
}

// An entry shows what its addresses are written to with: of one that several people's addresses lead to, and of several that
// one person's lead to.
func TestAddressesAndEntries(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test", "bob@example.test")+contact(2, "support@example.test")+contact(3, "alice@elsewhere.test"))
	alice, bob := p.issue(t, "alice"), p.issue(t, "bob")
	who := pkitest.Person{ID: p.alice.Person, Name: "Support", Mailbox: "support@example.test"}
	role := p.PKI.Issue(t, who.Request(ca.RoleMailboxEncryption, pkitest.NewKey(t, ca.P256).Public()))[0]
	if d, err := p.target.Compare(t.Context(), p.alice.Person); err != nil || len(d.Missing) != 3 {
		t.Errorf("%d missing, %v", len(d.Missing), err)
	}
	if d, err := p.target.Publish(t.Context(), p.alice.Person); err != nil || len(d.Missing) != 3 {
		t.Errorf("%d missing, %v", len(d.Missing), err)
	}
	p.there.holds(t, "published", contactDN(1), certificates, alice.DER, bob.DER)
	p.there.holds(t, "published", contactDN(2), certificates, role.DER)
	p.there.holds(t, "another domain", contactDN(3), certificates)
	p.sweepThere(t, gal.Sweeping{})
	p.driftThere(t, "published", map[gal.Kind]int{})
	p.revoke(t, alice)
	p.revoke(t, role)
	if _, err := p.target.Publish(t.Context(), p.alice.Person); err != nil {
		t.Error(err)
	}
	p.there.holds(t, "revoked", contactDN(1), certificates, bob.DER)
	p.there.holds(t, "revoked", contactDN(2), certificates)
	if d, err := p.target.Publish(t.Context(), uuid.New()); err != nil || !d.Empty() {
		t.Errorf("somebody without a certificate: %v", err)
	}
}

// An address is what it is, whatever signs are in it.
func TestAddressWithSigns(t *testing.T) {
	const odd, star = "o'neil*x&{y}=z|!#$%/?^_`~+-@example.test", "*@example.test"
	p := withPartners(t, contact(1, odd)+contact(2, star)+contact(3, "oneil@example.test")+contact(4, "ünicode@xn--mller-kva.test"))
	id := p.alice.Person
	issue := func(mailbox string) ca.Certificate {
		who := pkitest.Person{ID: id, Name: "Signs", Mailbox: mailbox}
		id = uuid.New()
		return p.PKI.IssuePair(t, who).Encryption
	}
	first, second := issue(odd), issue(star)
	p.sweepThere(t, gal.Sweeping{Repair: true})
	p.driftThere(t, "repaired", map[gal.Kind]int{})
	p.there.holds(t, "signs", contactDN(1), certificates, first.DER)
	p.there.holds(t, "a star", contactDN(2), certificates, second.DER)
	p.there.holds(t, "another", contactDN(3), certificates)
}

// A directory that is away holds up neither the other nor who comes after, and gets what it missed when it is back.
func TestOneDirectoryAway(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test"))
	q, err := jobs.New(jobs.Config{DB: p.DB})
	must(t, err)
	p.Register(q)
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error { return nil })
	must(t, q.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() { must(t, q.Stop(context.WithoutCancel(t.Context()))) })

	p.there.Slapd.Kill()
	first := p.enrol(t)
	waitFor(t, "the directory that is there", func() bool { return len(p.shown(t)) == 1 })
	waitFor(t, "nothing left to do there", func() bool { return p.Database.Count(t, `select count(*) from publication.due`) == 0 })
	if n := p.Database.Count(t, `select count(*) from publication.due_further where directory = 'partners'`); n != 1 {
		t.Errorf("%d people wait for the one that is away", n)
	}
	waitFor(t, "saying so", func() bool { return p.statusThere(t).Waiting == 1 })
	if s := p.status(t); s.Waiting != 0 {
		t.Errorf("%d people wait at home", s.Waiting)
	}
	must(t, p.there.Slapd.Restart(t.Context()))
	waitFor(t, "the directory that was away", func() bool {
		return len(p.there.values(t, contactDN(1), certificates)) == 1 && p.Database.Count(t, `select count(*) from publication.due_further`) == 0
	})
	p.there.holds(t, "back", contactDN(1), certificates, first.Certificates[1].DER)
	// And the other way round.
	p.Slapd.Kill()
	p.revoke(t, ca.Certificate{Issuer: first.Certificates[1].Issuer, Serial: first.Certificates[1].Serial})
	waitFor(t, "the other one", func() bool { return len(p.there.values(t, contactDN(1), certificates)) == 0 })
	must(t, p.Slapd.Restart(t.Context()))
	waitFor(t, "the first", func() bool { return len(p.shown(t)) == 0 })
}

// A directory that takes connections and does not answer is as good as away.
func TestOneDirectoryHangs(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test"))
	q, err := jobs.New(jobs.Config{DB: p.DB})
	must(t, err)
	p.Register(q)
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error { return nil })
	must(t, syscall.Kill(p.there.Slapd.PID(), syscall.SIGSTOP))
	goOn := func() { must(t, syscall.Kill(p.there.Slapd.PID(), syscall.SIGCONT)) }
	defer goOn()
	must(t, q.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() { must(t, q.Stop(context.WithoutCancel(t.Context()))) })
	for n := range 3 { // and those after them
		c := p.enrol(t).Certificates[1]
		waitFor(t, fmt.Sprintf("certificate %d in the directory that answers", n), func() bool {
			shown := p.shown(t)
			return len(shown) == 1 && bytes.Equal(shown[0], c.DER)
		})
	}
	goOn()
	waitFor(t, "the directory that hung", func() bool {
		return len(p.there.values(t, contactDN(1), certificates)) == 1 && p.Database.Count(t, `select count(*) from publication.due_further`) == 0
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in three minutes", what)
		}
	}
}

// Two servers keep both directories at once.
func TestTwoServersTwoDirectories(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test")+contact(2, "bob@example.test")+contact(3, "carol@example.test"))
	other := partnersOn(t, p.House, p.there.Slapd)
	var list []ca.Certificate
	for _, login := range []string{"alice", "bob", "carol"} {
		list = append(list, p.issue(t, login))
	}
	foreign := p.twin(t).Raw
	p.there.put(t, contactDN(2), certificates, foreign)
	var g sync.WaitGroup
	for _, s := range []*partners{p, other} {
		for _, target := range s.Targets() {
			g.Go(func() {
				if err := target.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}); err != nil {
					t.Error(err)
				}
			})
		}
		g.Go(func() {
			if _, err := s.target.Publish(t.Context(), p.alice.Person); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	p.sweep(t, gal.Sweeping{})
	p.sweepThere(t, gal.Sweeping{})
	p.drift(t, "at home", map[gal.Kind]int{})
	p.driftThere(t, "there", map[gal.Kind]int{})
	p.there.holds(t, "both", contactDN(1), certificates, list[0].DER)
	p.there.holds(t, "both", contactDN(2), certificates, list[1].DER, foreign)
	p.there.holds(t, "both", contactDN(3), certificates, list[2].DER)
}

// A further directory has its own rules.
func TestOwnRules(t *testing.T) {
	p := withPartners(t, contact(1, "alice@example.test"), func(c *gal.TargetConfig) {
		c.Policy = gal.Policy{ReportOnly: true, MaxValues: 1, SMIME: gal.Equal, Overlap: time.Hour}
	})
	p.issue(t, "alice")
	must(t, p.target.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}))
	if s := p.statusThere(t); s.Changed != 0 || s.Repair {
		t.Errorf("report only: %+v", s)
	}
	p.there.put(t, contactDN(1), certificates, p.twin(t).Raw)
	if _, err := p.target.Publish(t.Context(), p.alice.Person); !errors.Is(err, gal.ErrFull) {
		t.Errorf("full: %v", err)
	}
	if n := len(p.there.values(t, contactDN(1), smime)); n != 1 {
		t.Errorf("%d values of userSMIMECertificate there", n)
	}
	if _, err := p.At("nowhere"); !errors.Is(err, gal.ErrNoTarget) {
		t.Error(err)
	}
}
