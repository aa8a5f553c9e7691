package leaver_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const grace = 24 * time.Hour

// company is a house whose people have certificates.
type company struct {
	*housetest.House
	*leaver.Desk
	config leaver.Config
	gal    *gal.Publisher
	people map[string]uuid.UUID
	rita   audit.Actor
}

// revoking is a policy that asks nobody, for a company so small that anybody is a large part of it.
var revoking = leaver.Policy{Disabled: leaver.Revoke, Gone: leaver.Revoke, Grace: grace, Limit: 0.5, Every: time.Hour}

// everybody of the sample company who can have certificates and is no officer.
var everybody = []string{"alice", "bob", "carol", "rita"}

func setup(t *testing.T, p leaver.Policy) *company {
	t.Helper()
	t.Parallel()
	h := housetest.New(t)
	c := &company{House: h, people: map[string]uuid.UUID{}, rita: h.Actor(t, "rita")}
	for _, login := range everybody {
		by := h.Actor(t, login)
		c.people[login] = by.Person
		s, _ := h.Submission(t, by, housetest.Pair)
		_, err := h.Enroll.Submit(t.Context(), by, s)
		must(t, err)
	}
	c.config = leaver.Config{DB: h.DB, Authority: h.PKI.Authority, Directory: h.Directory, Audit: h.Audit, Policy: p, Now: h.Clock.Now}
	c.Desk = c.desk(t, c.config)
	var err error
	c.gal, err = gal.New(gal.Config{DB: h.DB, Authority: h.PKI.Authority, Directory: h.Directory, Audit: h.Audit, Left: c.Left, Lost: c.Lost, Now: h.Clock.Now})
	must(t, err)
	for _, login := range everybody {
		c.publish(t, login)
	}
	return c
}

func (c *company) desk(t *testing.T, conf leaver.Config) *leaver.Desk {
	t.Helper()
	d, err := leaver.New(conf)
	must(t, err)
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *company) sweep(t *testing.T) {
	t.Helper()
	must(t, c.Sweep(t.Context(), true))
}

func (c *company) disable(t *testing.T, login string) {
	t.Helper()
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
}

func (c *company) enable(t *testing.T, login string) {
	t.Helper()
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\ndelete: employeeType\n")
}

func (c *company) remove(t *testing.T, login string) {
	t.Helper()
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: delete\n")
}

func (c *company) publish(t *testing.T, login string) {
	t.Helper()
	if _, err := c.gal.Publish(t.Context(), c.people[login]); err != nil && !errors.Is(err, directory.ErrUnknownPerson) {
		t.Fatal(err)
	}
}

// shows reports whether the directory shows a certificate of somebody.
func (c *company) shows(t *testing.T, login string) bool {
	t.Helper()
	return strings.Contains(c.Slapd.Search(t, c.Slapd.Lookup, "-b", slapdtest.People, "(uid="+login+")", "userCertificate"), "userCertificate")
}

// states returns everybody on the list, as "login standing state why".
func (c *company) states(t *testing.T) []string {
	t.Helper()
	list, err := c.List(t.Context(), c.rita, nil, 0, 100)
	must(t, err)
	out := []string{}
	for _, l := range list {
		for login, id := range c.people {
			if id == l.Person {
				out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", login, l.Standing, l.State, l.Why)))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (c *company) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := c.states(t); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// standing is what has become of somebody's pair: "good good", "revoked good".
func (c *company) standing(t *testing.T, login string) string {
	t.Helper()
	var out []string
	person := c.people[login]
	for _, profile := range []string{ca.SMIMESigning, ca.SMIMEEncryption} {
		list, err := c.PKI.Find(t.Context(), ca.Query{Person: &person, Profile: profile})
		must(t, err)
		s := string(list[0].Status.State)
		if list[0].Status.State == ca.Revoked && list[0].Status.Reason != ca.AffiliationChanged {
			s += " for " + list[0].Status.Reason.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (c *company) stands(t *testing.T, login, want string, shown bool) {
	t.Helper()
	c.publish(t, login)
	if got := c.standing(t, login); got != want {
		t.Errorf("%s: %s, want %s", login, got, want)
	}
	if got := c.shows(t, login); got != shown {
		t.Errorf("%s: the directory shows a certificate: %v, want %v", login, got, shown)
	}
}

func (c *company) events(t *testing.T, kind string) int64 {
	t.Helper()
	return c.Database.Count(t, `select count(*) from audit.event where kind = $1`, kind)
}

// Somebody is disabled, another is gone: after the grace what they sign with is revoked, what they read with is taken out
// of the directory and stays good, and the archive keeps its key.
func TestPeopleLeave(t *testing.T) {
	c := setup(t, revoking)
	c.sweep(t)
	c.expect(t, "nobody has left")
	c.disable(t, "alice")
	c.remove(t, "bob")
	c.sweep(t)
	c.expect(t, "within the grace", "alice disabled noticed", "bob gone noticed")
	c.stands(t, "alice", "good good", true)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "after the grace", "alice disabled left", "bob gone left")
	c.stands(t, "alice", "revoked good", false)
	c.stands(t, "bob", "revoked good", false)
	c.stands(t, "carol", "good good", true)
	if n := c.Database.Count(t, `select count(*) from archive.record where state = 'kept' and person = $1`, c.people["alice"]); n != 1 {
		t.Errorf("%d archived keys", n)
	}
	for kind, want := range map[string]int64{"leaver.noticed": 2, "leaver.leaving": 2, "leaver.left": 2, "certificate.revoked": 2} {
		if n := c.events(t, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
	c.sweep(t)
	if n := c.events(t, "certificate.revoked"); n != 2 {
		t.Errorf("%d are revoked after another sweep", n)
	}
	// Bob was an officer's recipient too: that is the officers' to settle.
	if n := c.Database.Count(t, `select count(*) from ca.revocation r join ca.prepared p using (issuer, serial) where p.use = 'agent'`); n != 0 {
		t.Errorf("%d officers' certificates are revoked", n)
	}
}

// Who comes back within the grace has lost nothing; who comes back later is shown again.
func TestPeopleComeBack(t *testing.T) {
	c := setup(t, revoking)
	c.disable(t, "alice")
	c.sweep(t)
	c.enable(t, "alice")
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "back within the grace")
	c.stands(t, "alice", "good good", true)
	c.disable(t, "alice")
	c.sweep(t)
	c.Clock.Advance(grace / 2)
	c.sweep(t)
	c.expect(t, "the grace begins anew", "alice disabled noticed")
	c.Clock.Advance(grace)
	// Back, and nobody has noticed: the directory is asked again right before.
	c.enable(t, "alice")
	if l, err := c.Observe(t.Context(), c.people["alice"]); err != nil || l != nil {
		t.Errorf("observed: %+v, %v", l, err)
	}
	c.stands(t, "alice", "good good", true)
	c.disable(t, "alice")
	c.sweep(t)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.stands(t, "alice", "revoked good", false)
	c.enable(t, "alice")
	due := `select count(*) from publication.due`
	before := c.Database.Count(t, due)
	c.sweep(t)
	c.expect(t, "back after it")
	if n := c.Database.Count(t, due); n != before+1 {
		t.Errorf("%d publications are due, want %d", n, before+1)
	}
	c.stands(t, "alice", "revoked good", true)
	if n := c.events(t, "leaver.returned"); n != 3 {
		t.Errorf("%d came back", n)
	}
}

// One person at a time, as for a watcher of the directory's changes.
func TestObserve(t *testing.T) {
	c := setup(t, revoking)
	c.sweep(t) // so that everybody is counted
	see := func(what string, want leaver.State) {
		t.Helper()
		l, err := c.Observe(t.Context(), c.people["alice"])
		if err != nil || want == "" && l != nil || want != "" && (l == nil || l.State != want || l.Name != "Alice Anders" || l.Mailbox != "alice@example.test") {
			t.Errorf("%s: %+v, %v", what, l, err)
		}
	}
	see("there", "")
	c.disable(t, "alice")
	see("disabled", leaver.Noticed)
	see("again", leaver.Noticed)
	c.Clock.Advance(grace)
	see("after the grace", leaver.Left)
	see("once more", leaver.Left)
	c.stands(t, "alice", "revoked good", false)
	if l, err := c.Observe(t.Context(), uuid.New()); err != nil || l != nil {
		t.Errorf("nobody: %+v, %v", l, err)
	}
	// Before everybody was counted once, nobody is revoked without a registrar's word.
	c.Database.Exec(t, `delete from enroll.leaver_sweep`)
	c.remove(t, "bob")
	for range 2 {
		_, err := c.Observe(t.Context(), c.people["bob"])
		must(t, err)
		c.Clock.Advance(grace)
	}
	c.expect(t, "uncounted", "alice disabled left", "bob gone waiting limit")
}

// A directory that is down, or shows nothing, gets nobody revoked.
func TestDirectoryDown(t *testing.T) {
	c := setup(t, revoking)
	c.disable(t, "alice")
	c.sweep(t)
	c.Clock.Advance(grace + time.Minute)
	c.Slapd.Stop()
	if err := c.Sweep(t.Context(), true); !errors.Is(err, fault.Unavailable) {
		t.Errorf("down: %v", err)
	}
	if _, err := c.Observe(t.Context(), c.people["alice"]); !errors.Is(err, fault.Unavailable) {
		t.Errorf("down: %v", err)
	}
	if _, err := c.Revoke(t.Context(), c.rita, c.people["alice"], "left"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("decided while it is down: %v", err)
	}
	c.expect(t, "down", "alice disabled noticed")
	if n := c.events(t, "certificate.revoked"); n != 0 {
		t.Errorf("%d are revoked", n)
	}
	must(t, c.Slapd.Restart(t.Context()))
	c.sweep(t)
	c.expect(t, "up again", "alice disabled left")
}

// Half of the directory is missing: a registrar is asked about each; and when it is back, nothing has happened.
func TestHalfIsMissing(t *testing.T) {
	p := revoking
	p.Limit = 0.25 // of about seven, officers among them: one
	c := setup(t, p)
	move := func(login, from, to string) {
		t.Helper()
		c.Slapd.Modify(t, "dn: uid="+login+","+from+"\nchangetype: modrdn\nnewrdn: uid="+login+"\ndeleteoldrdn: 0\nnewsuperior: "+to+"\n")
	}
	elsewhere := "ou=services," + slapdtest.Base // where nobody looks for people
	move("alice", slapdtest.People, elsewhere)
	move("carol", slapdtest.People, elsewhere)
	c.sweep(t)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "half is missing", "alice gone waiting limit", "carol gone waiting limit")
	c.stands(t, "alice", "good good", false)
	// One more, later: the others still count.
	c.remove(t, "bob")
	c.sweep(t)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "one more", "alice gone waiting limit", "bob gone waiting limit", "carol gone waiting limit")
	if n := c.events(t, "certificate.revoked"); n != 0 {
		t.Errorf("%d are revoked", n)
	}
	move("alice", elsewhere, slapdtest.People)
	move("carol", elsewhere, slapdtest.People)
	c.sweep(t)
	c.expect(t, "they are back", "bob gone waiting limit")
	c.stands(t, "alice", "good good", true)
	// A single one is below the limit, and would be revoked; but who waits, waits.
	if l, err := c.Revoke(t.Context(), c.rita, c.people["bob"], "He did leave."); err != nil || l.State != leaver.Left {
		t.Errorf("decided: %+v, %v", l, err)
	}
	c.stands(t, "bob", "revoked good", false)
}

// Registrars decide; what they keep stays until the directory says something else.
func TestRegistrarDecides(t *testing.T) {
	c := setup(t, leaver.Policy{Gone: leaver.Ignore})
	rita, alice := c.rita, c.people["alice"]
	if _, err := c.Revoke(t.Context(), rita, alice, "left"); !errors.Is(err, leaver.ErrUnknown) {
		t.Errorf("who is there: %v", err)
	}
	c.disable(t, "alice")
	c.remove(t, "bob")
	c.sweep(t)
	c.expect(t, "the default asks, and one standing is ignored", "alice disabled noticed")
	noticed, err := c.Get(t.Context(), rita, alice)
	must(t, err)
	if next, when := c.Next(noticed); next != leaver.Ask || !when.Equal(noticed.Noticed.Add(grace)) {
		t.Errorf("next: %s at %s", next, when)
	}
	if _, err := c.Get(t.Context(), c.Actor(t, "carol"), alice); !errors.Is(err, leaver.ErrNotAllowed) {
		t.Errorf("carol sees alice: %v", err)
	}
	if _, err := c.Get(t.Context(), rita, c.people["bob"]); !errors.Is(err, leaver.ErrUnknown) {
		t.Errorf("who is not on the list: %v", err)
	}
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "after the grace", "alice disabled waiting policy")
	c.stands(t, "alice", "good good", true)
	for who, want := range map[string]error{"carol": leaver.ErrNotAllowed, "auditor": leaver.ErrNotAllowed} {
		by := c.Actor(t, who)
		_, revoked := c.Revoke(t.Context(), by, alice, "left")
		_, kept := c.Keep(t.Context(), by, alice, "stays")
		if !errors.Is(revoked, want) || !errors.Is(kept, want) {
			t.Errorf("%s: %v, %v", who, revoked, kept)
		}
	}
	if _, err := c.List(t.Context(), c.Actor(t, "carol"), nil, 0, 10); !errors.Is(err, leaver.ErrNotAllowed) {
		t.Errorf("carol sees who left: %v", err)
	}
	own := rita
	own.Person = alice
	if _, err := c.Keep(t.Context(), own, alice, "me"); !errors.Is(err, leaver.ErrOwn) {
		t.Errorf("about oneself: %v", err)
	}
	if n := c.events(t, "leaver.decision-refused"); n != 5 {
		t.Errorf("%d refusals are recorded, want 5", n)
	}
	for _, bad := range []string{"", " ", "a\nb", strings.Repeat("x", 501), "\xff"} {
		if _, err := c.Keep(t.Context(), rita, alice, bad); !errors.Is(err, leaver.ErrReason) {
			t.Errorf("reason %q: %v", bad, err)
		}
	}
	for range 2 {
		if l, err := c.Keep(t.Context(), rita, alice, "On leave until spring."); err != nil || l.State != leaver.Kept || l.By == nil || l.By.Person != rita.Person || l.Reason != "On leave until spring." {
			t.Errorf("kept: %+v, %v", l, err)
		}
	}
	c.Clock.Advance(30 * grace)
	c.sweep(t)
	c.expect(t, "kept", "alice disabled kept")
	for range 2 {
		if l, err := c.Revoke(t.Context(), c.Actor(t, "operator"), alice, "Will not be back."); err != nil || l.State != leaver.Left {
			t.Errorf("revoked: %+v, %v", l, err)
		}
	}
	if _, err := c.Keep(t.Context(), rita, alice, "Back after all."); !errors.Is(err, leaver.ErrState) {
		t.Errorf("kept after all: %v", err)
	}
	c.stands(t, "alice", "revoked good", false)
	if n := c.Database.Count(t, `select count(*) from audit.event where kind = 'certificate.revoked' and person = $1 and body::jsonb #>> '{data,note}' = 'Will not be back.'
		and actor = $2`, alice, c.Actor(t, "operator").Person); n != 1 {
		t.Errorf("%d events say who revoked and why", n)
	}
	c.enable(t, "alice")
	if _, err := c.Revoke(t.Context(), rita, alice, "again"); !errors.Is(err, leaver.ErrReturned) {
		t.Errorf("who is back: %v", err)
	}
	c.expect(t, "back")
	c.disable(t, "carol")
	c.sweep(t)
	_, err = c.Keep(t.Context(), rita, c.people["carol"], "On leave.")
	must(t, err)
	asking := c.config
	asking.Policy.Gone = leaver.Ask
	c.Desk = c.desk(t, asking)
	c.remove(t, "carol")
	c.sweep(t)
	c.expect(t, "kept while disabled, now gone", "bob gone noticed", "carol gone noticed")
}

// A certificate that was on its way when its person was revoked is revoked by the next sweep.
func TestLateCertificate(t *testing.T) {
	c := setup(t, revoking)
	alice := c.Actor(t, "alice")
	s, _ := c.Submission(t, alice, housetest.Endorsed)
	req, err := c.Enroll.Submit(t.Context(), alice, s)
	must(t, err)
	c.disable(t, "alice")
	c.sweep(t)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.stands(t, "alice", "revoked good", false)
	if _, err := c.Enroll.Endorse(t.Context(), c.rita, req.ID); !errors.Is(err, directory.ErrDisabled) {
		t.Errorf("endorsed: %v", err)
	}
	c.enable(t, "alice")
	_, err = c.Enroll.Endorse(t.Context(), c.rita, req.ID)
	must(t, err)
	c.disable(t, "alice")
	c.sweep(t)
	c.stands(t, "alice", "revoked good", false)
}

// Two servers sweep at the same time, again and again: each person is noticed, revoked and told of once.
func TestTwoServers(t *testing.T) {
	c := setup(t, revoking)
	servers := []*leaver.Desk{c.Desk, c.desk(t, c.config), c.desk(t, c.config)}
	sweep := func() {
		t.Helper()
		errs := make([]error, len(servers))
		var wg sync.WaitGroup
		for i, s := range servers {
			wg.Go(func() {
				for range 3 {
					errs[i] = errors.Join(errs[i], s.Sweep(t.Context(), true))
				}
			})
		}
		wg.Wait()
		must(t, errors.Join(errs...))
	}
	c.disable(t, "alice")
	c.remove(t, "bob")
	sweep()
	c.Clock.Advance(grace + time.Minute)
	sweep()
	c.expect(t, "both", "alice disabled left", "bob gone left")
	for _, kind := range []string{"leaver.noticed", "leaver.leaving", "leaver.left", "certificate.revoked"} {
		if n := c.events(t, kind); n != 2 {
			t.Errorf("%d events %s, want 2", n, kind)
		}
	}
}

// killed runs a sweep that ends, without a word, when a step has been taken; as a process does that is killed there.
func (c *company) killed(t *testing.T, step string) bool {
	t.Helper()
	conf := c.config
	hit := false
	conf.After = func(done string) {
		if done == step {
			hit = true
			runtime.Goexit()
		}
	}
	d := c.desk(t, conf)
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = d.Sweep(t.Context(), true) })
	wg.Wait()
	must(t, err)
	return hit
}

// A server that is killed after any step leaves a sweep that another one finishes.
func TestKilledBetweenSteps(t *testing.T) {
	for _, step := range []string{"leaver.page", "leaver.settled", "leaver.revoked", "leaver.left"} {
		t.Run(step, func(t *testing.T) {
			c := setup(t, revoking)
			c.disable(t, "alice")
			c.sweep(t)
			c.Clock.Advance(grace + time.Minute)
			if !c.killed(t, step) {
				t.Fatalf("the step %s was not reached", step)
			}
			must(t, c.Sweep(t.Context(), false))
			c.expect(t, "the next sweep", "alice disabled left")
			c.stands(t, "alice", "revoked good", false)
			for _, kind := range []string{"leaver.noticed", "leaver.leaving", "leaver.left", "certificate.revoked"} {
				if n := c.events(t, kind); n != 1 {
					t.Errorf("%d events %s, want 1", n, kind)
				}
			}
		})
	}
}

// A registrar's decision that was cut off is carried out by the next sweep, in their name.
func TestDecisionCutOff(t *testing.T) {
	c := setup(t, leaver.Policy{})
	c.disable(t, "alice")
	c.sweep(t)
	conf := c.config
	conf.After = func(step string) {
		if step == "leaver.decided" {
			runtime.Goexit()
		}
	}
	d := c.desk(t, conf)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = d.Revoke(t.Context(), c.rita, c.people["alice"], "Left on Friday.") })
	wg.Wait()
	c.expect(t, "cut off", "alice disabled leaving")
	if l, err := c.Left(t.Context(), []uuid.UUID{c.people["alice"]}); err != nil || !l[c.people["alice"]] {
		t.Errorf("shown meanwhile: %v, %v", l, err)
	}
	must(t, c.Sweep(t.Context(), false))
	c.stands(t, "alice", "revoked good", false)
	if n := c.Database.Count(t, `select count(*) from audit.event where kind in ('certificate.revoked', 'leaver.left') and actor = $1`, c.rita.Person); n != 2 {
		t.Errorf("%d events are in the registrar's name", n)
	}
}

// A pass goes through everybody in pages, only when it is due, and forgets who has no certificate any more.
func TestSweepWhenDue(t *testing.T) {
	c := setup(t, revoking)
	passes := func() int64 { return c.Database.Count(t, `select number from enroll.leaver_sweep`) }
	for range 2 {
		must(t, c.Sweep(t.Context(), false))
	}
	if n := passes(); n != 1 {
		t.Errorf("%d passes, want 1", n)
	}
	c.disable(t, "alice")
	c.Clock.Advance(time.Hour)
	must(t, c.Sweep(t.Context(), false))
	if n := passes(); n != 2 {
		t.Errorf("%d passes, want 2", n)
	}
	alice := c.people["alice"]
	_, err := c.PKI.RevokeAll(t.Context(), c.rita, ca.Query{Person: &alice}, ca.Revocation{Reason: ca.Superseded}, nil)
	must(t, err)
	c.Clock.Advance(time.Hour)
	must(t, c.Sweep(t.Context(), false))
	c.expect(t, "there is nothing left to decide")
	c.Clock.Advance(-5 * time.Hour)
	must(t, c.Sweep(t.Context(), false))
	if n := passes(); n != 4 {
		t.Errorf("%d passes after the clock went back, want 4", n)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]leaver.Policy{
		"disabled: \"no\" is not":  {Disabled: "no"},
		"gone: \"Ask\" is not":     {Gone: "Ask"},
		"grace: is negative":       {Grace: -1},
		"every: is negative":       {Every: -1},
		"limit: must lie between ": {Limit: 1.1},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", p, err)
		}
		if _, err := leaver.New(leaver.Config{Policy: p}); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
	if err := (leaver.Policy{}).Validate(); err != nil {
		t.Error(err)
	}
}
