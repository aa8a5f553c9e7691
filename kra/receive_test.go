package kra_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
	"github.com/sealpost/sealpost/pkcs12"
)

// receiver makes somebody with a home who may receive keys.
func (c *company) receiver(name string) (*officer, *kra.RecipientCard) {
	c.t.Helper()
	home := filepath.Join(c.t.TempDir(), "home")
	o := open(c.t, home)
	r, err := o.RecipientKeyGen(c.t.Context(), name, passphrase)
	must(c.t, err)
	person := c.person(name)
	q := person.Request(ca.RecoveryRecipient, nil)
	q.PublicKey = csrKey(c.t, r.Decryption)
	certs := c.Issue(c.t, q)
	card, err := kra.NewRecipientCard(person.ID, parse(c.t, certs[0].DER), c.Chain())
	must(c.t, err)
	must(c.t, o.ImportRecipient(card, c.roots()))
	return &officer{Officer: o, home: home}, card
}

// office is a vault with a manager who receives in business cases.
func office(t testing.TB) (*vault, *officer, *kra.RecipientCard) {
	t.Helper()
	v := &vault{company: newCompany(t), kept: map[string][]*kept{}}
	manager, card := v.receiver("manager")
	v.open(func(p *kra.PlanConfig) { p.Business = []*kra.RecipientCard{card} })
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastYear)
	v.keep("alice", pkitest.RSAKey(t, ca.RSA3072, 1), lastMonth)
	v.keep("bob", pkitest.NewKey(t, ca.P256), lastMonth)
	_, err := manager.VerifyShare(v.roster, v.roster.Hash())
	must(t, err)
	return v, manager, card
}

// business is a case of a clerk for keys of alice and bob.
func (v *vault) business(clerk *device, to *x509.Certificate) record.Case {
	c := v.restore(clerk)
	c.Kind, c.Reason = record.CaseBusiness, "They left, and the customer waits."
	c.Deliveries = []record.Delivery{{Recipient: to, Subjects: []record.Subject{v.subject("alice"), v.subject("bob")}}}
	return c
}

func TestBusinessCase(t *testing.T) {
	t.Parallel()
	v, manager, card := office(t)
	clerk := v.device("clerk")
	// One record holds another key than the one it is for.
	v.keepAs("bob", pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, ca.P256), lastYear)
	dir, s := v.folder(v.business(clerk, card.Certificate), clerk.SigningKey)
	approve(t, dir, s, v.officers...)
	x := v.officers[0].examine(t, dir)
	if x.Recipients[0].Name != "manager Example" || x.Recipients[0].Keys != 4 || len(x.Subjects) != 2 || len(x.Answers) != 3 || x.Answers[2].Err != nil || x.Answers[2].Name != "Odile Example" {
		t.Errorf("seen: %+v", x)
	}
	again := manager.again(t)
	o, err := again.Receive(dir, nil)
	must(t, err)
	names := delivery.Names{}
	got := map[string]*delivery.Files{}
	out := t.TempDir()
	must(t, os.Chmod(out, 0o700))
	for p, err := range o.People(delivery.NewCertificates(v.certs[:3])) { // of bob and one of alice's nothing is known
		must(t, err)
		if faults := len(p.Faults); (p.Mail == "bob@example.test") != (faults == 1) {
			t.Errorf("%s: %v", p.Mail, p.Faults)
		} else if faults == 1 {
			refused(t, "the key of a record that lies", p.Faults[0], delivery.ErrKey, "bob@example.test")
		}
		name := names.For(p)
		got[name], err = p.Write(filepath.Join(out, name), name, delivery.FileOptions{Password: "a password that a person chose", Now: time.Now()})
		must(t, err)
	}
	if len(got) != 2 || got["alice"].Uncertified != 1 || got["alice"].Keys != 2 || got["bob"].Uncertified != 1 || got["bob"].Keys != 1 || got["bob"].Password != "" {
		t.Errorf("files: %+v %+v", got["alice"], got["bob"])
	}
	entries, _, err := pkcs12.Decode(read(t, out, "alice", "alice.p12"), "a password that a person chose")
	if err != nil || len(entries) != 2 {
		t.Errorf("%v", err)
	}

	// Who may not.
	stranger, _ := v.receiver("stranger")
	_, err = stranger.Receive(dir, nil)
	refused(t, "a recipient who knows no roster", err, kra.ErrRosterUnknown, "verify-share")
	_, err = stranger.VerifyShare(v.roster, v.roster.Hash())
	refused(t, "a recipient who is not in the roster", err, kra.ErrNotInPlan, "no recipient")
	_, err = v.officers[0].Receive(dir, nil)
	refused(t, "an officer", err, delivery.ErrRecipient, "delivers nothing")
	_, err = again.Approve(t.Context(), x, kra.Heard{}, "")
	if err == nil {
		t.Error("the recipient approves")
	}
	refused(t, "a card for an officer", again.Import(v.officers[0].card, v.roots()), kra.ErrOtherKeys, "recipient")
	_, err = again.Deny(t.Context(), x, "")
	refused(t, "a recipient denies", err, kra.ErrNotInPlan, "recipient")
}

// TestGarbageFromOneAgent: it is named, disputed, and the others suffice.
func TestGarbageFromOneAgent(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	f := delivery.Open(dir)
	garbage := v.garbage(s, 1)
	_, err := f.PutAnswer(garbage)
	must(t, err)
	if _, err := f.PutAnswer(v.garbage(s, 1)); !errors.Is(err, delivery.ErrFolder) {
		t.Errorf("an answer is replaced: %v", err)
	}
	write(t, []byte("no answer at all"), dir, "07-agent.answer")
	write(t, []byte("nor this"), dir, "08-\x1b[2Jagent.answer") // it would clear the reader's screen
	approve(t, dir, s, v.officers[1])
	o := receive(t, dir, alice.recipient(t))
	if o.Missing() != 1 || len(o.Wrong) != 2 {
		t.Fatalf("missing %d, wrong %+v", o.Missing(), o.Wrong)
	}
	i := slices.IndexFunc(o.Wrong, delivery.Wrong.Disputable)
	if i < 0 || o.Wrong[i].Agent != 1 || o.Wrong[i].Name != "Olga Example" || !errors.Is(o.Wrong[i].Err, record.ErrPartials) {
		t.Fatalf("wrong: %+v", o.Wrong)
	}
	if _, err := o.Dispute(o.Wrong[1-i], alice.signing(t), alice.SigningKey, time.Now()); !errors.Is(err, record.ErrDispute) {
		t.Errorf("a file that nobody signed is disputed: %v", err)
	}
	d, err := o.Dispute(o.Wrong[i], alice.signing(t), alice.SigningKey, time.Now())
	must(t, err)
	path, err := f.PutDispute(d)
	must(t, err)
	again, err := record.ParseDispute(read(t, path))
	must(t, err)
	if err := again.Verify(v.roster, s); err != nil || !again.Concerns(garbage.Approval) || filepath.Base(path) != "01-agent.dispute" {
		t.Errorf("the dispute: %v", err)
	}
	approve(t, dir, s, v.officers[2])
	o = receive(t, dir, alice.recipient(t))
	for p, err := range o.People(delivery.Certificates{}) {
		must(t, err)
		if len(p.Keys) != 2 || !slices.Equal(o.Good, []uint16{2, 3}) {
			t.Errorf("%d keys from %v", len(p.Keys), o.Good)
		}
	}
	o.Wipe()
}

// garbage is what a dishonest agent sends: partials made with a share that is not its own, signed like any other.
func (v *vault) garbage(c *record.SignedCase, agent uint16) *record.Answer {
	v.t.Helper()
	var capsules []*record.Capsule
	for _, k := range v.of(c.Deliveries[0]) {
		capsules = append(capsules, k.record.Capsule)
	}
	b, err := record.NewBundle(v.roster, c, 0, capsules, nil)
	must(v.t, err)
	o := v.officers[agent-1]
	a, err := record.Approving{Bundles: []*record.Bundle{b}, Share: threshold.Share{Agent: agent, Scalar: threshold.RandomScalar()},
		Signer: o.signer(v.t), Time: time.Now()}.Approve()
	must(v.t, err)
	return a
}

// TestTwoRecipients: each opens their own delivery from what the server shows to them, and nothing of the other's.
func TestTwoRecipients(t *testing.T) {
	t.Parallel()
	v := &vault{company: newCompany(t), kept: map[string][]*kept{}}
	manager, one := v.receiver("manager")
	deputy, two := v.receiver("deputy")
	v.open(func(p *kra.PlanConfig) { p.Business = []*kra.RecipientCard{one, two} })
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastYear)
	v.keep("bob", pkitest.NewKey(t, ca.P256), lastMonth)
	clerk := v.device("clerk")
	c := v.business(clerk, one.Certificate)
	c.Deliveries = []record.Delivery{{Recipient: one.Certificate, Subjects: []record.Subject{v.subject("alice")}}, {Recipient: two.Certificate, Subjects: []record.Subject{v.subject("bob")}}}
	dir, s := v.folder(c, clerk.SigningKey)
	approve(t, dir, s, v.officers[0], v.officers[2])
	answers, err := delivery.Open(dir).Answers()
	must(t, err)
	for i, d := range s.Deliveries {
		who, name := manager, "alice"
		if d.Recipient.Equal(two.Certificate) {
			who, name = deputy, "bob"
		}
		_, err := who.VerifyShare(v.roster, v.roster.Hash())
		must(t, err)
		part := filepath.Join(t.TempDir(), "part") // what one recipient fetches
		f, err := delivery.Create(part, s, v.roster, nil)
		must(t, err)
		for _, a := range answers {
			_, err := f.PutSealed(i, a.Approval, a.Sealed[i])
			must(t, err)
		}
		for _, k := range v.of(d) {
			must(t, f.AddRecords(i, v.inner(k).Bytes()))
		}
		o, err := who.Receive(part, nil)
		must(t, err)
		if len(o.Wrong) != 0 || len(o.Good) != 2 {
			t.Errorf("good %v, wrong %+v", o.Good, o.Wrong)
		}
		for p, err := range o.People(delivery.Certificates{}) {
			must(t, err)
			holds(t, p, v.kept[name]...)
		}
		// One that was cut off, and one for the other recipient, are named.
		sealed, err := filepath.Glob(filepath.Join(part, "*.sealed"))
		must(t, err)
		must(t, os.Truncate(sealed[0], 100))
		must(t, os.Remove(sealed[1]))
		_, err = f.PutSealed(i, answers[1].Approval, answers[1].Sealed[1-i])
		must(t, err)
		if o, err = who.Receive(part, nil); err != nil || len(o.Wrong) != 2 || o.Wrong[0].Disputable() || o.Wrong[1].Disputable() || o.Missing() != 2 {
			t.Errorf("%v: %+v", err, o)
		}
	}
}

// TestManyKeys is a case of many people, as a lawyer asks for.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	v, manager, card := office(t)
	clerk := v.device("clerk")
	c := v.business(clerk, card.Certificate)
	key := pkitest.NewKey(t, ca.P256)
	const people, each = 20, 5
	for range people {
		name := "p" + uuid.NewString()[:8]
		for range each {
			v.keepAs(name, key, key, lastYear)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, v.subject(name))
	}
	dir, s := v.folder(c, clerk.SigningKey)
	last := 0
	x, err := v.officers[1].Examine(dir, func(done, total int) {
		if done != last+1 || total != people*each+3 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	})
	must(t, err)
	if x.Refusal() != nil || len(x.Subjects) != people+2 || last != people*each+3 {
		t.Errorf("%v, %d people, %d keys", x.Refusal(), len(x.Subjects), last)
	}
	approve(t, dir, s, v.officers[0], v.officers[1])
	o, err := manager.Receive(dir, nil)
	must(t, err)
	n := 0
	for p, err := range o.People(delivery.Certificates{}) {
		must(t, err)
		n += len(p.Keys)
	}
	if n != people*each+3 {
		t.Errorf("%d keys", n)
	}
	seen, written := map[int]bool{}, 0
	must(t, o.Deliver(t.Context(), t.TempDir(), delivery.Certificates{}, delivery.FileOptions{Now: time.Now()}, func(d delivery.Delivered) {
		seen[d.Number] = true
		written += d.Files.Keys
	}))
	if len(seen) != people+2 || written != n {
		t.Errorf("%d keys of %d people were written", written, len(seen))
	}
	blocked := filepath.Join(t.TempDir(), "file")
	write(t, nil, blocked)
	if err := o.Deliver(t.Context(), blocked, delivery.Certificates{}, delivery.FileOptions{Now: time.Now()}, nil); !errors.Is(err, delivery.ErrOutput) {
		t.Errorf("written into a file: %v", err)
	}
}
