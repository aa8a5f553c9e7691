package threshold_test

import (
	"testing"

	"github.com/sealpost/sealpost/archive/threshold"
)

func BenchmarkEncapsulateAndProve(b *testing.B) {
	key := pointOf(b, fixed(b, "x"))
	for b.Loop() {
		e, err := threshold.Encapsulate(key)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Key(nil); err != nil {
			b.Fatal(err)
		}
		if _, err := e.Prove([32]byte{}); err != nil {
			b.Fatal(err)
		}
		e.Wipe()
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	key := pointOf(b, fixed(b, "x"))
	e, err := threshold.Encapsulate(key)
	if err != nil {
		b.Fatal(err)
	}
	p, err := e.Prove([32]byte{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := threshold.VerifyProof(key, e.R, e.R2, [32]byte{}, p); err != nil {
			b.Fatal(err)
		}
	}
}

// The next two count one ciphertext of a batch of 10,000 with one proof.
func batch(b *testing.B) (sharing, threshold.Context, []threshold.Point) {
	b.Helper()
	s := newSharing(b, 2, 3)
	rs := make([]threshold.Point, 10_000)
	for i := range rs {
		rs[i] = pointOf(b, threshold.RandomScalar())
	}
	return s, threshold.Context{Epoch: 1, Agent: 1, Key: s.key}, rs
}

func perCiphertext(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/ciphertext")
}

func BenchmarkPartial(b *testing.B) {
	s, ctx, rs := batch(b)
	for b.Loop() {
		partialOf(b, s.shares[0], ctx, rs)
	}
	perCiphertext(b, len(rs))
}

func BenchmarkVerifyPartials(b *testing.B) {
	s, ctx, rs := batch(b)
	p := partialOf(b, s.shares[0], ctx, rs)
	for b.Loop() {
		if err := threshold.VerifyPartials(s.public[1], ctx, rs, p.D, p.Proof); err != nil {
			b.Fatal(err)
		}
	}
	perCiphertext(b, len(rs))
}

func BenchmarkCombine(b *testing.B) {
	s, _, rs := batch(b)
	q, err := threshold.NewQuorum(2, []uint16{1, 2})
	if err != nil {
		b.Fatal(err)
	}
	d1, err := threshold.Decrypt(s.shares[0], rs[:1])
	if err != nil {
		b.Fatal(err)
	}
	d2, err := threshold.Decrypt(s.shares[1], rs[:1])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := q.Combine([]threshold.Point{d1[0], d2[0]}); err != nil {
			b.Fatal(err)
		}
	}
}
