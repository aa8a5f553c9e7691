package leaver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// moving is a policy that asks nobody.
var moving = leaver.Policy{Disabled: leaver.Revoke, Gone: leaver.Revoke, Moved: leaver.Revoke, Grace: grace, Limit: 0.5, Every: time.Hour}

// look looks once what has changed in the directory.
func (c *company) look(t *testing.T) {
	t.Helper()
	must(t, c.Directory.Watch(t.Context(), c.Heard))
}

func (c *company) mail(t *testing.T, login string, addresses ...string) {
	t.Helper()
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\nreplace: mail\nmail: "+strings.Join(addresses, "\nmail: ")+"\n")
}

// found returns whose certificates a mail address finds.
func (c *company) found(t *testing.T, address string) (out []string) {
	t.Helper()
	list, err := c.gal.Find(t.Context(), address)
	must(t, err)
	for _, f := range list {
		for login, id := range c.people {
			if id == f.Person {
				out = append(out, login)
			}
		}
	}
	return out
}

func (c *company) renew(t *testing.T, login string) {
	t.Helper()
	by := c.Actor(t, login)
	s, _ := c.Submission(t, by, housetest.Pair)
	_, err := c.Enroll.Submit(t.Context(), by, s)
	must(t, err)
	c.publish(t, login)
}

// Who leaves, comes back, or moves out of the people's branch is noticed at the next look, without a sweep.
func TestHeard(t *testing.T) {
	c := setup(t, moving)
	c.sweep(t)
	c.look(t)
	c.disable(t, "alice")
	c.look(t)
	c.expect(t, "disabled", "alice disabled noticed")
	c.enable(t, "alice")
	c.look(t)
	c.expect(t, "is back")
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modrdn\nnewrdn: uid=carol\ndeleteoldrdn: 1\nnewsuperior: "+slapdtest.Groups+"\n")
	c.disable(t, "bob")
	c.look(t)
	c.expect(t, "moved away", "bob disabled noticed", "carol gone noticed")
	c.Clock.Advance(grace + time.Minute)
	c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modify\nreplace: title\ntitle: Former buyer\n")
	c.look(t)
	c.expect(t, "heard again after the grace", "bob disabled left", "carol gone noticed")
	c.stands(t, "bob", "revoked good", false)
	c.sweep(t)
	c.expect(t, "swept", "bob disabled left", "carol gone left")
}

// A server that was never read, or went back, has everybody looked at, though no sweep is due.
func TestSweptWhenTheWatcherIsLost(t *testing.T) {
	c := setup(t, moving)
	c.sweep(t)
	c.remove(t, "bob") // before anybody looked
	must(t, c.Sweep(t.Context(), false))
	c.expect(t, "no sweep is due")
	c.look(t)
	must(t, c.Sweep(t.Context(), false))
	c.expect(t, "lost", "bob gone noticed")
}

// An address moves to another person: the certificates that name it are hidden at once and revoked after the grace, and both
// people get new ones that name what is theirs.
func TestAddressMoves(t *testing.T) {
	c := setup(t, moving)
	c.sweep(t)
	c.look(t)
	const address = "robert.brown@example.test"
	if got := c.found(t, address); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("before: %v", got)
	}
	c.mail(t, "bob", "bob@example.test")
	c.mail(t, "carol", "carol@example.test", address)
	c.look(t)
	c.expect(t, "at once", "bob moved noticed")
	if got := c.found(t, address); len(got) != 0 {
		t.Errorf("at once: %v", got)
	}
	c.stands(t, "bob", "good good", false)
	c.stands(t, "carol", "good good", true)
	c.renew(t, "carol")
	if got := c.found(t, address); !slices.Equal(got, []string{"carol"}) {
		t.Errorf("new certificates: %v", got)
	}
	c.renew(t, "bob")
	if got := c.found(t, "bob@example.test"); !slices.Equal(got, []string{"bob"}) || !c.shows(t, "bob") {
		t.Errorf("new certificates: %v", got)
	}
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.expect(t, "after the grace", "bob moved left")
	bob := c.people["bob"]
	for state, want := range map[string]int64{"": 4, "revoked": 2} {
		n := c.Database.Count(t, `select count(*) from ca.certificate c left join lateral (select standing from ca.revocation
			where issuer = c.issuer and serial = c.serial order by change desc limit 1) r on true where person = $1 and profile = any($3) and ($2 = '' or standing = $2)`,
			bob, state, []string{ca.SMIMESigning, ca.SMIMEEncryption})
		if n != want {
			t.Errorf("%d certificates of Bob's are %q, want %d", n, state, want)
		}
	}
	c.stands(t, "bob", "good good", true) // the new ones
	c.sweep(t)
	c.expect(t, "counts towards the limit", "bob moved left")
	c.Clock.Advance(25 * time.Hour)
	c.sweep(t)
	c.expect(t, "in the end")
	for kind, want := range map[string]int64{"leaver.noticed": 1, "leaver.left": 1, "leaver.settled": 1, "leaver.returned": 0} {
		if n := c.events(t, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

// An address that is back before the grace is over has cost nothing.
func TestAddressIsBack(t *testing.T) {
	c := setup(t, moving)
	c.sweep(t)
	c.look(t)
	c.mail(t, "bob", "Bob@EXAMPLE.test", "robert.brown@example.test")
	c.look(t)
	c.expect(t, "another case")
	c.mail(t, "bob", "bob@example.test")
	c.look(t)
	c.stands(t, "bob", "good good", false)
	c.mail(t, "bob", "bob@example.test", "robert.brown@example.test", "bobby@example.test")
	c.look(t)
	c.expect(t, "is back")
	c.stands(t, "bob", "good good", true)
	if n := c.events(t, "leaver.returned"); n != 1 {
		t.Errorf("%d events", n)
	}
	// From moved to disabled, and back to moved: each is another matter.
	c.mail(t, "bob", "bob@example.test")
	c.look(t)
	c.Clock.Advance(grace + time.Minute)
	c.disable(t, "bob")
	c.look(t)
	c.expect(t, "another grace", "bob disabled noticed")
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.stands(t, "bob", "revoked good", false)
	c.enable(t, "bob")
	c.look(t)
	c.expect(t, "is back, without the address", "bob moved noticed")
	c.stands(t, "bob", "revoked good", false)
}

// A registrar decides where the policy says so; what is kept is shown again, until another address is lost.
func TestRegistrarDecidesAboutAnAddress(t *testing.T) {
	c := setup(t, leaver.Policy{Grace: time.Nanosecond, Limit: 0.5})
	c.sweep(t)
	c.look(t)
	c.mail(t, "bob", "bob@example.test")
	c.mail(t, "carol", "c.mueller@example.test")
	c.look(t)
	c.expect(t, "asked", "bob moved waiting policy", "carol moved waiting policy")
	list, err := c.List(t.Context(), c.rita, []leaver.State{leaver.Waiting}, 0, 10)
	must(t, err)
	if len(list) != 2 || !slices.Equal(list[0].Lost, []string{"robert.brown@example.test"}) || !slices.Equal(list[1].Lost, []string{"carol@example.test"}) {
		t.Errorf("%+v", list)
	}
	_, err = c.Keep(t.Context(), c.rita, c.people["bob"], "The address is still his, by another system.")
	must(t, err)
	_, err = c.Revoke(t.Context(), c.rita, c.people["carol"], "Married.")
	must(t, err)
	c.expect(t, "decided", "bob moved kept", "carol moved left")
	c.stands(t, "bob", "good good", true)
	c.stands(t, "carol", "revoked revoked", false)
	c.sweep(t)
	c.expect(t, "stays, and is done", "bob moved kept")
	c.mail(t, "bob", "robert@example.test")
	c.look(t)
	c.expect(t, "another address", "bob moved waiting policy")
	c.stands(t, "bob", "good good", false)
	_, err = c.Revoke(t.Context(), c.rita, c.people["carol"], "Once more.")
	if fault.Of(err) == nil {
		t.Errorf("off the list: %v", err)
	}
}

// With the policy on ignore, nothing is hidden or listed.
func TestAddressesIgnored(t *testing.T) {
	c := setup(t, leaver.Policy{Moved: leaver.Ignore, Grace: time.Nanosecond})
	c.sweep(t)
	c.look(t)
	c.mail(t, "bob", "bob@example.test")
	c.look(t)
	c.sweep(t)
	c.expect(t, "ignored")
	c.stands(t, "bob", "good good", true)
}

// A directory that shows nobody's addresses any more is wrong: nothing is hidden or revoked.
func TestDirectoryLosesAddresses(t *testing.T) {
	c := setup(t, moving)
	const many = 12
	for n := range many {
		login := fmt.Sprintf("extra%d", n)
		c.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nobjectClass: inetOrgPerson\nuid: "+login+"\ncn: "+login+"\nsn: "+login+"\nmail: "+login+"@example.test\nuserPassword: "+slapdtest.Password(login)+"\n")
		by := c.Actor(t, login)
		c.people[login] = by.Person
		c.renew(t, login)
	}
	c.sweep(t)
	c.look(t)
	for n := range many {
		c.mail(t, fmt.Sprintf("extra%d", n), fmt.Sprintf("other%d@example.test", n))
	}
	c.look(t)
	if n := len(c.states(t)); n != many {
		t.Errorf("%d are noticed", n)
	}
	c.stands(t, "extra0", "good good", true)
	c.Clock.Advance(grace + time.Minute)
	c.sweep(t)
	c.stands(t, "extra0", "good good", true)
	for _, s := range c.states(t) {
		if !strings.HasSuffix(s, "moved waiting limit") {
			t.Errorf("after the grace: %s", s)
		}
	}
	// One by one, a registrar says that it is right.
	_, err := c.Revoke(t.Context(), c.rita, c.people["extra0"], "New name.")
	must(t, err)
	c.stands(t, "extra0", "revoked revoked", false)
	c.stands(t, "extra1", "good good", true)
}

// A certificate that was on its way when the others were revoked goes too.
func TestLateCertificateOfAMover(t *testing.T) {
	c := setup(t, leaver.Policy{Moved: leaver.Revoke, Grace: time.Nanosecond, Limit: 0.5})
	c.sweep(t)
	c.look(t)
	by := c.Actor(t, "bob")
	s, _ := c.Submission(t, by, housetest.Pair)
	c.mail(t, "bob", "bob@example.test")
	c.look(t)
	c.expect(t, "at once", "bob moved left")
	c.stands(t, "bob", "revoked revoked", false)
	// The directory's answer came before the change: here, it is changed back for a moment.
	c.mail(t, "bob", "bob@example.test", "robert.brown@example.test")
	_, err := c.Enroll.Submit(t.Context(), by, s)
	must(t, err)
	c.mail(t, "bob", "bob@example.test")
	c.look(t)
	c.stands(t, "bob", "revoked revoked", false)
}

// What was heard may be old, or be heard again: nobody loses anything who is back by then.
func TestHeardLate(t *testing.T) {
	c := setup(t, leaver.Policy{Disabled: leaver.Revoke, Moved: leaver.Revoke, Grace: time.Nanosecond, Limit: 0.5})
	c.sweep(t)
	looks, err := c.Directory.Looks(t.Context(), []uuid.UUID{c.people["alice"], c.people["bob"]})
	must(t, err)
	for _, l := range looks {
		before, now := l, l
		before.Standing = directory.StandingDisabled
		for _, heard := range []directory.Look{before, before, now, now} {
			must(t, c.Heard(t.Context(), []directory.Changed{{Look: heard}}))
		}
	}
	c.expect(t, "both are there")
	for _, login := range []string{"alice", "bob"} {
		c.stands(t, login, "good good", true)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Heard(ctx, []directory.Changed{{Look: directory.Look{Person: c.people["alice"], Standing: directory.StandingDisabled}}}); err == nil {
		t.Error("cancelled: no error")
	}
}

// Whoever hears of a mover while they are being revoked, or comes after a crash in the middle, ends it; and if the address is back
// before anything was revoked, nothing is.
func TestMoverIsRevokedInPieces(t *testing.T) {
	c := setup(t, leaver.Policy{Moved: leaver.Revoke, Grace: time.Nanosecond, Limit: 0.5})
	c.sweep(t)
	c.look(t)
	conf := c.config
	heard := 0
	conf.After = func(step string) {
		if step == "leaver.revoked" { // another server hears of the entry's change
			heard++
			c.look(t)
			if _, err := c.Observe(t.Context(), c.people["bob"]); err != nil {
				t.Error(err)
			}
		}
	}
	c.mail(t, "bob", "bob@example.test")
	if _, err := c.desk(t, conf).Observe(t.Context(), c.people["bob"]); err != nil || heard == 0 {
		t.Errorf("%v, heard %d times", err, heard)
	}
	c.expect(t, "heard in the middle", "bob moved left")
	for kind, want := range map[string]int64{"leaver.left": 1, "leaver.returned": 0, "certificate.revoked": 2} {
		if n := c.events(t, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
	// The process ends in the middle, and the next sweep goes on.
	func() {
		defer func() { _ = recover() }()
		conf.After = func(step string) {
			if step == "leaver.revoked" {
				panic("ended")
			}
		}
		c.mail(t, "carol", "c.mueller@example.test")
		_, _ = c.desk(t, conf).Observe(t.Context(), c.people["carol"])
	}()
	c.expect(t, "ended", "bob moved left", "carol moved leaving")
	c.sweep(t)
	c.expect(t, "goes on", "bob moved left", "carol moved left")
	// Decided, and back before anything is revoked.
	must(t, exec(t, c.DB, "update enroll.leaver set state = 'leaving', changed_at = now() + interval '1 hour' where person = '"+c.people["bob"].String()+"'"))
	c.sweep(t)
	c.expect(t, "is back", "carol moved left")
}

func exec(t *testing.T, db *pg.DB, sql string) error {
	return db.InTx(t.Context(), "enroll", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), sql)
		return err
	})
}
