package threshold_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive/threshold"
)

func encapsulations(tb testing.TB, key threshold.Point, n int) []threshold.Point {
	tb.Helper()
	rs := make([]threshold.Point, n)
	for i := range rs {
		e, err := threshold.Encapsulate(key)
		if err != nil {
			tb.Fatal(err)
		}
		rs[i] = e.R
	}
	return rs
}

// partial is one agent's answer to a batch.
type partial struct {
	D     []threshold.Point
	Proof threshold.Proof
}

func partialOf(tb testing.TB, share threshold.Share, ctx threshold.Context, rs []threshold.Point) partial {
	tb.Helper()
	ctx.Agent = share.Agent
	ds, err := threshold.Decrypt(share, rs)
	if err != nil {
		tb.Fatal(err)
	}
	proof, err := threshold.ProvePartials(share, ctx, rs, ds)
	if err != nil {
		tb.Fatal(err)
	}
	return partial{D: ds, Proof: proof}
}

func TestSealedProof(t *testing.T) {
	t.Parallel()
	key, other := pointOf(t, fixed(t, "x")), pointOf(t, fixed(t, "x'"))
	e, err := threshold.Encapsulate(key)
	if err != nil {
		t.Fatal(err)
	}
	binding := [32]byte{1}
	p, err := e.Prove(binding)
	if err != nil {
		t.Fatal(err)
	}
	if err := threshold.VerifyProof(key, e.R, e.R2, binding, p); err != nil {
		t.Fatal(err)
	}
	again, err := e.Prove(binding)
	if err != nil {
		t.Fatal(err)
	}
	if again == p {
		t.Error("two proofs share their nonce")
	}
	k := threshold.Share{Agent: 1, Scalar: fixed(t, "k")}
	blinded, err := threshold.Decrypt(k, []threshold.Point{e.R, e.R2})
	if err != nil {
		t.Fatal(err)
	}
	attacks := map[string]error{
		"another binding":       threshold.VerifyProof(key, e.R, e.R2, [32]byte{2}, p),
		"another key":           threshold.VerifyProof(other, e.R, e.R2, binding, p),
		"R' = k·R":              threshold.VerifyProof(key, blinded[0], e.R2, binding, p),
		"R' = k·R, R₂' = k·R₂":  threshold.VerifyProof(key, blinded[0], blinded[1], binding, p),
		"R and R₂ swapped":      threshold.VerifyProof(key, e.R2, e.R, binding, p),
		"R₂ with another power": threshold.VerifyProof(key, e.R, blinded[1], binding, p),
	}
	for i := range p {
		q := p
		q[i] ^= 1
		attacks["flipped byte"] = errors.Join(attacks["flipped byte"], nilMeans("byte", threshold.VerifyProof(key, e.R, e.R2, binding, q)))
	}
	for name, err := range attacks {
		if name == "flipped byte" {
			if err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, threshold.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// nilMeans turns an attack's success into an error and its failure into none.
func nilMeans(what string, err error) error {
	if err == nil {
		return errors.New(what + ": accepted")
	}
	return nil
}

func TestPartials(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 2, 3)
	rs := encapsulations(t, s.key, 4)
	ctx := threshold.Context{Case: [32]byte{1}, Epoch: 7, Key: s.key}
	p := partialOf(t, s.shares[0], ctx, rs)
	ctx.Agent = 1
	if err := threshold.VerifyPartials(s.public[1], ctx, rs, p.D, p.Proof); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*threshold.Context)) threshold.Context {
		c := ctx
		change(&c)
		return c
	}
	swapped := func(in []threshold.Point) []threshold.Point {
		out := slices.Clone(in)
		out[0], out[1] = out[1], out[0]
		return out
	}
	// errors that cancel in a plain sum: D_0 + E and D_1 − E
	e := pointOf(t, fixed(t, "error"))
	minus := negated(t, threshold.Commitments{e})[0]
	cancel := slices.Clone(p.D)
	cancel[0], cancel[1] = sum(t, cancel[0], e), sum(t, cancel[1], minus)
	for name, err := range map[string]error{
		"another case":        threshold.VerifyPartials(s.public[1], with(func(c *threshold.Context) { c.Case[31] = 1 }), rs, p.D, p.Proof),
		"another epoch":       threshold.VerifyPartials(s.public[1], with(func(c *threshold.Context) { c.Epoch++ }), rs, p.D, p.Proof),
		"another agent":       threshold.VerifyPartials(s.public[1], with(func(c *threshold.Context) { c.Agent = 2 }), rs, p.D, p.Proof),
		"another key":         threshold.VerifyPartials(s.public[1], with(func(c *threshold.Context) { c.Key = e }), rs, p.D, p.Proof),
		"another public":      threshold.VerifyPartials(s.public[2], ctx, rs, p.D, p.Proof),
		"other ciphertexts":   threshold.VerifyPartials(s.public[1], ctx, encapsulations(t, s.key, 4), p.D, p.Proof),
		"partials swapped":    threshold.VerifyPartials(s.public[1], ctx, rs, swapped(p.D), p.Proof),
		"both swapped":        threshold.VerifyPartials(s.public[1], ctx, swapped(rs), swapped(p.D), p.Proof),
		"errors that cancel":  threshold.VerifyPartials(s.public[1], ctx, rs, cancel, p.Proof),
		"fewer than proved":   threshold.VerifyPartials(s.public[1], ctx, rs[:3], p.D[:3], p.Proof),
		"different lengths":   threshold.VerifyPartials(s.public[1], ctx, rs, p.D[:3], p.Proof),
		"nothing":             threshold.VerifyPartials(s.public[1], ctx, nil, nil, p.Proof),
		"agent 0":             threshold.VerifyPartials(s.public[1], with(func(c *threshold.Context) { c.Agent = 0 }), rs, p.D, p.Proof),
		"a point that is not": threshold.VerifyPartials(s.public[1], ctx, rs, make([]threshold.Point, 4), p.Proof),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := threshold.ProvePartials(s.shares[1], ctx, rs, p.D); err == nil {
		t.Error("agent 2 proves as agent 1")
	}
	if _, err := threshold.Decrypt(s.shares[0], make([]threshold.Point, threshold.MaxBatch+1)); !errors.Is(err, threshold.ErrBatch) {
		t.Errorf("too large: %v", err)
	}
}

// sum adds two points as a quorum of no weights cannot: with the shares of a polynomial through both.
func sum(tb testing.TB, a, b threshold.Point) threshold.Point {
	tb.Helper()
	// 2·a·(1/2)… circl is not at hand here: λ for agents 1 and 2 is 2 and −1, so 2·(a/2) − (−b) = a + b.
	half, err := threshold.ParseScalar(fromHex(tb, "f7e97a2e8d31092c6bce7b51ef7c6f0a00000000000000000000000000000008"))
	if err != nil {
		tb.Fatal(err)
	}
	h, err := threshold.Decrypt(threshold.Share{Agent: 1, Scalar: half}, []threshold.Point{a})
	if err != nil {
		tb.Fatal(err)
	}
	q, err := threshold.NewQuorum(2, []uint16{1, 2})
	if err != nil {
		tb.Fatal(err)
	}
	out, err := q.Combine([]threshold.Point{h[0], negated(tb, threshold.Commitments{b})[0]})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// TestTheOthersSuffice: of four agents two send garbage, are named, and the other two open everything.
func TestTheOthersSuffice(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 2, 4)
	var rs, want []threshold.Point
	for range 3 {
		e, err := threshold.Encapsulate(s.key)
		if err != nil {
			t.Fatal(err)
		}
		z, err := e.Shared()
		if err != nil {
			t.Fatal(err)
		}
		rs, want = append(rs, e.R), append(want, z)
	}
	ctx := threshold.Context{Case: [32]byte{1}, Epoch: 7, Key: s.key}
	answers := map[uint16]partial{}
	for _, share := range s.shares {
		answers[share.Agent] = partialOf(t, share, ctx, rs)
	}
	answers[1] = partial{answers[2].D, answers[1].Proof} // garbage that looks like points
	answers[3] = partial{answers[3].D[:2], answers[3].Proof}
	var good []uint16
	for ctx.Agent = 1; ctx.Agent <= 4; ctx.Agent++ {
		err := threshold.VerifyPartials(s.public[ctx.Agent], ctx, rs, answers[ctx.Agent].D, answers[ctx.Agent].Proof)
		switch {
		case err == nil:
			good = append(good, ctx.Agent)
		case ctx.Agent == 1 && !strings.Contains(err.Error(), "agent 1"):
			t.Errorf("agent 1 is not named: %v", err)
		}
	}
	if !slices.Equal(good, []uint16{2, 4}) {
		t.Fatalf("good: %v", good)
	}
	q, err := threshold.NewQuorum(2, good)
	if err != nil {
		t.Fatal(err)
	}
	for j := range rs {
		z, err := q.Combine([]threshold.Point{answers[2].D[j], answers[4].D[j]})
		if err != nil || z != want[j] {
			t.Errorf("ciphertext %d opens to another point: %v", j, err)
		}
	}
}

func TestThousandInOneProof(t *testing.T) {
	t.Parallel()
	const n = 1_000
	s := newSharing(t, 2, 3)
	// Points that differ, cheaply: the ciphertexts are not opened here.
	rs := make([]threshold.Point, n)
	for i := range rs {
		rs[i] = pointOf(t, threshold.RandomScalar())
	}
	ctx := threshold.Context{Case: [32]byte{1}, Epoch: 1, Key: s.key}
	p := partialOf(t, s.shares[1], ctx, rs)
	ctx.Agent = 2
	if err := threshold.VerifyPartials(s.public[2], ctx, rs, p.D, p.Proof); err != nil {
		t.Fatal(err)
	}
	p.D[n-1] = p.D[0]
	if err := threshold.VerifyPartials(s.public[2], ctx, rs, p.D, p.Proof); !errors.Is(err, threshold.ErrProof) {
		t.Errorf("one wrong partial of %d: %v", n, err)
	}
}
