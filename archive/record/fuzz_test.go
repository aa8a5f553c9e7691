package record_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

// specimens returns one object of every kind.
func specimens(tb testing.TB) [][]byte {
	tb.Helper()
	a := newArchive(tb)
	rec := a.records["alice"]
	header, err := rec.Capsule.Header.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	in, err := rec.UnwrapOuter(a.key)
	if err != nil {
		tb.Fatal(err)
	}
	receipt, err := receiptOf(rec).Sign(fixedKey(tb, "receipts"))
	if err != nil {
		tb.Fatal(err)
	}
	s := signCase(tb, a.restoreCase(tb), device(tb))
	b := a.bundle(tb, s, "alice", "alice 2")
	answer := a.approve(tb, 1, b)
	denial, err := record.NewDenial(a.roster, s, 2, a.people[2].signKey, day, "No.")
	if err != nil {
		tb.Fatal(err)
	}
	partials, err := b.PartialsWith(openShare(tb, a.roster, 1, a.people), fixedScalar(tb, "w"))
	if err != nil {
		tb.Fatal(err)
	}
	share, err := record.Opened(a.roster.Members[0].Sealed, a.people[1].key())
	if err != nil {
		tb.Fatal(err)
	}
	out := [][]byte{
		header, rec.Capsule.Bytes(), rec.Bytes(), in.Bytes(), a.roster.Plan.Bytes(), a.roster.Bytes(), share,
		receipt.Bytes(), s.Bytes(), answer.Approval.Bytes(), denial.Bytes(), partials,
	}
	out = append(out, encoded(tb, answer), encoded(tb, &record.Answer{Approval: denial}))
	dispute, err := a.dispute(tb, s, answer).Sign(device(tb).signKey)
	if err != nil {
		tb.Fatal(err)
	}
	consent, err := consentTo(tb, signCase(tb, a.legalCase(tb), newPerson(tb, "clerk"))).Sign(newPerson(tb, "auditor").signKey)
	if err != nil {
		tb.Fatal(err)
	}
	out = append(out, dispute.Bytes(), consent.Bytes())
	return append(out, ceremonySpecimens(tb, a.people)...)
}

func ceremonySpecimens(tb testing.TB, p people) [][]byte {
	tb.Helper()
	c := newCeremony(tb, newPlan(tb, dealerPlan(tb, 2, p)), nil)
	state := func() []byte {
		b, err := c.Save()
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	out := [][]byte{state()}
	if _, err := c.Commit(0, threshold.Share{}, fixedKey(tb, "machine")); err != nil {
		tb.Fatal(err)
	}
	out = append(out, state())
	if _, err := c.Reveal(fixedKey(tb, "machine")); err != nil {
		tb.Fatal(err)
	}
	if _, err := c.Acknowledge(1, p[1].key(), p[1].signKey); err != nil {
		tb.Fatal(err)
	}
	return append(append(out, state()), c.Messages()...)
}

// TestEveryKindIsStrict: each object is read back and written as it was; cut off, lengthened, of another version or
// kind, it is refused.
func TestEveryKindIsStrict(t *testing.T) {
	t.Parallel()
	seen := map[byte]bool{}
	for _, b := range specimens(t) {
		k := b[1]
		seen[k] = true
		if again, err := record.Reencode(b); err != nil || !bytes.Equal(b, again) {
			t.Errorf("kind %d is not written as it was read: %v", k, err)
		}
		for i := 0; i < len(b); i += 1 + len(b)/300 {
			if _, err := record.Reencode(b[:i]); err == nil {
				t.Errorf("kind %d is accepted with %d of %d bytes", k, i, len(b))
			}
		}
		for name, other := range map[string][]byte{
			"a byte more":     append(bytes.Clone(b), 0),
			"another version": append([]byte{2}, b[1:]...),
			"another kind":    append([]byte{1, k%15 + 1}, b[2:]...),
			"kind 0":          append([]byte{1, 0}, b[2:]...),
		} {
			if _, err := record.Reencode(other); !errors.Is(err, record.ErrFormat) {
				t.Errorf("kind %d, %s: %v", k, name, err)
			}
		}
	}
	for k := byte(1); k <= 19; k++ {
		if !seen[k] && k != 10 { // a sub-share looks like a share
			t.Errorf("there is no specimen of kind %d", k)
		}
	}
}

// FuzzParse holds for every kind that whatever is accepted is canonical: written again, it is the same.
func FuzzParse(f *testing.F) {
	for _, b := range specimens(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := record.Reencode(b)
		if err == nil && !bytes.Equal(b, again) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}
