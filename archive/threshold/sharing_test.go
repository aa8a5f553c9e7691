package threshold_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive/threshold"
)

// sharing is a key and its shares.
type sharing struct {
	t           int
	key         threshold.Point
	commitments threshold.Commitments
	shares      []threshold.Share
	public      map[uint16]threshold.Point
}

func (s sharing) old() *threshold.Old {
	return &threshold.Old{T: s.t, Key: s.key, Public: s.public}
}

// join lets each dealer deal its secret (or a fresh one) to agents 1..n and adds everything up.
func join(tb testing.TB, size threshold.Size, dealers []uint16, secrets []threshold.Scalar, old *threshold.Old) sharing {
	tb.Helper()
	polys := make([]*threshold.Polynomial, len(dealers))
	dealings := make([]threshold.Dealing, len(dealers))
	for i, d := range dealers {
		var secret threshold.Scalar
		if secrets != nil {
			secret = secrets[i]
		}
		var err error
		if polys[i], err = threshold.NewPolynomial(size.T, secret); err != nil {
			tb.Fatal(err)
		}
		c, err := polys[i].Commit()
		if err != nil {
			tb.Fatal(err)
		}
		dealings[i] = threshold.Dealing{Dealer: d, Commitments: c}
	}
	j, err := threshold.Join(size, dealings, old)
	if err != nil {
		tb.Fatal(err)
	}
	s := sharing{t: size.T, commitments: j.Commitments(), public: map[uint16]threshold.Point{}}
	s.key = s.commitments[0]
	for a := uint16(1); a <= uint16(size.N); a++ {
		share, err := j.Share(a, subshares(tb, polys, a))
		if err != nil {
			tb.Fatal(err)
		}
		s.shares = append(s.shares, share)
		y, err := s.commitments.PublicShare(a)
		if err != nil {
			tb.Fatal(err)
		}
		if got := pointOf(tb, share.Scalar); got != y {
			tb.Fatalf("agent %d: public share differs", a)
		}
		s.public[a] = y
	}
	return s
}

func subshares(tb testing.TB, polys []*threshold.Polynomial, agent uint16) []threshold.Scalar {
	tb.Helper()
	out := make([]threshold.Scalar, len(polys))
	for i, p := range polys {
		s, err := p.Share(agent)
		if err != nil {
			tb.Fatal(err)
		}
		out[i] = s.Scalar
	}
	return out
}

// newSharing deals a key on one machine.
func newSharing(tb testing.TB, t, n int) sharing {
	tb.Helper()
	return join(tb, threshold.Size{T: t, N: n, SingleAgentMayOpenAlone: t == 1}, []uint16{0}, nil, nil)
}

// opens tells whether the given agents can open something sealed to the key.
func (s sharing) opens(tb testing.TB, shares []threshold.Share) bool {
	tb.Helper()
	e, err := threshold.Encapsulate(s.key)
	if err != nil {
		tb.Fatal(err)
	}
	want, err := e.Key([]byte("info"))
	if err != nil {
		tb.Fatal(err)
	}
	ids := make([]uint16, len(shares))
	ds := make([]threshold.Point, len(shares))
	for i, share := range shares {
		d, err := threshold.Decrypt(share, []threshold.Point{e.R})
		if err != nil {
			tb.Fatal(err)
		}
		ids[i], ds[i] = share.Agent, d[0]
	}
	q, err := threshold.NewQuorum(len(ids), ids)
	if err != nil {
		tb.Fatal(err)
	}
	z, err := q.Combine(ds)
	if err != nil {
		return false
	}
	got, err := threshold.DeriveKey(z, e.R, s.key, []byte("info"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(got) == string(want)
}

func choose(shares []threshold.Share, k int) []threshold.Share {
	out := make([]threshold.Share, k)
	for i, j := range rand.Perm(len(shares))[:k] {
		out[i] = shares[j]
	}
	return out
}

func TestExactlyT(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 2}, {2, 3}, {2, 5}, {3, 5}, {4, 7}, {5, 6}, {10, 20}} {
		s := newSharing(t, size[0], size[1])
		for range 3 {
			if !s.opens(t, choose(s.shares, size[0])) {
				t.Errorf("%v: t agents do not open", size)
			}
			if size[0] > 1 && s.opens(t, choose(s.shares, size[0]-1)) {
				t.Errorf("%v: t-1 agents open", size)
			}
		}
		if !s.opens(t, s.shares) {
			t.Errorf("%v: all agents do not open", size)
		}
	}
}

func TestTogetherAndReshare(t *testing.T) {
	t.Parallel()
	s := join(t, threshold.Size{T: 2, N: 3}, []uint16{1, 2, 3}, nil, nil)
	if !s.opens(t, choose(s.shares, 2)) || s.opens(t, s.shares[:1]) {
		t.Fatal("the jointly generated key does not open with exactly two")
	}
	for _, size := range []threshold.Size{{T: 3, N: 5}, {T: 2, N: 4}, {T: 4, N: 5}, {T: 2, N: 3}} {
		dealers := choose(s.shares, s.t)
		if size.N == 4 {
			dealers = s.shares // more than t old agents may deal
		}
		ids, secrets := make([]uint16, len(dealers)), make([]threshold.Scalar, len(dealers))
		for i, d := range dealers {
			ids[i], secrets[i] = d.Agent, d.Scalar
		}
		n := join(t, size, ids, secrets, s.old())
		if n.key != s.key {
			t.Fatal("the key changed")
		}
		if !n.opens(t, choose(n.shares, size.T)) || n.opens(t, choose(n.shares, size.T-1)) {
			t.Errorf("%v: does not open with exactly t", size)
		}
		mixed := append([]threshold.Share{s.shares[0]}, n.shares[1:size.T]...)
		if n.opens(t, mixed) {
			t.Errorf("%v: an old share opens together with new ones", size)
		}
		s = n
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range []threshold.Size{{T: 2, N: 3}, {T: 2, N: 255}, {T: 254, N: 255}, {T: 1, N: 2, SingleAgentMayOpenAlone: true}} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []threshold.Size{{}, {T: 1, N: 3}, {T: 2, N: 2}, {T: 3, N: 2}, {T: 0, N: 3, SingleAgentMayOpenAlone: true}, {T: -1, N: 3}, {T: 2, N: 256}, {T: 1, N: 1, SingleAgentMayOpenAlone: true}} {
		if err := s.Check(); !errors.Is(err, threshold.ErrSize) {
			t.Errorf("%+v: %v", s, err)
		}
		if _, err := threshold.Join(s, []threshold.Dealing{{}}, nil); !errors.Is(err, threshold.ErrSize) {
			t.Errorf("join %+v: %v", s, err)
		}
	}
}

func deal(tb testing.TB, t int, secret threshold.Scalar) (*threshold.Polynomial, threshold.Commitments) {
	tb.Helper()
	p, err := threshold.NewPolynomial(t, secret)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := p.Commit()
	if err != nil {
		tb.Fatal(err)
	}
	return p, c
}

func TestWrongSubShareNamesTheDealer(t *testing.T) {
	t.Parallel()
	size := threshold.Size{T: 2, N: 3}
	p1, c1 := deal(t, 2, threshold.Scalar{})
	p2, c2 := deal(t, 2, threshold.Scalar{})
	j, err := threshold.Join(size, []threshold.Dealing{{Dealer: 1, Commitments: c1}, {Dealer: 2, Commitments: c2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s1, err := p1.Share(3)
	if err != nil {
		t.Fatal(err)
	}
	for name, s2 := range map[string]threshold.Scalar{
		"garbage":                   threshold.RandomScalar(),
		"another agent's":           subshares(t, []*threshold.Polynomial{p2}, 1)[0],
		"from another polynomial":   s1.Scalar,
		"missing":                   {},
		"the dealer's whole secret": p2.Coefficients()[0],
	} {
		_, err := j.Share(3, []threshold.Scalar{s1.Scalar, s2})
		if !errors.Is(err, threshold.ErrShare) || !strings.Contains(err.Error(), "dealer 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := j.Share(3, []threshold.Scalar{s1.Scalar}); !errors.Is(err, threshold.ErrShare) {
		t.Errorf("too few sub-shares: %v", err)
	}
}

func TestDealingsThatAreRefused(t *testing.T) {
	t.Parallel()
	size := threshold.Size{T: 2, N: 3}
	s := newSharing(t, 2, 3)
	_, fresh := deal(t, 2, threshold.Scalar{})
	_, d1 := deal(t, 2, s.shares[0].Scalar)
	_, d2 := deal(t, 2, s.shares[1].Scalar)
	_, long := deal(t, 3, s.shares[1].Scalar)
	foreign := newSharing(t, 2, 3)
	lying := &threshold.Old{T: 2, Key: foreign.key, Public: s.public}
	type ds = []threshold.Dealing
	tests := map[string]struct {
		d    ds
		old  *threshold.Old
		want error
	}{
		"no dealer":                          {ds{}, nil, threshold.ErrDealing},
		"the same dealer twice":              {ds{{1, fresh}, {1, d1}}, nil, threshold.ErrQuorum},
		"dealer 0 beside others":             {ds{{0, fresh}, {1, d1}}, nil, threshold.ErrQuorum},
		"too many commitments":               {ds{{1, d1}, {2, long}}, s.old(), threshold.ErrDealing},
		"too few commitments":                {ds{{1, d1}, {2, d2[:1]}}, s.old(), threshold.ErrDealing},
		"a new secret instead of the share":  {ds{{1, d1}, {2, fresh}}, s.old(), threshold.ErrDealing},
		"another agent's share":              {ds{{1, d1}, {3, d2}}, s.old(), threshold.ErrDealing},
		"a dealer that was no agent":         {ds{{1, d1}, {9, d2}}, s.old(), threshold.ErrDealing},
		"fewer than t old agents":            {ds{{1, d1}}, s.old(), threshold.ErrDealing},
		"one old agent twice":                {ds{{1, d1}, {1, d1}}, s.old(), threshold.ErrQuorum},
		"dealer 0 in a reshare":              {ds{{0, d1}, {2, d2}}, s.old(), threshold.ErrQuorum},
		"public shares of another key":       {ds{{1, d1}, {2, d2}}, lying, threshold.ErrDealing},
		"commitments that are no points":     {ds{{1, make(threshold.Commitments, 2)}}, nil, threshold.ErrEncoding},
		"shares that cancel to the identity": {ds{{1, fresh}, {2, negated(t, fresh)}}, nil, threshold.ErrDealing},
	}
	for name, tt := range tests {
		if _, err := threshold.Join(size, tt.d, tt.old); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// negated returns −C, the commitments with which a dealer who speaks last would cancel another's, did it not have to
// commit to its own first.
func negated(tb testing.TB, c threshold.Commitments) threshold.Commitments {
	tb.Helper()
	// (order − 1) · P = −P
	b := fromHex(tb, "ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	minus, err := threshold.ParseScalar(b)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := threshold.Decrypt(threshold.Share{Agent: 1, Scalar: minus}, c)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestCommitmentsVerify(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 3, 5)
	for _, share := range s.shares {
		if err := s.commitments.Verify(3, share); err != nil {
			t.Error(err)
		}
		for name, bad := range map[string]error{
			"other id":          s.commitments.Verify(3, threshold.Share{Agent: share.Agent + 1, Scalar: share.Scalar}),
			"id 0":              s.commitments.Verify(3, threshold.Share{Scalar: share.Scalar}),
			"other t":           s.commitments.Verify(2, share),
			"short commitments": s.commitments[:2].Verify(3, share),
			"no scalar":         s.commitments.Verify(3, threshold.Share{Agent: 1}),
		} {
			if bad == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
}

func TestQuorumRefusesDuplicates(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]uint16{{}, {1}, {1, 1}, {0, 1}, {1, 2, 2}, {1, 2, 0}} {
		if _, err := threshold.NewQuorum(2, ids); !errors.Is(err, threshold.ErrQuorum) {
			t.Errorf("%v: %v", ids, err)
		}
	}
	q, err := threshold.NewQuorum(2, []uint16{7, 3, 5})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(q.Agents()); got != "[7 3]" {
		t.Errorf("agents %s", got)
	}
	if _, err := q.Combine([]threshold.Point{pointOf(t, fixed(t, "x"))}); !errors.Is(err, threshold.ErrQuorum) {
		t.Errorf("combine: %v", err)
	}
}
