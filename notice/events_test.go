package notice_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/notice"
	"github.com/sealpost/sealpost/recovery"
)

// An officer who sent garbage is named to the other officers and to who waits for the keys; nobody is told why.
func TestDisputedAnswer(t *testing.T) {
	o := setup(t)
	alice := o.archived(t, "alice", 1)
	k := o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	o.approve(t, k, 1, 2)
	c, err := o.Recovery.Collect(t.Context(), alice.Actor, k.ID, 0)
	must(t, err)
	o.told(t)
	i := slices.IndexFunc(c.Answers, func(a archive.CaseAnswer) bool { return a.Agent == 2 })
	d, err := record.Dispute{Case: k.Hash(), Roster: o.Roster.Hash(), Agent: 2, Recipient: record.Fingerprint(alice.device), Sealed: c.Answers[i].Sealings[0].Sealed,
		Time: o.Clock.Now().UTC().Truncate(time.Second), Reason: reason, Certificate: alice.signing}.Sign(alice.key)
	must(t, err)
	for range 2 {
		_, err = o.Recovery.Dispute(t.Context(), alice.Actor, k.ID, d.Bytes())
		must(t, err)
	}
	got, _ := o.told(t)
	wrong := "Oscar Officer's part of a case does not work"
	expect(t, "disputed", got, "alice: One officer's part does not work", "olivia: "+wrong, "oscar: "+wrong, "otto: "+wrong)
	o.approve(t, k, 3)
	got, _ = o.told(t)
	expect(t, "another takes the place", got, "alice: Otto Officer has agreed")
}

// A refused case is told of to who asked and to whose keys it was about.
func TestDeniedCase(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	k := o.ask(t, record.CaseBusiness, "rita", time.Time{}, "alice")
	o.told(t)
	for _, id := range []uint16{1, 3} {
		a := o.Roster.Agents[id-1]
		denial, err := record.NewDenial(o.Roster.Roster, k.SignedCase, id, a.Signer, o.Clock.Now(), reason)
		must(t, err)
		raw, err := (&record.Answer{Approval: denial}).Encode()
		must(t, err)
		_, err = o.Recovery.Answer(t.Context(), audit.Actor{Person: a.Person, Name: a.Name, Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodCertificate}, k.ID, raw)
		must(t, err)
	}
	got, _ := o.told(t)
	refused := "Refused: keys of Alice Anders"
	expect(t, "denied", got, "rita: Olivia Officer has refused", "rita: Otto Officer has refused", "rita: Your request to open keys was refused", "alice: Your mail keys stay closed",
		"olivia: "+refused, "oscar: "+refused, "otto: "+refused)
}

// Officers who were asked hear that there is nothing left to decide, whatever ended the case; who asks, though an officer,
// hears it as who asks.
func TestOfficersHearOfTheEnd(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	o.archived(t, "olivia", 1)
	k := o.ask(t, record.CaseRestore, "olivia", time.Time{}, "olivia")
	got, _ := o.told(t)
	ask := "Please decide: keys of Olivia Officer"
	expect(t, "asked by an officer", got, "olivia: You asked to get your mail keys back", "oscar: "+ask, "otto: "+ask)
	_, err := o.Recovery.Cancel(t.Context(), o.person(t, "olivia").Actor, k.ID, "found")
	must(t, err)
	got, _ = o.told(t)
	back := "Taken back: keys of Olivia Officer"
	expect(t, "cancelled", got, "olivia: You took your request back", "oscar: "+back, "otto: "+back)
	o.ask(t, record.CaseBusiness, "rita", time.Time{}, "alice")
	o.told(t)
	o.Clock.Advance(73 * time.Hour)
	must(t, o.Recovery.Expire(t.Context()))
	got, _ = o.told(t)
	over := "The time is over: keys of Alice Anders"
	expect(t, "expired", got, "alice: The time for opening your mail keys is over", "rita: The time for your case is over",
		"olivia: "+over, "oscar: "+over, "otto: "+over)
}

// Where several receive, each subject is told when their own keys were handed out, and not before.
func TestEveryDeliveryIsToldOf(t *testing.T) {
	o := setup(t)
	second := o.secondRecipient(t, "operator")
	alice, carol := o.archived(t, "alice", 1), o.archived(t, "carol", 2)
	k := o.askForEach(t, "rita", map[uuid.UUID]*x509.Certificate{alice.Person: o.Recipient.Certificate, carol.Person: second})
	o.told(t)
	for _, agent := range []uint16{1, 2} {
		o.approveAll(t, k, agent)
	}
	got, _ := o.told(t)
	if !slices.Contains(got, "bob: Keys are ready for you") || !slices.Contains(got, "operator: Keys are ready for you") {
		t.Errorf("approved: %q", got)
	}
	bobs := 0
	if !k.Deliveries[0].Recipient.Equal(o.Recipient.Certificate) {
		bobs = 1
	}
	_, err := o.Recovery.Collect(t.Context(), o.person(t, "bob").Actor, k.ID, bobs)
	must(t, err)
	got, _ = o.told(t)
	for _, not := range []string{"carol: Your mail keys were opened", "operator: You collected keys"} {
		if slices.Contains(got, not) {
			t.Errorf("after the first: %q", got)
		}
	}
	if !slices.Contains(got, "alice: Your mail keys were opened") || !slices.Contains(got, "bob: You collected keys") {
		t.Errorf("after the first: %q", got)
	}
	for range 2 {
		_, err = o.Recovery.Collect(t.Context(), o.person(t, "operator").Actor, k.ID, 1-bobs)
		must(t, err)
	}
	got, _ = o.told(t)
	expect(t, "after the second", got, "carol: Your mail keys were opened", "operator: You collected keys",
		"carol: Your mail keys were handed out once more", "operator: You collected keys once more", "rita: The keys were collected once more")
}

// secondRecipient holds a ceremony with two recipients, and puts the office on its archive.
func (o *office) secondRecipient(t *testing.T, login string) *x509.Certificate {
	t.Helper()
	p, err := o.Directory.ByLogin(t.Context(), login)
	must(t, err)
	bob, err := o.Directory.ByLogin(t.Context(), "bob")
	must(t, err)
	key := pkitest.NewKey(t, ca.P256).(*ecdsa.PrivateKey)
	issued := o.PKI.Issue(t, ca.Request{ID: uuid.New(), Profile: ca.RecoveryRecipient, Person: p.ID, PublicKey: pkitest.SPKI(key.Public()), Mailboxes: p.Mailboxes,
		Subject: ca.Subject{CommonName: p.Name, GivenName: p.GivenName, Surname: p.Surname, SerialNumber: p.Employee}})
	c, err := x509.ParseCertificate(issued[0].DER)
	must(t, err)
	o.Roster = rostertest.Hold(t, 2, o.Roster.Agents,
		record.Recipient{Uses: record.UseBusiness, Person: bob.ID, Name: bob.Name, Certificate: o.Recipient.Certificate},
		record.Recipient{Uses: record.UseBusiness, Person: p.ID, Name: p.Name, Certificate: c})
	o.Archive, err = archive.New(archive.Config{DB: o.DB, Pins: []record.Hash{o.Roster.Hash()}, Wrapping: []*record.WrappingKey{o.Wrapping}, Receipts: o.Archive.Receipts, Now: o.Clock.Now})
	must(t, err)
	_, err = o.Archive.AddRoster(t.Context(), pkitest.Actor(), o.Roster.Bytes())
	must(t, err)
	o.Recovery, err = recovery.New(recovery.Config{Archive: o.Archive, Authority: o.PKI.Authority, Directory: o.Directory, Jobs: o.PKI.Jobs, Audit: o.Audit, Now: o.Clock.Now})
	must(t, err)
	o.config.Cases = o.Recovery.Cases
	o.teller, err = notice.New(o.config)
	must(t, err)
	return c
}

// askForEach opens a business case with a delivery for each subject.
func (o *office) askForEach(t *testing.T, asker string, to map[uuid.UUID]*x509.Certificate) running {
	t.Helper()
	who := o.person(t, asker)
	a := archive.Ask{Kind: record.CaseBusiness}
	for p := range to {
		a.Subjects = append(a.Subjects, p)
	}
	drafts, err := o.Recovery.Draft(t.Context(), who.Actor, a)
	must(t, err)
	d, now := drafts[0], o.Clock.Now().UTC().Truncate(time.Second)
	c := record.Case{ID: uuid.New(), Kind: record.CaseBusiness, Roster: d.Roster.Hash(), KeyID: d.Roster.KeyID(), Epoch: d.Roster.Epoch(), Reason: reason, Reference: reference,
		Requester: record.Requester{Person: who.Person, Name: who.Name, Certificate: who.signing}, Opened: now, Deadline: now.Add(72 * time.Hour)}
	out := running{}
	for _, s := range d.Subjects {
		subject := record.Subject{Person: s.Person}
		for _, k := range s.Records {
			subject.Records, out.capsules = append(subject.Records, k.Hash()), append(out.capsules, k)
		}
		c.Deliveries = append(c.Deliveries, record.Delivery{Recipient: to[s.Person], Subjects: []record.Subject{subject}})
	}
	signed, err := c.Sign(who.key)
	must(t, err)
	out.Case, err = o.Recovery.Open(t.Context(), who.Actor, signed.Bytes(), nil)
	must(t, err)
	return out
}

// approveAll approves a case of several deliveries.
func (o *office) approveAll(t *testing.T, k running, agent uint16) {
	t.Helper()
	var bundles []*record.Bundle
	for i, d := range k.Deliveries {
		var mine []*record.Capsule
		for _, h := range d.Subjects[0].Records {
			for _, c := range k.capsules {
				if hash := c.Hash(); bytes.Equal(hash[:], h[:]) {
					mine = append(mine, c)
				}
			}
		}
		b, err := record.NewBundle(o.Roster.Roster, k.SignedCase, i, mine, nil)
		must(t, err)
		bundles = append(bundles, b)
	}
	a := o.Roster.Agents[agent-1]
	share, err := o.Roster.OpenShare(agent, a.Key)
	must(t, err)
	answer, err := record.Approving{Bundles: bundles, Share: share, Signer: a.Signer, Time: o.Clock.Now()}.Approve()
	must(t, err)
	raw, err := answer.Encode()
	must(t, err)
	_, err = o.Recovery.Answer(t.Context(), audit.Actor{Person: a.Person, Name: a.Name, Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodCertificate}, k.ID, raw)
	must(t, err)
}
