package archive_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/rostertest"
)

var errRevoked = fault.New(fault.Denied, "certificate-revoked", "This certificate was revoked.")

// somebody is a person with a key to sign and one to receive with.
type somebody struct {
	audit.Actor
	signer  *ecdsa.PrivateKey
	signing *x509.Certificate
	receive cms.Recipient
}

func newSomebody(t testing.TB, name string, roles ...audit.Role) *somebody {
	t.Helper()
	s := &somebody{Actor: audit.Actor{Person: uuid.New(), Name: name, Roles: roles, Method: audit.MethodCertificate}}
	s.signer, s.signing = rostertest.Certify(t, name, x509.KeyUsageDigitalSignature, api.OIDAgentSigning)
	key, certificate := rostertest.Certify(t, name, x509.KeyUsageKeyAgreement, api.OIDRecipient)
	s.receive = cms.Recipient{Certificate: certificate, Key: key}
	return s
}

// office is an archive with its cases, and everybody who has to do with them.
type office struct {
	*bundle
	*archive.Cases
	jobs    *jobs.Queue
	log     *audit.Log
	config  archive.CasesConfig
	alice   *somebody // has keys in the archive
	boss    *somebody // may ask for others'
	lawyer  *somebody // may receive in business and legal cases
	auditor *somebody
	signers map[string]*somebody // by certificate

	mu      sync.Mutex
	now     time.Time
	revoked map[string]bool // certificates
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{alice: newSomebody(t, "Alice Example"), boss: newSomebody(t, "Bea Boss", audit.RecoveryRequester), lawyer: newSomebody(t, "Lou Law"),
		auditor: newSomebody(t, "Audrey Audit", audit.Auditor), now: time.Now().UTC().Truncate(time.Second), revoked: map[string]bool{}, signers: map[string]*somebody{}}
	o.bundle = setupWith(t, rostertest.NewWith(t, 2, 3, record.Recipient{Uses: record.UseBusiness | record.UseLegal, Person: o.lawyer.Person, Name: o.lawyer.Name,
		Certificate: o.lawyer.receive.Certificate}))
	for _, s := range []*somebody{o.alice, o.boss, o.lawyer, o.auditor} {
		o.signers[string(s.signing.Raw)] = s
	}
	var err error
	if o.jobs, err = jobs.New(jobs.Config{DB: o.db}); err != nil {
		t.Fatal(err)
	}
	o.log = newLog(t, o.db)
	o.config = archive.CasesConfig{Archive: o.Archive, Jobs: o.jobs, Audit: o.log, Now: o.clock,
		Signs: func(_ context.Context, c *x509.Certificate, person uuid.UUID) ([]audit.Role, error) {
			s := o.signers[string(c.Raw)]
			if s == nil || s.Person != person {
				return nil, archive.ErrCaseRefused.Withf("This is not a certificate with which %s signs.", person)
			}
			return s.Roles, nil
		},
		InForce: func(_ context.Context, c *x509.Certificate) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.revoked[string(c.Raw)] {
				return errRevoked
			}
			return nil
		}}
	if o.Cases, err = archive.NewCases(o.config); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) wait(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

// agent returns the actor that a recovery agent is to the server.
func (o *office) agent(id uint16) audit.Actor {
	a := o.roster.Agents[id-1]
	return audit.Actor{Person: a.Person, Name: a.Name, Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodCertificate}
}

// archived deposits n keys of a person, which are issued.
func (o *office) archived(t testing.TB, whose *somebody, n int) map[record.Hash][]byte {
	t.Helper()
	out := map[record.Hash][]byte{}
	for range n {
		d := newDeposit(t)
		d.Person, d.Name = whose.Person, whose.Name
		receipt, err := o.Deposit(t.Context(), by, d)
		if err == nil {
			err = o.Confirm(t.Context(), d.Request)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[record.Hash(receipt.Key)] = d.Key
	}
	return out
}

// draft makes the case that a requester's program would.
func (o *office) draft(t testing.TB, who *somebody, kind record.CaseKind, recipient *x509.Certificate, subjects ...uuid.UUID) (record.Case, []*record.Capsule) {
	t.Helper()
	drafts, err := o.Draft(t.Context(), who.Actor, archive.Ask{Kind: kind, Subjects: subjects})
	if err != nil {
		t.Fatal(err)
	}
	d := drafts[0]
	c := record.Case{ID: uuid.New(), Kind: kind, Roster: d.Roster.Hash(), KeyID: d.Roster.KeyID(), Epoch: d.Roster.Epoch(),
		Requester: record.Requester{Person: who.Person, Name: who.Name, Certificate: who.signing}, Reason: "The laptop was left in a train.",
		Opened: o.clock(), Deadline: o.clock().Add(72 * time.Hour), Deliveries: []record.Delivery{{Recipient: recipient}}}
	var capsules []*record.Capsule
	for _, s := range d.Subjects {
		subject := record.Subject{Person: s.Person}
		for _, k := range s.Records {
			subject.Records = append(subject.Records, k.Hash())
			capsules = append(capsules, k)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, subject)
	}
	return c, capsules
}

func sign(t testing.TB, c record.Case, who *somebody) *record.SignedCase {
	t.Helper()
	s, err := c.Sign(who.signer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// opened is a case of alice's own, opened.
func (o *office) opened(t testing.TB) (*archive.Case, []*record.Capsule) {
	t.Helper()
	c, capsules := o.draft(t, o.alice, record.CaseRestore, o.alice.receive.Certificate, o.alice.Person)
	k, err := o.Open(t.Context(), o.alice.Actor, sign(t, c, o.alice).Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k, capsules
}

func (o *office) approve(t testing.TB, k *archive.Case, capsules []*record.Capsule, agent uint16) (*archive.Case, error) {
	t.Helper()
	raw, err := o.roster.Approve(t, k.SignedCase, capsules, agent, o.clock()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return o.Answer(t.Context(), o.agent(agent), k.ID, raw)
}

func (o *office) mustApprove(t testing.TB, k *archive.Case, capsules []*record.Capsule, agents ...uint16) *archive.Case {
	t.Helper()
	for _, a := range agents {
		var err error
		if k, err = o.approve(t, k, capsules, a); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// collect takes everything of a case's only delivery as its recipient does, and opens it.
func (o *office) collect(t testing.TB, k *archive.Case, capsules []*record.Capsule, who *somebody) map[record.Hash][]byte {
	t.Helper()
	if _, err := o.Collect(t.Context(), who.Actor, k.ID, 0); err != nil {
		t.Fatal(err)
	}
	b, err := record.NewBundle(o.roster.Roster, k.SignedCase, 0, capsules, nil)
	if err != nil {
		t.Fatal(err)
	}
	opener := record.NewOpener(b)
	sealed, err := o.Sealed(t.Context(), who.Actor, k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sealed {
		a, err := record.ParseApproval(s.Approval)
		if err == nil {
			err = opener.Add(a, s.Partials, who.receive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out := map[record.Hash][]byte{}
	for {
		page, err := o.Records(t.Context(), who.Actor, k.ID, 0, len(out), 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return out
		}
		for _, raw := range page {
			inner, err := record.ParseInnerRecord(raw)
			if err != nil {
				t.Fatal(err)
			}
			if out[inner.Capsule.Header.SPKI], err = opener.Open(inner); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAPersonGetsTheirWholeHistoryBack(t *testing.T) {
	o := newOffice(t)
	keys := o.archived(t, o.alice, 3)
	o.archived(t, newSomebody(t, "Bob Example"), 1)
	k, capsules := o.opened(t)
	if k = o.mustApprove(t, k, capsules, 3); k.State != archive.CaseRequested {
		t.Fatalf("after one approval the case is %s", k.State)
	}
	refused(t, "collecting after one approval", collectOnly(o, t, k, o.alice), archive.ErrCaseState, "1 more")
	if k = o.mustApprove(t, k, capsules, 1); k.State != archive.CaseApproved {
		t.Fatalf("after two approvals the case is %s", k.State)
	}
	got := o.collect(t, k, capsules, o.alice)
	if len(got) != len(keys) {
		t.Errorf("%d keys came back of %d", len(got), len(keys))
	}
	for spki, key := range keys {
		if !bytes.Equal(got[spki], key) {
			t.Errorf("key %s is not what was deposited", spki)
		}
	}
	k, err := o.Close(t.Context(), o.alice.Actor, k.ID)
	if err != nil || k.State != archive.CaseClosed {
		t.Fatalf("close: %v, %v", k, err)
	}
	refused(t, "collecting twice", collectOnly(o, t, k, o.alice), archive.ErrCaseState, "closed")
	if n := o.database.Count(t, `select count(*) from archive.case_partials`); n != 0 {
		t.Errorf("%d sealed partials outlive their case", n)
	}
	o.eventsAre(t, k, "archive.case-requested", "archive.case-answered", "archive.collection-refused", "archive.case-answered", "archive.case-approved",
		"archive.case-released", "archive.case-collected", "archive.case-closed", "archive.collection-refused")
}

func collectOnly(o *office, t testing.TB, k *archive.Case, who *somebody) error {
	_, err := o.Collect(t.Context(), who.Actor, k.ID, 0)
	return err
}

func refused(t testing.TB, what string, err error, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %v saying %q", what, err, want, says)
	}
}

// Nothing is given out before the collection is committed, nor to anybody else.
func TestOnlyTheRecipientCollects(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1, 2)
	read := func(who audit.Actor) error {
		_, err1 := o.Records(t.Context(), who, k.ID, 0, 0, 10)
		_, err2 := o.Sealed(t.Context(), who, k.ID, 0)
		if (err1 == nil) != (err2 == nil) {
			t.Errorf("records: %v, sealed: %v", err1, err2)
		}
		return err1
	}
	refused(t, "before the release", read(o.alice.Actor), archive.ErrCaseState, "collect it first")
	refused(t, "an agent collects", func() error { _, err := o.Collect(t.Context(), o.agent(1), k.ID, 0); return err }(), archive.ErrNotRecipient, "")
	refused(t, "a stranger collects", collectOnly(o, t, k, o.boss), archive.ErrUnknownCase, "")
	refused(t, "an auditor collects", collectOnly(o, t, k, o.auditor), archive.ErrNotRecipient, "")
	refused(t, "no such delivery", func() error { _, err := o.Collect(t.Context(), o.alice.Actor, k.ID, 1); return err }(), archive.ErrNotRecipient, "")
	if err := collectOnly(o, t, k, o.alice); err != nil {
		t.Fatal(err)
	}
	if err := read(o.alice.Actor); err != nil {
		t.Error(err)
	}
	refused(t, "an agent reads", read(o.agent(1)), archive.ErrNotRecipient, "")
	refused(t, "a stranger reads", read(o.lawyer.Actor), archive.ErrUnknownCase, "")
}

func TestBusinessCase(t *testing.T) {
	o := newOffice(t)
	keys := o.archived(t, o.alice, 2)
	c, capsules := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, o.alice.Person)
	k, err := o.Open(t.Context(), o.boss.Actor, sign(t, c, o.boss).Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	k = o.mustApprove(t, k, capsules, 1, 2)
	refused(t, "the requester collects", collectOnly(o, t, k, o.boss), archive.ErrNotRecipient, "")
	if got := o.collect(t, k, capsules, o.lawyer); len(got) != len(keys) {
		t.Errorf("%d keys came back of %d", len(got), len(keys))
	}
	list, err := o.List(t.Context(), o.alice.Actor, "", uuid.Nil, 10)
	if err != nil || len(list) != 1 || list[0].ID != k.ID {
		t.Errorf("the subject sees %v, %v", list, err)
	}
}

// What may not be asked is refused, for the reason that it is.
func TestCasesThatAreRefused(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 2)
	bob := newSomebody(t, "Bob Example")
	o.archived(t, bob, 1)
	bobs, _ := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, bob.Person)
	business := func(change func(*record.Case)) record.Case {
		c, _ := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, o.alice.Person)
		change(&c)
		return c
	}
	restore := func(change func(*record.Case)) record.Case {
		c, _ := o.draft(t, o.alice, record.CaseRestore, o.alice.receive.Certificate, o.alice.Person)
		change(&c)
		return c
	}
	stranger := newSomebody(t, "Alice Example")
	for name, tt := range map[string]struct {
		c    record.Case
		who  *somebody
		by   *somebody
		want error
		says string
	}{
		"another sends it":             {restore(func(*record.Case) {}), o.alice, o.boss, archive.ErrCaseRefused, "another requester"},
		"no role":                      {business(func(c *record.Case) { c.Requester = o.lawyerAs() }), o.lawyer, o.lawyer, audit.ErrRoleRequired, "recovery requester"},
		"another's certificate":        {restore(func(c *record.Case) { c.Requester.Certificate = stranger.signing }), stranger, o.alice, archive.ErrCaseRefused, "not a certificate"},
		"a recipient of nobody's":      {business(func(c *record.Case) { c.Deliveries[0].Recipient = o.boss.receive.Certificate }), o.boss, o.boss, record.ErrCase, "roster allows"},
		"another's record":             {restore(func(c *record.Case) { c.Deliveries[0].Subjects[0].Records = bobs.Deliveries[0].Subjects[0].Records }), o.alice, o.alice, archive.ErrCaseRefused, "another person"},
		"no such record":               {restore(func(c *record.Case) { c.Deliveries[0].Subjects[0].Records = []record.Hash{{1}} }), o.alice, o.alice, archive.ErrNothingToAsk, "no record"},
		"too long":                     {restore(func(c *record.Case) { c.Deadline = c.Opened.Add(31 * 24 * time.Hour) }), o.alice, o.alice, archive.ErrCaseRefused, "720 hours"},
		"from yesterday":               {restore(func(c *record.Case) { c.Opened = c.Opened.Add(-24 * time.Hour) }), o.alice, o.alice, archive.ErrCaseRefused, "clock"},
		"from tomorrow":                {restore(func(c *record.Case) { c.Opened = c.Opened.Add(24 * time.Hour) }), o.alice, o.alice, archive.ErrCaseRefused, "clock"},
		"another roster":               {restore(func(c *record.Case) { c.Roster[0] ^= 1 }), o.alice, o.alice, archive.ErrCaseState, "agents have changed"},
		"another epoch":                {restore(func(c *record.Case) { c.Epoch++ }), o.alice, o.alice, record.ErrCase, "epoch"},
		"one's own keys as a business": {business(func(c *record.Case) { c.Deliveries[0].Subjects[0].Person = o.boss.Person }), o.boss, o.boss, archive.ErrCaseRefused, "restore"},
	} {
		_, err := o.Open(t.Context(), tt.by.Actor, sign(t, tt.c, tt.who).Bytes(), nil)
		refused(t, name, err, tt.want, tt.says)
	}
	good := sign(t, restore(func(*record.Case) {}), o.alice).Bytes()
	for i := range good {
		if i%97 != 0 && i < len(good)-80 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		if _, err := o.Open(t.Context(), o.alice.Actor, bad, nil); fault.Of(err) == nil {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if n := o.database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Errorf("%d refused cases were kept", n)
	}
	if n := o.database.Count(t, `select count(*) from river.river_job where kind = 'archive.tell-case'`); n != 0 {
		t.Errorf("people are told of %d refused cases", n)
	}
}

func (o *office) lawyerAs() record.Requester {
	return record.Requester{Person: o.lawyer.Person, Name: o.lawyer.Name, Certificate: o.lawyer.signing}
}

// Who asks, receives or is the subject never counts as an approver; with too few others left the case is not taken.
func TestAgentsDoNotDecideAboutTheirOwn(t *testing.T) {
	o := newOffice(t)
	a := o.roster.Agents[1]
	agent := &somebody{Actor: o.agent(2), signer: a.Signer, signing: a.Signing, receive: o.alice.receive}
	o.signers[string(a.Signing.Raw)] = agent
	o.archived(t, agent, 1)
	c, capsules := o.draft(t, agent, record.CaseRestore, agent.receive.Certificate, agent.Person)
	k, err := o.Open(t.Context(), agent.Actor, sign(t, c, agent).Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	own := o.roster.Approve(t, k.SignedCase, capsules, 1, o.clock())
	binary.BigEndian.PutUint16(own.Approval.Bytes()[agentAt:], 2)
	_, err = o.Answer(t.Context(), agent.Actor, k.ID, resigned(t, own, a.Signer))
	refused(t, "the requester's own approval", err, record.ErrCase, "asks for these keys")
	if k = o.mustApprove(t, k, capsules, 1, 3); k.State != archive.CaseApproved {
		t.Errorf("the case is %s", k.State)
	}
	o.revoked[string(o.roster.Agents[0].Signing.Raw)] = true
	c, _ = o.draft(t, agent, record.CaseRestore, agent.receive.Certificate, agent.Person)
	_, err = o.Open(t.Context(), agent.Actor, sign(t, c, agent).Bytes(), nil)
	refused(t, "one agent left", err, archive.ErrCaseRefused, "only 1 could")
}

// agentAt is where an approval names its agent: docs/archive-format.md, 8.
const agentAt = 2 + 32 + 32 + 4

// resigned signs the approval in an answer again, whatever was made of its bytes, and returns the answer's.
func resigned(t testing.TB, a *record.Answer, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw := a.Approval.Bytes()
	statement := raw[:len(raw)-3-len(a.Approval.Signature.Value)]
	digest := sha256.Sum256(append([]byte("Sealpost archive v1 signature\x00"), statement...))
	value, err := ecdsa.SignASN1(rand.Reader, signer, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	approval := append(bytes.Clone(statement), byte(record.ECDSA))
	approval = append(binary.BigEndian.AppendUint16(approval, uint16(len(value))), value...)
	out := binary.BigEndian.AppendUint32([]byte{1, 17}, uint32(len(approval)))
	out = append(out, approval...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(a.Sealed)))
	for _, s := range a.Sealed {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(s))), s...)
	}
	return out
}

func TestAnswersThatDoNotCount(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	other, _ := o.opened(t)
	encode := func(a *record.Answer) []byte {
		raw, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	answer := func(agent uint16, at time.Time) *record.Answer {
		return o.roster.Approve(t, k.SignedCase, capsules, agent, at)
	}
	send := func(raw []byte) error {
		_, err := o.Answer(t.Context(), o.agent(1), k.ID, raw)
		return err
	}
	refused(t, "an approval of another case", send(encode(o.roster.Approve(t, other.SignedCase, capsules, 1, o.clock()))), record.ErrApproval, "another case")
	refused(t, "from the future", send(encode(answer(1, o.clock().Add(time.Hour)))), record.ErrApproval, "future")
	refused(t, "signed by somebody else", send(resigned(t, answer(1, o.clock()), o.alice.signer)), record.ErrApproval, "signature")
	refused(t, "nothing", send(nil), record.ErrFormat, "")
	truncated := encode(answer(1, o.clock()))
	refused(t, "cut off", send(truncated[:len(truncated)-1]), record.ErrFormat, "")
	swapped := answer(1, o.clock())
	swapped.Sealed = answer(2, o.clock()).Sealed
	refused(t, "another's partials", send(resigned(t, swapped, o.roster.Agents[0].Signer)), record.ErrFormat, "")
	o.revoked[string(o.roster.Agents[0].Signing.Raw)] = true
	refused(t, "a revoked certificate", send(encode(answer(1, o.clock()))), errRevoked, "")
	clear(o.revoked)

	first := encode(answer(1, o.clock()))
	for range 3 {
		if err := send(first); err != nil {
			t.Errorf("the same answer again: %v", err)
		}
	}
	refused(t, "a second, different answer", send(encode(answer(1, o.clock().Add(time.Second)))), archive.ErrAnswered, "")
	if k, err := o.Get(t.Context(), o.alice.Actor, k.ID); err != nil || k.State != archive.CaseRequested || len(k.Answers) != 1 {
		t.Errorf("%v, %v", k, err)
	}
	o.wait(73 * time.Hour)
	refused(t, "after the deadline", send(encode(answer(2, o.clock().Add(-2*time.Hour)))), archive.ErrCaseState, "deadline")
}

func TestDenialsEndACaseThatCannotBeApproved(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	k = o.mustApprove(t, k, capsules, 1)
	for i, want := range []archive.CaseState{archive.CaseRequested, archive.CaseDenied} {
		agent := uint16(i + 2)
		denial, err := record.NewDenial(o.roster.Roster, k.SignedCase, agent, o.roster.Agents[agent-1].Signer, o.clock(), "I know nothing of this.")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := (&record.Answer{Approval: denial}).Encode()
		if err == nil {
			k, err = o.Answer(t.Context(), o.agent(agent), k.ID, raw)
		}
		if err != nil || k.State != want {
			t.Fatalf("after %d denials the case is %v: %v", i+1, k, err)
		}
	}
	if n := o.database.Count(t, `select count(*) from archive.case_partials`); n != 0 {
		t.Errorf("%d sealed partials outlive their case", n)
	}
	refused(t, "collecting", collectOnly(o, t, k, o.alice), archive.ErrCaseState, "denied")
}

func TestCancelAndExpire(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1, 2)
	_, err := o.Cancel(t.Context(), o.agent(1), k.ID, "no")
	refused(t, "an agent cancels", err, archive.ErrNotRequester, "")
	if k, err = o.Cancel(t.Context(), o.alice.Actor, k.ID, "I found the laptop."); err != nil || k.State != archive.CaseCancelled {
		t.Fatalf("%v, %v", k, err)
	}
	var expiring []*archive.Case
	for range 3 {
		k, capsules := o.opened(t)
		expiring = append(expiring, k)
		_ = capsules
	}
	o.mustApprove(t, expiring[1], capsules, 1, 2)
	o.mustApprove(t, expiring[2], capsules, 1, 2)
	if err := collectOnly(o, t, expiring[2], o.alice); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 73 * time.Hour} {
		o.wait(after)
		var wg sync.WaitGroup
		for range 3 { // several servers
			wg.Go(func() {
				if err := o.Expire(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, k := range expiring {
			got, err := o.Get(t.Context(), o.alice.Actor, k.ID)
			if err != nil || (got.State == archive.CaseExpired) != (after > 0) {
				t.Errorf("case %d is %v: %v", i, got, err)
			}
		}
	}
	if n := o.database.Count(t, `select count(*) from archive.case_partials`); n != 0 {
		t.Errorf("%d sealed partials outlive their cases", n)
	}
	if n := o.database.Count(t, `select count(*) from audit.event where kind = 'archive.case-expired'`); n != 3 {
		t.Errorf("%d expiries in the log of 3", n)
	}
}

// When the agents have changed, what the former ones approved opens nothing.
func TestApprovalsLapseWhenTheRosterGoes(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1, 2)
	c := o.bundle.config
	c.Pins = []record.Hash{{1}}
	after, err := archive.New(c)
	if err != nil {
		t.Fatal(err)
	}
	config := o.config
	config.Archive = after
	cases, err := archive.NewCases(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cases.Collect(t.Context(), o.alice.Actor, k.ID, 0)
	refused(t, "collecting", err, archive.ErrCaseState, "agents have changed")
	raw, err := o.roster.Approve(t, k.SignedCase, capsules, 3, o.clock()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = cases.Answer(t.Context(), o.agent(3), k.ID, raw)
	refused(t, "approving", err, archive.ErrCaseState, "agents have changed")
}

// Two servers at once release one case once.
func TestReleasedOnceByManyServers(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	var wg sync.WaitGroup
	for agent := uint16(1); agent <= 3; agent++ {
		raw, err := o.roster.Approve(t, k.SignedCase, capsules, agent, o.clock()).Encode()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wg.Go(func() {
				if _, err := o.Answer(t.Context(), o.agent(agent), k.ID, raw); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for range 4 {
		wg.Go(func() {
			if _, err := o.Collect(t.Context(), o.alice.Actor, k.ID, 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for kind, want := range map[string]int64{"approved": 1, "released": 1, "collected": 4, "answered": 3} {
		if n := o.database.Count(t, `select count(*) from audit.event where kind = $1`, "archive.case-"+kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

// An agent that sealed garbage is named, and another takes its place after the release.
func TestDispute(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	k = o.mustApprove(t, k, capsules, 1, 2)
	d := record.Dispute{Case: k.Hash(), Roster: o.roster.Hash(), Agent: 2, Recipient: record.Fingerprint(o.alice.receive.Certificate),
		Sealed: k.Answers[1].Sealings[0].Sealed, Time: o.clock(), Reason: "The proof does not hold.", Certificate: o.alice.signing}
	dispute := func(d record.Dispute, who *somebody) error {
		s, err := d.Sign(who.signer)
		if err != nil {
			t.Fatal(err)
		}
		k, err = o.Dispute(t.Context(), who.Actor, k.ID, s.Bytes())
		return err
	}
	refused(t, "before the release", dispute(d, o.alice), archive.ErrCaseState, "nothing was collected")
	k, _ = o.Get(t.Context(), o.alice.Actor, o.onlyCase(t))
	if err := collectOnly(o, t, k, o.alice); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dispute(d, o.alice); err != nil {
			t.Fatal(err)
		}
	}
	if !k.Answers[1].Disputed || k.Answers[0].Disputed {
		t.Error("the wrong agent is named")
	}
	if k = o.mustApprove(t, k, capsules, 3); len(k.Answers) != 3 {
		t.Errorf("%d answers", len(k.Answers))
	}
	sealed, err := o.Sealed(t.Context(), o.alice.Actor, k.ID, 0)
	if err != nil || len(sealed) != 3 {
		t.Errorf("%d sealed, %v", len(sealed), err)
	}
	if n := o.database.Count(t, `select count(*) from audit.event where kind = 'archive.case-disputed'`); n != 1 {
		t.Errorf("%d disputes in the log", n)
	}
}

// onlyCase returns the id of the only case.
func (o *office) onlyCase(t testing.TB) uuid.UUID {
	t.Helper()
	list, err := o.List(t.Context(), o.alice.Actor, "", uuid.Nil, 2)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].ID
}

// The subject of a legal case is not told while an auditor consents, whatever else they are; without consent they are.
func TestLegalCaseInSilence(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.auditor, 1)
	second := newSomebody(t, "Second Auditor", audit.Auditor)
	o.signers[string(second.signing.Raw)] = second
	c, _ := o.draft(t, o.boss, record.CaseLegal, o.lawyer.receive.Certificate, o.auditor.Person)
	consent := func(s *record.SignedCase, who *somebody, days int) []byte {
		x, err := record.Consent{Case: s.Hash(), Person: who.Person, Name: who.Name, Certificate: who.signing,
			SilentUntil: o.clock().AddDate(0, 0, days), Time: o.clock()}.Sign(who.signer)
		if err != nil {
			t.Fatal(err)
		}
		return x.Bytes()
	}
	open := func(s *record.SignedCase, consent []byte) error {
		_, err := o.Open(t.Context(), o.boss.Actor, s.Bytes(), consent)
		return err
	}
	s := sign(t, c, o.boss)
	refused(t, "the requester consents", open(s, consent(s, o.boss, 10)), record.ErrConsent, "asks for these keys")
	refused(t, "the subject consents", open(s, consent(s, o.auditor, 10)), record.ErrConsent, "so cannot")
	refused(t, "no auditor", open(s, consent(s, o.alice, 10)), record.ErrConsent, "no auditor")
	refused(t, "too long", open(s, consent(s, second, 181)), record.ErrConsent, "180 days")
	other := c
	other.ID = uuid.New()
	refused(t, "of another case", open(s, consent(sign(t, other, o.boss), second, 10)), record.ErrConsent, "another case")
	o.wait(48 * time.Hour) // an auditor takes their time
	refused(t, "late and without consent", open(s, nil), archive.ErrCaseRefused, "clock")
	if err := open(s, consent(s, second, 10)); err != nil {
		t.Fatal(err)
	}
	sees := func(who audit.Actor) bool {
		_, err := o.Get(t.Context(), who, c.ID)
		list, err2 := o.List(t.Context(), who, "", uuid.Nil, 10)
		if (err == nil) != (len(list) == 1) || err2 != nil {
			t.Errorf("%s: get %v, list %d, %v", who.Name, err, len(list), err2)
		}
		return err == nil
	}
	if sees(o.auditor.Actor) {
		t.Error("the subject, an auditor, sees the case")
	}
	if !sees(second.Actor) || !sees(o.boss.Actor) || !sees(o.lawyer.Actor) || !sees(o.agent(1)) || sees(o.alice.Actor) {
		t.Error("others do not see what they should")
	}
	o.wait(10*24*time.Hour + time.Second)
	if !sees(o.auditor.Actor) {
		t.Error("the subject does not see the case after the silence")
	}
}

// eventsAre compares what the log says about a case.
func (o *office) eventsAre(t testing.TB, k *archive.Case, want ...string) {
	t.Helper()
	var got []string
	err := o.db.InTx(t.Context(), "audit", func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `select kind from audit.event where subject = $1 order by id`, "case:"+k.ID.String())
		if err != nil {
			return err
		}
		got, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("events %v, want %v: %v", got, want, err)
	}
}

func newLog(t testing.TB, db *pg.DB) *audit.Log {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.New(audit.Config{DB: db, Name: "pki.example.test/audit", Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
