package record_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
)

func encoded(tb testing.TB, a *record.Answer) []byte {
	tb.Helper()
	b, err := a.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// dispute is what the recipient of a case's first delivery says of an answer to it.
func (a *archive) dispute(tb testing.TB, c *record.SignedCase, answer *record.Answer) record.Dispute {
	tb.Helper()
	sealing := answer.Approval.Sealings[0]
	return record.Dispute{
		Case: c.Hash(), Roster: a.roster.Hash(), Agent: answer.Approval.Agent, Recipient: sealing.Recipient, Sealed: sealing.Sealed,
		Time: day.Add(2 * time.Hour), Reason: "The proof does not hold.", Certificate: c.Requester.Certificate,
	}
}

// consentTo is an auditor's consent to silence.
func consentTo(tb testing.TB, c *record.SignedCase) record.Consent {
	tb.Helper()
	auditor := newPerson(tb, "auditor")
	return record.Consent{Case: c.Hash(), Person: auditor.id, Name: auditor.name, Certificate: auditor.signing,
		SilentUntil: day.AddDate(0, 3, 0), Time: day.Add(time.Hour)}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	s := signCase(t, a.restoreCase(t), device(t))
	b := a.bundle(t, s, "alice", "alice 2")
	one, two := a.approve(t, 1, b), a.approve(t, 2, b)
	again := must(record.ParseAnswer(encoded(t, one)))(t)
	if d := cmp.Diff(again.Sealed, one.Sealed); d != "" || !bytes.Equal(again.Approval.Bytes(), one.Approval.Bytes()) {
		t.Errorf("an answer became another: %s", d)
	}
	if err := again.Approval.Verify(a.roster, s); err != nil {
		t.Error(err)
	}
	if err := record.NewOpener(b).Add(again.Approval, again.Sealed[0], device(t).key()); err != nil {
		t.Error(err)
	}
	denial := must(record.NewDenial(a.roster, s, 2, a.people[2].signKey, day, "No."))(t)
	for name, x := range map[string]*record.Answer{
		"no approval":              {Sealed: one.Sealed},
		"no partials":              {Approval: one.Approval},
		"partials of another":      {Approval: one.Approval, Sealed: two.Sealed},
		"partials twice":           {Approval: one.Approval, Sealed: slices.Concat(one.Sealed, one.Sealed)},
		"a denial with partials":   {Approval: denial, Sealed: one.Sealed},
		"partials that are nobody": {Approval: one.Approval, Sealed: [][]byte{nil}},
	} {
		if _, err := x.Encode(); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDispute(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	restore, legal := signCase(t, a.restoreCase(t), device(t)), signCase(t, a.legalCase(t), newPerson(t, "clerk"))
	answer := a.approve(t, 1, a.bundle(t, restore, "alice", "alice 2"))
	other := a.approve(t, 1, a.bundle(t, legal, "alice", "alice 2", "bob"))
	alice, lawyer := device(t), newPerson(t, "counsel")
	d := must(a.dispute(t, restore, answer).Sign(alice.signKey))(t)
	again := must(record.ParseDispute(d.Bytes()))(t)
	if err := again.Verify(a.roster, restore); err != nil {
		t.Error(err)
	}
	if again.Hash() != d.Hash() || !again.Concerns(answer.Approval) || again.Concerns(other.Approval) || again.Concerns(a.approve(t, 2, a.bundle(t, restore, "alice", "alice 2")).Approval) {
		t.Error("the dispute is about another answer")
	}
	byCounsel := a.dispute(t, legal, other)
	byCounsel.Certificate = lawyer.signing
	if err := must(byCounsel.Sign(lawyer.signKey))(t).Verify(a.roster, legal); err != nil {
		t.Errorf("a recipient that is not the requester: %v", err)
	}
	for name, change := range map[string]func(*record.Dispute){
		"another case":      func(d *record.Dispute) { d.Case[0]++ },
		"another roster":    func(d *record.Dispute) { d.Roster[0]++ },
		"no such agent":     func(d *record.Dispute) { d.Agent = 9 },
		"another recipient": func(d *record.Dispute) { d.Recipient[0]++ },
		"before the case":   func(d *record.Dispute) { d.Time = day.Add(-time.Hour) },
		"not the requester": func(d *record.Dispute) {
			d.Certificate = certificate(t, "alice's other", alice.signKey.Public(), 0, usageSigning)
		},
	} {
		x := must(with(a.dispute(t, restore, answer), change).Sign(alice.signKey))(t)
		if err := x.Verify(a.roster, restore); !errors.Is(err, record.ErrDispute) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*record.Dispute){
		"no reason": func(d *record.Dispute) { d.Reason = "" }, "no agent": func(d *record.Dispute) { d.Agent = 0 },
		"two lines":       func(d *record.Dispute) { d.Reason = "one\ntwo" },
		"no certificate":  func(d *record.Dispute) { d.Certificate = nil },
		"nothing sealed":  func(d *record.Dispute) { d.Sealed = record.Hash{} },
		"a long reason":   func(d *record.Dispute) { d.Reason = string(bytes.Repeat([]byte("x"), 501)) },
		"no time":         func(d *record.Dispute) { d.Time = time.Time{} },
		"no one's roster": func(d *record.Dispute) { d.Roster = record.Hash{} },
	} {
		if _, err := with(a.dispute(t, restore, answer), change).Sign(alice.signKey); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.dispute(t, restore, answer).Sign(lawyer.signKey); !errors.Is(err, record.ErrDispute) {
		t.Errorf("signed with another key: %v", err)
	}
	unaltered(t, d.Bytes(), func(b []byte) error {
		x, err := record.ParseDispute(b)
		if err != nil {
			return err
		}
		return x.Verify(a.roster, restore)
	})
}

// unaltered demands that no byte can be changed.
func unaltered(t *testing.T, b []byte, accept func([]byte) error) {
	t.Helper()
	for i := range b {
		altered := bytes.Clone(b)
		altered[i] ^= 1
		if accept(altered) == nil {
			t.Errorf("byte %d may be altered", i)
		}
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	s := signCase(t, a.legalCase(t), newPerson(t, "clerk"))
	auditor := newPerson(t, "auditor")
	c := must(consentTo(t, s).Sign(auditor.signKey))(t)
	again := must(record.ParseConsent(c.Bytes()))(t)
	if err := again.Verify(a.roster, s); err != nil || again.Hash() != c.Hash() {
		t.Error(err)
	}
	restore := signCase(t, a.restoreCase(t), device(t))
	ofRestore := must(consentTo(t, restore).Sign(auditor.signKey))(t)
	if err := ofRestore.Verify(a.roster, restore); !errors.Is(err, record.ErrConsent) {
		t.Errorf("consent to a restore: %v", err)
	}
	clerk, lawyer := newPerson(t, "clerk"), counsel(t)
	for name, change := range map[string]func(*record.Consent){
		"another case":                  func(c *record.Consent) { c.Case[0]++ },
		"the requester":                 func(c *record.Consent) { c.Person = clerk.id },
		"the recipient":                 func(c *record.Consent) { c.Person = lawyer.id },
		"a subject":                     func(c *record.Consent) { c.Person = headerOf("bob").Person },
		"before the case":               func(c *record.Consent) { c.Time = day.Add(-time.Hour) },
		"after its end":                 func(c *record.Consent) { c.Time = deadline.Add(time.Hour) },
		"the requester's key elsewhere": func(c *record.Consent) { c.Certificate = clerk.signing },
	} {
		x := with(consentTo(t, s), change)
		key := auditor.signKey
		if x.Certificate.Equal(clerk.signing) {
			key = clerk.signKey
		}
		if err := must(x.Sign(key))(t).Verify(a.roster, s); !errors.Is(err, record.ErrConsent) && !errors.Is(err, record.ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*record.Consent){
		"no case":        func(c *record.Consent) { c.Case = record.Hash{} },
		"nobody":         func(c *record.Consent) { c.Person = uuid.Nil },
		"no name":        func(c *record.Consent) { c.Name = "" },
		"no silence":     func(c *record.Consent) { c.SilentUntil = c.Time },
		"no certificate": func(c *record.Consent) { c.Certificate = nil },
	} {
		if _, err := with(consentTo(t, s), change).Sign(auditor.signKey); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := consentTo(t, s).Sign(clerk.signKey); !errors.Is(err, record.ErrConsent) {
		t.Errorf("signed with another key: %v", err)
	}
	unaltered(t, c.Bytes(), func(b []byte) error {
		x, err := record.ParseConsent(b)
		if err != nil {
			return err
		}
		return x.Verify(a.roster, s)
	})
}
