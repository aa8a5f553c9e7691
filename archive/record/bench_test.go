package record_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
)

// BenchmarkSeal is all that a deposit costs here: encryption, encapsulation, proof, hybrid wrap, and opening it again.
func BenchmarkSeal(b *testing.B) {
	r, _ := newRoster(b, 2, 3)
	k, h, pkcs8 := newWrappingKey(b, "server").Public(), headerOf("alice"), randomBytes(1794) // RSA-3072
	for b.Loop() {
		if _, err := record.Seal(r.Key(), k, h, pkcs8); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	r, _ := newRoster(b, 2, 3)
	rec := seal(b, r, newWrappingKey(b, "server"), "alice")
	for b.Loop() {
		if err := rec.Capsule.VerifyProof(r.Key()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrapOuter(b *testing.B) {
	r, _ := newRoster(b, 2, 3)
	k := newWrappingKey(b, "server")
	rec := seal(b, r, k, "alice")
	for b.Loop() {
		if _, err := rec.UnwrapOuter(k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRosterVerify(b *testing.B) {
	r, _ := newRoster(b, 2, 3)
	for b.Loop() {
		if err := r.Verify(pinned(r)); err != nil {
			b.Fatal(err)
		}
	}
}

// bulk is a legal case of n keys.
func bulk(tb testing.TB, n int) (*archive, *record.SignedCase, []*record.Record) {
	tb.Helper()
	a := &archive{key: newWrappingKey(tb, "server")}
	a.roster, a.people = newRoster(tb, 2, 3)
	var records []*record.Record
	byPerson := map[uuid.UUID][]record.Hash{}
	for i := range n {
		h := headerOf("alice")
		h.Person[0], h.Person[1] = byte(i/8>>8), byte(i/8) // eight keys each
		rec, err := record.Seal(a.roster.Key(), a.key.Public(), h, pkcs8Of("alice"))
		if err != nil {
			tb.Fatal(err)
		}
		records = append(records, rec)
		byPerson[h.Person] = append(byPerson[h.Person], rec.Capsule.Hash())
	}
	c, clerk := record.Case{
		ID: uuid.New(), Kind: record.CaseLegal, Roster: a.roster.Hash(), KeyID: a.roster.KeyID(), Epoch: a.roster.Epoch(),
		Reason: "Court order.", Opened: day, Deadline: deadline,
	}, newPerson(tb, "clerk")
	c.Requester = record.Requester{Person: clerk.id, Name: clerk.name, Certificate: clerk.signing}
	c.Deliveries = []record.Delivery{{Recipient: counsel(tb).decryption}}
	for p, hashes := range byPerson {
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, record.Subject{Person: p, Records: hashes})
	}
	return a, signCase(tb, c, clerk), records
}

// TestThousandKeysInOneCase: one approval per agent, one proof, everything opens.
func TestThousandKeysInOneCase(t *testing.T) {
	t.Parallel()
	n := 1_000
	if testing.Short() {
		n = 100
	}
	a, s, records := bulk(t, n)
	wholeCase(t, a, s, records)
}

// BenchmarkTenThousandKeysInOneCase says with -v where the time of a large case goes.
func BenchmarkTenThousandKeysInOneCase(b *testing.B) {
	a, s, records := bulk(b, 10_000)
	for b.Loop() {
		wholeCase(b, a, s, records)
	}
}

func wholeCase(t testing.TB, a *archive, s *record.SignedCase, records []*record.Record) {
	t.Helper()
	start := time.Now()
	lap := func(what string) {
		t.Logf("%d keys: %s in %v", len(records), what, time.Since(start).Round(time.Millisecond))
		start = time.Now()
	}
	b := must(record.NewBundle(a.roster, s, 0, capsulesOf(records), nil))(t)
	lap("proofs verified")
	o := record.NewOpener(b)
	for _, agent := range []uint16{1, 3} {
		answer := a.approve(t, agent, b)
		lap("approved")
		if err := o.Add(answer.Approval, answer.Sealed[0], counsel(t).key()); err != nil {
			t.Fatal(err)
		}
		lap("approval verified")
	}
	for _, rec := range records {
		got, err := o.Open(unwrap(t, rec, a.key))
		if err != nil || string(got) != string(pkcs8Of("alice")) {
			t.Fatal(err)
		}
	}
	lap("unwrapped and opened")
}

// BenchmarkApprove and BenchmarkOpen count one key of a case of 100.
func BenchmarkApprove(b *testing.B) {
	a, s, records := bulk(b, 100)
	bundle := must(record.NewBundle(a.roster, s, 0, capsulesOf(records), nil))(b)
	approving := a.approving(b, 1, bundle)
	for b.Loop() {
		if _, err := approving.Approve(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/key")
}

func BenchmarkOpen(b *testing.B) {
	a, s, records := bulk(b, 10)
	bundle := must(record.NewBundle(a.roster, s, 0, capsulesOf(records), nil))(b)
	o := record.NewOpener(bundle)
	for _, agent := range []uint16{1, 2} {
		answer := a.approve(b, agent, bundle)
		if err := o.Add(answer.Approval, answer.Sealed[0], counsel(b).key()); err != nil {
			b.Fatal(err)
		}
	}
	in := unwrap(b, records[0], a.key)
	for b.Loop() {
		if _, err := o.Open(in); err != nil {
			b.Fatal(err)
		}
	}
}

func capsulesOf(records []*record.Record) []*record.Capsule {
	var out []*record.Capsule
	for _, r := range records {
		out = append(out, r.Capsule)
	}
	return out
}
