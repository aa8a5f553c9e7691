package archive_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// What officers approved, and nothing else, is given out: a requester who exchanges the case for another of theirs after
// the approvals, with the help of somebody who writes to the database, gets nothing, at any moment.
func TestCaseExchangedAfterApproval(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	victim := newSomebody(t, "Victor Example")
	o.archived(t, victim, 1)
	harmless, capsules := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, o.alice.Person)
	wanted, _ := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, victim.Person)
	good := sign(t, harmless, o.boss)
	wanted.ID = harmless.ID
	bad := sign(t, wanted, o.boss)
	k, err := o.Open(t.Context(), o.boss.Actor, good.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	put := func(s *record.SignedCase) {
		t.Helper()
		hash := s.Hash()
		o.database.Exec(t, `update archive.recovery_case set statement = $1, hash = $2`, s.Bytes(), hash[:])
	}
	records := func(s *record.SignedCase) {
		t.Helper()
		first := s.Deliveries[0].Subjects[0].Records[0]
		o.database.Exec(t, `update archive.case_record set capsule_sha256 = $1`, first[:])
	}
	read := func() error {
		page, err1 := o.Records(t.Context(), o.lawyer.Actor, k.ID, 0, 0, 10)
		if err1 != nil && page != nil {
			t.Error("records and an error")
		}
		return err1
	}
	put(bad)
	raw, err := o.roster.Approve(t, good, capsules, 1, o.clock()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Answer(t.Context(), o.agent(1), k.ID, raw)
	refused(t, "an approval of what was asked, for what is asked now", err, record.ErrApproval, "another case")
	put(good)
	o.mustApprove(t, k, capsules, 1, 2)

	put(bad)
	records(bad)
	refused(t, "exchanged before the release", collectOnly(o, t, k, o.lawyer), archive.ErrCaseState, "altered")
	o.database.Exec(t, `update archive.recovery_case set state = 'released'`)
	o.database.Exec(t, `update archive.case_delivery set collected_at = now()`)
	refused(t, "exchanged and declared released", read(), archive.ErrCaseState, "altered")
	put(good)
	refused(t, "other records in the list", read(), archive.ErrCaseState, "altered")
	records(good)
	if err := read(); err != nil {
		t.Errorf("put right again: %v", err)
	}
	put(bad)
	refused(t, "exchanged after the release", read(), archive.ErrCaseState, "altered")
	refused(t, "collected again", collectOnly(o, t, k, o.lawyer), archive.ErrCaseState, "altered")
	put(good)
	o.database.Exec(t, `delete from archive.case_partials`)
	o.database.Exec(t, `delete from archive.case_answer where agent = 1`)
	refused(t, "declared released with one approval", read(), archive.ErrCaseState, "altered")
	altered := bytes.Clone(good.Bytes())
	altered[bytes.Index(altered, []byte("train"))] ^= 1
	o.database.Exec(t, `update archive.recovery_case set statement = $1`, altered)
	if err := collectOnly(o, t, k, o.lawyer); fault.Of(err) == nil {
		t.Errorf("an altered statement: %v", err)
	}
}

// An agent whose certificate is revoked in the middle of a case counts no more: before the release another must approve in
// their place. What was released stays released.
func TestAgentRevokedMidCase(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	revoke := func(agent int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.revoked[string(o.roster.Agents[agent-1].Signing.Raw)] = true
	}
	between, capsules := o.opened(t)
	after, _ := o.opened(t)
	never, _ := o.opened(t)
	o.mustApprove(t, between, capsules, 1)
	o.mustApprove(t, after, capsules, 1, 2)
	o.mustApprove(t, never, capsules, 1)
	revoke(1)
	if k := o.mustApprove(t, between, capsules, 2); k.State != archive.CaseRequested {
		t.Errorf("with a revoked agent's approval the case is %s", k.State)
	}
	refused(t, "collecting what a revoked agent approved", collectOnly(o, t, after, o.alice), archive.ErrCaseState, "1 more agents must approve this case. certificate-revoked")
	for _, k := range []*archive.Case{between, after} {
		if k = o.mustApprove(t, k, capsules, 3); k.State != archive.CaseApproved {
			t.Errorf("with another's approval the case is %s", k.State)
		}
		if got := o.collect(t, k, capsules, o.alice); len(got) != 1 {
			t.Errorf("%d keys came back", len(got))
		}
	}
	revoke(2)
	if got := o.collect(t, after, capsules, o.alice); len(got) != 1 {
		t.Errorf("revoked after the release: %d keys came back", len(got))
	}
	if k := o.mustApprove(t, never, capsules, 3); k.State != archive.CaseDenied || k.StateReason != "Too few agents are left who have not refused and may approve this case." {
		t.Errorf("one agent left: %s, %q", k.State, k.StateReason)
	}
}

// Whether a certificate is in force may not be known for a moment. Nothing is decided then.
func TestNothingIsDecidedInTheDark(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1)
	dark := errors.New("the database is away")
	config := o.config
	config.InForce = func(ctx context.Context, c *x509.Certificate) error {
		if c.Equal(o.roster.Agents[2].Signing) {
			return dark
		}
		return o.config.InForce(ctx, c)
	}
	cases, err := archive.NewCases(config)
	if err != nil {
		t.Fatal(err)
	}
	denial, err := record.NewDenial(o.roster.Roster, k.SignedCase, 2, o.roster.Agents[1].Signer, o.clock(), "No.")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := (&record.Answer{Approval: denial}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cases.Answer(t.Context(), o.agent(2), k.ID, raw); !errors.Is(err, dark) {
		t.Errorf("in the dark: %v", err)
	}
	if got, err := o.Answer(t.Context(), o.agent(2), k.ID, raw); err != nil || got.State != archive.CaseRequested {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

// Who receives does not approve, though an agent; nor does an agent whose own keys are asked for.
func TestRecipientsAndSubjectsDoNotApprove(t *testing.T) {
	o := newOffice(t)
	a := o.roster.Agents[2]
	subject := &somebody{Actor: o.agent(3), signer: a.Signer, signing: a.Signing}
	o.archived(t, subject, 1)
	o.archived(t, o.alice, 1)
	c, capsules := o.draft(t, o.boss, record.CaseBusiness, o.lawyer.receive.Certificate, subject.Person)
	k, err := o.Open(t.Context(), o.boss.Actor, sign(t, c, o.boss).Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	own := o.roster.Approve(t, k.SignedCase, capsules, 1, o.clock())
	binary.BigEndian.PutUint16(own.Approval.Bytes()[agentAt:], 3)
	_, err = o.Answer(t.Context(), subject.Actor, k.ID, resigned(t, own, a.Signer))
	refused(t, "the subject's approval", err, record.ErrCase, "are asked for")

	c, capsules = o.draft(t, o.alice, record.CaseRestore, o.roster.Agents[1].Decryption, o.alice.Person)
	k, err = o.Open(t.Context(), o.alice.Actor, sign(t, c, o.alice).Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	own = o.roster.Approve(t, k.SignedCase, capsules, 1, o.clock())
	binary.BigEndian.PutUint16(own.Approval.Bytes()[agentAt:], 2)
	_, err = o.Answer(t.Context(), o.agent(2), k.ID, resigned(t, own, o.roster.Agents[1].Signer))
	refused(t, "the recipient's approval", err, record.ErrCase, "receives these keys")
	if k, err = o.Get(t.Context(), o.alice.Actor, k.ID); err != nil || len(k.Answers) != 0 {
		t.Errorf("%d answers, %v", len(k.Answers), err)
	}
}

// An officer's own keys are never archived, in whichever order both are tried.
func TestAgentsKeysAreNotArchived(t *testing.T) {
	b := setup(t)
	first, second := newDeposit(t), newDeposit(t)
	claim := func(d archive.Deposit) error {
		return b.db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
			return keyuse.Make(t.Context(), tx, time.Now(), keyuse.Claim{Key: keyuse.HashOf(d.PublicKey), Use: keyuse.Agent, Person: d.Person})
		})
	}
	if err := claim(first); err != nil {
		t.Fatal(err)
	}
	_, err := b.Deposit(t.Context(), by, first)
	refused(t, "an agent's key", err, keyuse.ErrInUse, "")
	if _, err := b.Deposit(t.Context(), by, second); err != nil {
		t.Fatal(err)
	}
	refused(t, "an archived key for an agent", claim(second), keyuse.ErrInUse, "")
	var wg sync.WaitGroup
	for range 8 { // and at once
		d := newDeposit(t)
		var deposited, claimed error
		wg.Go(func() { _, deposited = b.Deposit(t.Context(), by, d) })
		wg.Go(func() { claimed = claim(d) })
		wg.Wait()
		if (deposited == nil) == (claimed == nil) || !errors.Is(errors.Join(deposited, claimed), keyuse.ErrInUse) {
			t.Errorf("at once: %v, %v", deposited, claimed)
		}
	}
}

// Ten megabytes where a key should be are refused, and quickly.
func TestTenMegabytes(t *testing.T) {
	o := newOffice(t)
	d := newDeposit(t)
	d.Key = make([]byte, 10<<20)
	begun := time.Now()
	_, err := o.Deposit(t.Context(), by, d)
	refused(t, "10 MB", err, archive.ErrKeyFormat, "")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for name, try := range map[string]func([]byte) error{
		"a case":    func(x []byte) error { _, err := o.Open(t.Context(), o.alice.Actor, x, nil); return err },
		"an answer": func(x []byte) error { _, err := o.Answer(t.Context(), o.agent(1), uuid.New(), x); return err },
		"a dispute": func(x []byte) error { _, err := o.Dispute(t.Context(), o.alice.Actor, uuid.New(), x); return err },
	} {
		if err := try(make([]byte, 10<<20)); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s of 10 MB: %v", name, err)
		}
	}
}

// Clocks that differ a little are allowed for; more is refused with words that lead to the clock.
func TestClockSkew(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	for _, tt := range []struct {
		requester, officer time.Duration // their clocks against the server's
		opens, counts      bool
	}{
		{0, 0, true, true},
		{4 * time.Minute, 0, true, true}, // the officer answers before the case was opened
		{-4 * time.Minute, 4 * time.Minute, true, true},
		{0, 6 * time.Minute, true, false},
		{0, -6 * time.Minute, true, false},
		{6 * time.Minute, 0, false, false},
		{-6 * time.Minute, 0, false, false},
	} {
		c, capsules := o.draft(t, o.alice, record.CaseRestore, o.alice.receive.Certificate, o.alice.Person)
		c.Opened, c.Deadline = c.Opened.Add(tt.requester), c.Deadline.Add(tt.requester)
		k, err := o.Open(t.Context(), o.alice.Actor, sign(t, c, o.alice).Bytes(), nil)
		if (err == nil) != tt.opens {
			t.Errorf("%+v: opening: %v", tt, err)
		}
		if err != nil {
			refused(t, "opened by another clock", err, archive.ErrCaseRefused, "clock of the computer")
			continue
		}
		b, err := record.NewBundle(o.roster.Roster, k.SignedCase, 0, capsules, nil)
		if err != nil {
			t.Fatal(err)
		}
		share, err := o.roster.OpenShare(1, o.roster.Agents[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := record.Approving{Bundles: []*record.Bundle{b}, Share: share, Signer: o.roster.Agents[0].Signer, Time: o.clock().Add(tt.officer)}.Approve()
		if err == nil {
			var raw []byte
			if raw, err = answer.Encode(); err != nil {
				t.Fatal(err)
			}
			_, err = o.Answer(t.Context(), o.agent(1), k.ID, raw)
		}
		if (err == nil) != tt.counts {
			t.Errorf("%+v: answering: %v", tt, err)
		}
		if err != nil && !bytes.Contains([]byte(err.Error()), []byte("clock")) {
			t.Errorf("%+v: this does not lead to the clock: %v", tt, err)
		}
	}
}

// Parcels whose time is over are removed by their job, however many there are; the others stay.
func TestEndedParcelsAreRemoved(t *testing.T) {
	b := setup(t)
	now := time.Now()
	b.database.Exec(t, `insert into archive.parcel (person, name, content, kept_at, ends_at)
		select gen_random_uuid(), 'transfer-' || n, 'x', $1::timestamptz - interval '1 day', case when n <= 250 then $1::timestamptz - n * interval '1 second'
			when n <= 260 then $1::timestamptz + interval '1 hour' end from generate_series(1, 270) n`, now)
	if _, err := b.KeepParcel(t.Context(), audit.Actor{Person: uuid.New(), Method: audit.MethodPassword}, "mine", []byte("x"), record.Hash{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 { // several servers
		wg.Go(func() {
			if err := b.EndParcels(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.database.Count(t, `select count(*) from archive.parcel`); n != 21 {
		t.Errorf("%d parcels are left, want 21", n)
	}
}
