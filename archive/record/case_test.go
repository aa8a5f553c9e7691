package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// archive is a roster of two of four officers with a few records: two keys of alice, one of bob, one drill.
type archive struct {
	roster  *record.Roster
	people  people
	key     *record.WrappingKey
	records map[string]*record.Record
}

func newArchive(tb testing.TB) *archive {
	tb.Helper()
	a := &archive{key: newWrappingKey(tb, "server"), records: map[string]*record.Record{}}
	a.roster, a.people = newRoster(tb, 2, 4)
	a.keep(tb, "alice", headerOf("alice"))
	a.keep(tb, "alice 2", with(headerOf("alice"), func(h *record.Header) { h.SPKI[0]++ }))
	a.keep(tb, "bob", headerOf("bob"))
	a.keep(tb, "drill", record.Header{Purpose: record.PurposeDrill, SPKI: record.Hash{1}, Algorithm: "x25519", Time: day})
	return a
}

func (a *archive) keep(tb testing.TB, name string, h record.Header) {
	tb.Helper()
	rec, err := record.Seal(a.roster.Key(), a.key.Public(), h, pkcs8Of(name))
	if err != nil {
		tb.Fatal(err)
	}
	a.records[name] = rec
}

func (a *archive) subject(person uuid.UUID, names ...string) record.Subject {
	s := record.Subject{Person: person}
	for _, n := range names {
		s.Records = append(s.Records, a.records[n].Capsule.Hash())
	}
	return s
}

func (a *archive) capsules(names ...string) []*record.Capsule {
	var out []*record.Capsule
	for _, n := range names {
		out = append(out, a.records[n].Capsule)
	}
	return out
}

// device is where alice restores her keys.
func device(tb testing.TB) *person { return newPerson(tb, "alice") }

// restoreCase is alice's own.
func (a *archive) restoreCase(tb testing.TB) record.Case {
	alice := device(tb)
	return record.Case{
		ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("case")), Kind: record.CaseRestore,
		Roster: a.roster.Hash(), KeyID: a.roster.KeyID(), Epoch: a.roster.Epoch(),
		Requester: record.Requester{Person: alice.id, Name: alice.name, Certificate: alice.signing},
		Reason:    "Laptop lost on a train.\nReported to the help desk.", Reference: "HD-4711", Opened: day, Deadline: deadline,
		Deliveries: []record.Delivery{{Recipient: alice.decryption, Subjects: []record.Subject{a.subject(alice.id, "alice", "alice 2")}}},
	}
}

// legalCase asks for alice's and bob's keys for counsel.
func (a *archive) legalCase(tb testing.TB) record.Case {
	c, clerk := a.restoreCase(tb), newPerson(tb, "clerk")
	c.Kind, c.Requester = record.CaseLegal, record.Requester{Person: clerk.id, Name: clerk.name, Certificate: clerk.signing}
	c.Deliveries = []record.Delivery{{Recipient: counsel(tb).decryption, Subjects: []record.Subject{
		a.subject(headerOf("alice").Person, "alice", "alice 2"), a.subject(headerOf("bob").Person, "bob"),
	}}}
	return c
}

func signCase(tb testing.TB, c record.Case, requester *person) *record.SignedCase {
	tb.Helper()
	s, err := c.Sign(requester.signKey)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (a *archive) bundle(tb testing.TB, c *record.SignedCase, names ...string) *record.Bundle {
	tb.Helper()
	b, err := record.NewBundle(a.roster, c, 0, a.capsules(names...), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (a *archive) approve(tb testing.TB, agent uint16, bundles ...*record.Bundle) *record.Answer {
	tb.Helper()
	answer, err := a.approving(tb, agent, bundles...).Approve()
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func (a *archive) approving(tb testing.TB, agent uint16, bundles ...*record.Bundle) record.Approving {
	tb.Helper()
	return record.Approving{
		Bundles: bundles, Share: openShare(tb, a.roster, agent, a.people), Signer: a.people[agent].signKey,
		Time: day.Add(time.Hour), Comment: "Spoke with alice.",
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c := must(record.ParseCase(signCase(t, a.restoreCase(t), device(t)).Bytes()))(t)
	b := a.bundle(t, c, "alice 2", "alice")
	o := record.NewOpener(b)
	in := map[string]*record.InnerRecord{}
	for _, n := range []string{"alice", "alice 2", "bob"} {
		in[n] = unwrap(t, a.records[n], a.key)
	}
	for i, agent := range []uint16{4, 2} {
		if o.Missing() != 2-i {
			t.Errorf("%d are missing", o.Missing())
		}
		if _, err := o.Open(in["alice"]); !errors.Is(err, record.ErrNotOpened) {
			t.Errorf("opens with %d agents: %v", i, err)
		}
		answer := a.approve(t, agent, b)
		s := must(record.ParseApproval(answer.Approval.Bytes()))(t)
		if err := o.Add(s, answer.Sealed[0], device(t).key()); err != nil {
			t.Fatal(err)
		}
		if err := o.Add(s, answer.Sealed[0], device(t).key()); !errors.Is(err, record.ErrApproval) {
			t.Errorf("the same approval twice: %v", err)
		}
	}
	for _, n := range []string{"alice 2", "alice", "alice"} {
		if got, err := o.Open(in[n]); err != nil || !bytes.Equal(got, pkcs8Of(n)) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := o.Open(in["bob"]); !errors.Is(err, record.ErrNotOpened) {
		t.Errorf("bob's key in alice's case: %v", err)
	}
	if !slices.Equal(o.Agents(), []uint16{4, 2}) || o.Missing() != 0 {
		t.Errorf("agents %v", o.Agents())
	}
	o.Wipe()
	if _, err := o.Open(in["alice"]); !errors.Is(err, record.ErrNotOpened) {
		t.Errorf("opens after wiping: %v", err)
	}
}

func TestDrill(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c := a.restoreCase(t)
	c.Kind, c.Deliveries[0].Subjects = record.CaseDrill, []record.Subject{a.subject(uuid.Nil, "drill")}
	b := a.bundle(t, signCase(t, c, device(t)), "drill")
	o := record.NewOpener(b)
	for _, agent := range []uint16{1, 3} {
		answer := a.approve(t, agent, b)
		if err := o.Add(answer.Approval, answer.Sealed[0], device(t).key()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Open(unwrap(t, a.records["drill"], a.key)); err != nil || !bytes.Equal(got, pkcs8Of("drill")) {
		t.Errorf("drill: %v", err)
	}
}

func TestSeveralRecipients(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	c := a.legalCase(t)
	c.Kind = record.CaseBusiness
	receivers := []*person{manager(t), deputy(t)}
	c.Deliveries = []record.Delivery{
		{Recipient: receivers[0].decryption, Subjects: []record.Subject{a.subject(headerOf("bob").Person, "bob")}},
		{Recipient: receivers[1].decryption, Subjects: []record.Subject{a.subject(headerOf("alice").Person, "alice", "alice 2")}},
	}
	s := signCase(t, c, newPerson(t, "clerk"))
	names := [][]string{{"bob"}, {"alice", "alice 2"}}
	if !s.Deliveries[0].Recipient.Equal(receivers[0].decryption) { // they are ordered by fingerprint
		slices.Reverse(receivers)
		slices.Reverse(names)
	}
	var bundles []*record.Bundle
	for i := range names {
		bundles = append(bundles, must(record.NewBundle(a.roster, s, i, a.capsules(names[i]...), nil))(t))
	}
	answers := []*record.Answer{a.approve(t, 1, bundles...), a.approve(t, 3, bundles...)}
	for i, b := range bundles {
		o := record.NewOpener(b)
		for _, x := range answers {
			if err := o.Add(x.Approval, x.Sealed[i], receivers[1-i].key()); !errors.Is(err, record.ErrPartials) {
				t.Errorf("one recipient opens the other's delivery: %v", err)
			}
			if err := o.Add(x.Approval, x.Sealed[1-i], receivers[i].key()); !errors.Is(err, record.ErrApproval) {
				t.Errorf("one delivery's partials for the other: %v", err)
			}
			if err := o.Add(x.Approval, x.Sealed[i], receivers[i].key()); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range names[i] {
			if got, err := o.Open(unwrap(t, a.records[n], a.key)); err != nil || !bytes.Equal(got, pkcs8Of(n)) {
				t.Errorf("%s: %v", n, err)
			}
		}
		if _, err := o.Open(unwrap(t, a.records[names[1-i][0]], a.key)); !errors.Is(err, record.ErrNotOpened) {
			t.Errorf("the other delivery's record: %v", err)
		}
	}
	if _, err := a.approving(t, 1, bundles[0]).Approve(); !errors.Is(err, record.ErrApproval) {
		t.Errorf("half a case is approved: %v", err)
	}
	if _, err := a.approving(t, 1, bundles[1], bundles[0]).Approve(); !errors.Is(err, record.ErrApproval) {
		t.Errorf("deliveries out of order: %v", err)
	}
}

func TestCasesThatAreRefused(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	alice, clerk := device(t), newPerson(t, "clerk")
	for name, change := range map[string]func(*record.Case){
		"no id":                   func(c *record.Case) { c.ID = uuid.Nil },
		"no kind":                 func(c *record.Case) { c.Kind = 0 },
		"unknown kind":            func(c *record.Case) { c.Kind = 5 },
		"no roster":               func(c *record.Case) { c.Roster = record.Hash{} },
		"no epoch":                func(c *record.Case) { c.Epoch = 0 },
		"no requester":            func(c *record.Case) { c.Requester.Person = uuid.Nil },
		"no requester's name":     func(c *record.Case) { c.Requester.Name = "" },
		"no requester's key":      func(c *record.Case) { c.Requester.Certificate = nil },
		"no reason":               func(c *record.Case) { c.Reason = "" },
		"misleading reason":       func(c *record.Case) { c.Reason = "for\u202ebob" },
		"misleading reference":    func(c *record.Case) { c.Reference = "a\nb" },
		"deadline before opening": func(c *record.Case) { c.Deadline = c.Opened },
		"no delivery":             func(c *record.Case) { c.Deliveries = nil },
		"no recipient":            func(c *record.Case) { c.Deliveries[0].Recipient = nil },
		"no subject":              func(c *record.Case) { c.Deliveries[0].Subjects = nil },
		"no record":               func(c *record.Case) { c.Deliveries[0].Subjects[0].Records = nil },
		"a record twice":          func(c *record.Case) { r := c.Deliveries[0].Subjects[0].Records; r[1] = r[0] },
		"somebody else's restore": func(c *record.Case) { c.Deliveries[0].Subjects[0].Person = headerOf("bob").Person },
		"a second subject": func(c *record.Case) {
			d := &c.Deliveries[0]
			d.Subjects = append(d.Subjects, a.subject(headerOf("bob").Person, "bob"))
		},
		"nobody's restore":          func(c *record.Case) { c.Deliveries[0].Subjects[0].Person = uuid.Nil },
		"a drill with a person":     func(c *record.Case) { c.Kind = record.CaseDrill },
		"recipient that only signs": func(c *record.Case) { c.Deliveries[0].Recipient = ed25519Certificate(t) },
		"a delivery twice":          func(c *record.Case) { c.Deliveries = append(c.Deliveries, c.Deliveries[0]) },
	} {
		c := a.restoreCase(t)
		change(&c)
		if _, err := c.Sign(alice.signKey); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.restoreCase(t).Sign(clerk.signKey); !errors.Is(err, record.ErrCase) {
		t.Errorf("signed by another: %v", err)
	}
	for name, change := range map[string]func(*record.Case){
		"another roster":                 func(c *record.Case) { c.Roster[0]++ },
		"another archive key":            func(c *record.Case) { c.KeyID[0]++ },
		"another epoch":                  func(c *record.Case) { c.Epoch++ },
		"recipient outside the roster":   func(c *record.Case) { c.Deliveries[0].Recipient = alice.decryption },
		"recipient for other cases only": func(c *record.Case) { c.Deliveries[0].Recipient = manager(t).decryption },
	} {
		c := a.legalCase(t)
		change(&c)
		if err := signCase(t, c, clerk).CheckRoster(a.roster); !errors.Is(err, record.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := signCase(t, a.restoreCase(t), alice)
	for i := range s.Bytes() {
		b := bytes.Clone(s.Bytes())
		b[i] ^= 1
		if c, err := record.ParseCase(b); err == nil && c.Verify() == nil {
			t.Errorf("byte %d of a signed case may be altered", i)
		}
	}
}

// TestRogueServer is what a server does that wants agents to open bob's key in alice's case.
func TestRogueServer(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	alice := device(t)
	c := a.restoreCase(t)
	c.Deliveries[0].Subjects[0] = a.subject(alice.id, "alice", "bob")
	s := signCase(t, c, alice)
	bundle := func(s *record.SignedCase, capsules []*record.Capsule) error {
		_, err := record.NewBundle(a.roster, s, 0, capsules, nil)
		return err
	}
	if err := bundle(s, a.capsules("alice", "bob")); !errors.Is(err, record.ErrCase) || !strings.Contains(err.Error(), "bob@example.test") {
		t.Errorf("bob's record in alice's case: %v", err)
	}
	good := signCase(t, a.restoreCase(t), alice)
	for name, capsules := range map[string][]*record.Capsule{
		"one too few":          a.capsules("alice"),
		"one too many":         a.capsules("alice", "alice 2", "bob"),
		"another instead":      a.capsules("alice", "bob"),
		"the same twice":       a.capsules("alice", "alice"),
		"none":                 nil,
		"two and one repeated": a.capsules("alice", "alice 2", "alice"),
	} {
		if err := bundle(good, capsules); !errors.Is(err, record.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Bob's R behind alice's header: the hash in the case is that of the forgery, so only the proof is in the way.
	forged := must(record.ParseCapsule(with(fieldsOf(a.records["bob"].Capsule), func(f *fields) { f.header = fieldsOf(a.records["alice"].Capsule).header }).capsule()))(t)
	c.Deliveries[0].Subjects[0].Records = []record.Hash{forged.Hash()}
	if err := bundle(signCase(t, c, alice), []*record.Capsule{forged}); !errors.Is(err, record.ErrRecord) {
		t.Errorf("bob's R behind alice's header: %v", err)
	}
	// A drill record in a real case, and a real one in a drill.
	c.Deliveries[0].Subjects[0] = a.subject(alice.id, "drill")
	if err := bundle(signCase(t, c, alice), a.capsules("drill")); !errors.Is(err, record.ErrCase) {
		t.Errorf("a drill record in alice's case: %v", err)
	}
	c.Kind, c.Deliveries[0].Subjects[0] = record.CaseDrill, a.subject(uuid.Nil, "alice")
	if err := bundle(signCase(t, c, alice), a.capsules("alice")); !errors.Is(err, record.ErrCase) {
		t.Errorf("alice's record in a drill: %v", err)
	}
	// An invented requester: the statement names alice, the signature is the server's.
	server := fixedKey(t, "server")
	if _, err := a.restoreCase(t).Sign(server); !errors.Is(err, record.ErrCase) {
		t.Errorf("invented requester: %v", err)
	}
	if _, err := record.NewBundle(a.roster, good, 1, a.capsules("alice", "alice 2"), nil); !errors.Is(err, record.ErrCase) {
		t.Errorf("a delivery that does not exist: %v", err)
	}
	other, _ := newRoster(t, 2, 3)
	if _, err := record.NewBundle(other, good, 0, a.capsules("alice", "alice 2"), nil); !errors.Is(err, record.ErrCase) {
		t.Errorf("another roster: %v", err)
	}
}

func TestWhoMayApprove(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	officer := a.people[1]
	asOfficer := record.Requester{Person: officer.id, Name: officer.name, Certificate: officer.signing}
	receive := func(c *record.Case) { c.Deliveries[0].Recipient = officer.decryption }
	for name, change := range map[string]func(*record.Case) *person{
		"requester":         func(c *record.Case) *person { c.Requester = asOfficer; return officer },
		"requester's key":   func(c *record.Case) *person { c.Requester.Certificate = officer.signing; return officer },
		"requester, person": func(c *record.Case) *person { c.Requester.Person = officer.id; return newPerson(t, "clerk") },
		"recipient": func(c *record.Case) *person {
			c.Kind = record.CaseDrill
			c.Deliveries[0].Subjects = []record.Subject{a.subject(uuid.Nil, "drill")}
			receive(c)
			return newPerson(t, "clerk")
		},
		"subject": func(c *record.Case) *person {
			c.Deliveries[0].Subjects[1].Person = officer.id
			return newPerson(t, "clerk")
		},
	} {
		c := a.legalCase(t)
		requester := change(&c)
		s := signCase(t, c, requester)
		if err := s.CheckApprover(a.roster, 1); !errors.Is(err, record.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.CheckApprover(a.roster, 2); err != nil {
			t.Errorf("%s, another agent: %v", name, err)
		}
		if err := s.CheckApprover(a.roster, 9); !errors.Is(err, record.ErrCase) {
			t.Errorf("%s, no agent: %v", name, err)
		}
	}
	c := a.legalCase(t)
	c.Requester = asOfficer
	b := a.bundle(t, signCase(t, c, officer), "alice", "alice 2", "bob")
	if _, err := a.approving(t, 1, b).Approve(); !errors.Is(err, record.ErrCase) {
		t.Errorf("the requester approves: %v", err)
	}
	if _, err := record.NewDenial(a.roster, b.Case, 1, officer.signKey, day, ""); !errors.Is(err, record.ErrCase) {
		t.Errorf("the requester denies: %v", err)
	}
}

func TestApprovalsThatDoNotCount(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	alice := device(t)
	s := signCase(t, a.restoreCase(t), alice)
	b := a.bundle(t, s, "alice", "alice 2")
	good := a.approve(t, 1, b)
	second := signCase(t, with(a.restoreCase(t), func(c *record.Case) { c.Reference = "HD-4712" }), alice)
	b2 := a.bundle(t, second, "alice", "alice 2")
	add := func(b *record.Bundle, x *record.SignedApproval, sealed []byte) error {
		return record.NewOpener(b).Add(x, sealed, alice.key())
	}
	if err := add(b, good.Approval, good.Sealed[0]); err != nil {
		t.Fatal(err)
	}
	if err := add(b2, good.Approval, good.Sealed[0]); !errors.Is(err, record.ErrApproval) {
		t.Errorf("replay on another case: %v", err)
	}
	resigned := func(signer uint16, change func(*record.Approval)) *record.SignedApproval {
		return must(record.SignApproval(with(good.Approval.Approval, change), a.people[signer].signKey))(t)
	}
	for name, x := range map[string]*record.SignedApproval{
		"another epoch":       resigned(1, func(a *record.Approval) { a.Epoch++ }),
		"another roster":      resigned(1, func(a *record.Approval) { a.Roster[0]++ }),
		"after the deadline":  resigned(1, func(a *record.Approval) { a.Time = deadline.Add(time.Second) }),
		"before the opening":  resigned(1, func(a *record.Approval) { a.Time = day.Add(-record.ClockSkew - time.Second) }),
		"another's signature": resigned(2, func(*record.Approval) {}),
		"another agent":       resigned(1, func(a *record.Approval) { a.Agent = 2 }),
		"no agent":            resigned(1, func(a *record.Approval) { a.Agent = 9 }),
		"another recipient": resigned(1, func(a *record.Approval) {
			a.Sealings = []record.Sealing{{Recipient: record.Hash{1}, Sealed: a.Sealings[0].Sealed}}
		}),
		"one delivery too many": resigned(1, func(a *record.Approval) { a.Sealings = append(slices.Clone(a.Sealings), a.Sealings[0]) }),
		"other sealed partials": resigned(1, func(a *record.Approval) { a.Sealings = []record.Sealing{{Recipient: a.Sealings[0].Recipient}} }),
		"a denial":              must(record.NewDenial(a.roster, s, 1, a.people[1].signKey, day, "No.\nNot now."))(t),
	} {
		if err := add(b, x, good.Sealed[0]); !errors.Is(err, record.ErrApproval) && !errors.Is(err, record.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range good.Approval.Bytes() {
		x := bytes.Clone(good.Approval.Bytes())
		x[i] ^= 1
		if p, err := record.ParseApproval(x); err == nil && p.Verify(a.roster, s) == nil {
			t.Errorf("byte %d of an approval may be altered", i)
		}
	}
	for name, change := range map[string]func(*record.Approval){
		"approves nothing":   func(a *record.Approval) { a.Sealings = nil },
		"denies something":   func(a *record.Approval) { a.Decision = record.Deny },
		"decides nothing":    func(a *record.Approval) { a.Decision = 0 },
		"agent 0":            func(a *record.Approval) { a.Agent = 0 },
		"epoch 0":            func(a *record.Approval) { a.Epoch = 0 },
		"misleading comment": func(a *record.Approval) { a.Comment = "a\tb" },
	} {
		if _, err := record.SignApproval(with(good.Approval.Approval, change), a.people[1].signKey); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, x := range map[string]record.Approving{
		"late":          with(a.approving(t, 1, b), func(x *record.Approving) { x.Time = deadline.Add(time.Second) }),
		"nothing":       a.approving(t, 1),
		"twice":         a.approving(t, 1, b, b),
		"another's key": with(a.approving(t, 1, b), func(x *record.Approving) { x.Signer = a.people[2].signKey }),
		"no key":        with(a.approving(t, 1, b), func(x *record.Approving) { x.Signer = nil }),
	} {
		if _, err := x.Approve(); err == nil {
			t.Errorf("%s: approved", name)
		}
	}
}

// TestGarbageIsNamed: one agent sends garbage in several ways, is named, and the two others suffice.
func TestGarbageIsNamed(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	alice := device(t)
	s := signCase(t, a.restoreCase(t), alice)
	b := a.bundle(t, s, "alice", "alice 2")
	c2 := signCase(t, with(a.restoreCase(t), func(c *record.Case) { c.Reference = "HD-4712" }), alice)
	b2 := a.bundle(t, c2, "alice", "alice 2")
	share := openShare(t, a.roster, 1, a.people)
	plain := func(b *record.Bundle, s threshold.Share) []byte {
		return must(b.PartialsWith(s, fixedScalar(t, "w")))(t)
	}
	good := plain(b, share)
	swapped := bytes.Clone(good)
	copy(swapped[104:136], good[136:168])
	copy(swapped[136:168], good[104:136])
	o := record.NewOpener(b)
	for name, raw := range map[string][]byte{
		"another secret":         plain(b, threshold.Share{Agent: 1, Scalar: fixedScalar(t, "x")}),
		"from another case":      plain(b2, share),
		"another agent's":        plain(b, openShare(t, a.roster, 2, a.people)),
		"two partials swapped":   swapped,
		"one partial too few":    append(append(append(bytes.Clone(good[:100]), 0, 0, 0, 1), good[104:136]...), good[168:]...),
		"identity":               append(append(bytes.Clone(good[:104]), make([]byte, 32)...), good[136:]...),
		"another proof":          with(bytes.Clone(good), func(b *[]byte) { (*b)[len(*b)-40] ^= 1 }),
		"another case in there":  with(bytes.Clone(good), func(b *[]byte) { (*b)[2] ^= 1 }),
		"another recipient":      with(bytes.Clone(good), func(b *[]byte) { (*b)[80] ^= 1 }),
		"no partials at all":     []byte("garbage"),
		"trailing bytes":         append(bytes.Clone(good), 0),
		"nothing":                nil,
		"another case's, forged": append(bytes.Clone(good[:100]), plain(b2, share)[100:]...),
	} {
		x, sealed := a.forge(t, s, 1, raw)
		named(t, name, o.Add(x, sealed, alice.key()), record.ErrPartials, "agent 1 (officer A)")
	}
	// Signed something else than sealed; sealed to somebody else.
	x, sealed := a.forge(t, s, 1, good)
	lie := with(x.Approval, func(x *record.Approval) {
		x.Sealings = []record.Sealing{{Recipient: x.Sealings[0].Recipient, Sealed: x.Sealings[0].Sealed}}
	})
	named(t, "signed something else", o.Add(must(record.SignApproval(lie, a.people[1].signKey))(t), sealed, alice.key()), record.ErrPartials, "gent 1")
	named(t, "sealed to another", o.Add(x, sealed, newPerson(t, "bob").key()), record.ErrPartials, "gent 1")
	if o.Missing() != 2 {
		t.Fatal("garbage was taken")
	}
	for _, agent := range []uint16{2, 3} {
		answer := a.approve(t, agent, b)
		if err := o.Add(answer.Approval, answer.Sealed[0], alice.key()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Open(unwrap(t, a.records["alice"], a.key)); err != nil || !bytes.Equal(got, pkcs8Of("alice")) {
		t.Errorf("the others do not suffice: %v", err)
	}
}

// forge makes an agent's approval around any bytes instead of partials.
func (a *archive) forge(t *testing.T, s *record.SignedCase, agent uint16, raw []byte) (*record.SignedApproval, []byte) {
	t.Helper()
	sealed := must(cms.Seal(raw, certs(s.Deliveries[0].Recipient), cms.SealOptions{}))(t)
	return must(record.SignApproval(record.Approval{
		Case: s.Hash(), Roster: s.Roster, Epoch: s.Epoch, Agent: agent, Decision: record.Approve, Time: day,
		Sealings: []record.Sealing{{Recipient: record.Fingerprint(s.Deliveries[0].Recipient), Sealed: hashOf(sealed), Partials: hashOf(raw)}},
	}, a.people[agent].signKey))(t), sealed
}

// TestReshareEndsApprovals: what was approved in one epoch is of no use in the next.
func TestReshareEndsApprovals(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	s := signCase(t, a.restoreCase(t), device(t))
	b := a.bundle(t, s, "alice", "alice 2")
	answer := a.approve(t, 1, b)
	n := perform(t, newPlan(t, resharePlan(t, a.roster, []uint16{1, 2}, 2, a.people)), a.roster, a.people, a.people)
	if err := answer.Approval.Verify(n, s); !errors.Is(err, record.ErrCase) {
		t.Errorf("an old approval of an old case: %v", err)
	}
	c := with(a.restoreCase(t), func(c *record.Case) { c.Roster, c.Epoch = n.Hash(), n.Epoch() })
	again := signCase(t, c, device(t))
	if err := answer.Approval.Verify(n, again); !errors.Is(err, record.ErrApproval) {
		t.Errorf("an old approval of the new case: %v", err)
	}
	forged := with(answer.Approval.Approval, func(x *record.Approval) { x.Case, x.Roster, x.Epoch = again.Hash(), n.Hash(), n.Epoch() })
	x := must(record.SignApproval(forged, a.people[1].signKey))(t)
	nb := must(record.NewBundle(n, again, 0, a.capsules("alice", "alice 2"), nil))(t)
	named(t, "old partials in a new approval", record.NewOpener(nb).Add(x, answer.Sealed[0], device(t).key()), record.ErrPartials, "agent 1")
}

func TestProgress(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	var seen []int
	_, err := record.NewBundle(a.roster, signCase(t, a.restoreCase(t), device(t)), 0, a.capsules("alice", "alice 2"), func(n int) { seen = append(seen, n) })
	if err != nil || fmt.Sprint(seen) != "[1 2]" {
		t.Errorf("%v, %v", seen, err)
	}
}
