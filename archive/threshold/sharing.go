package threshold

import (
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/sealpost/sealpost/internal/fault"
)

// MaxAgents is the largest n.
const MaxAgents = 255

var (
	// ErrSize is returned for a threshold that this package does not offer.
	ErrSize = fault.New(fault.Malformed, "threshold-size", "At least two agents must act together, and at least one more must exist.")
	// ErrShare is returned for a share that does not belong to its commitments.
	ErrShare = fault.New(fault.Denied, "threshold-share", "The share does not match the published commitments.")
)

// Size says how many agents there are (N) and how many must act together (T).
type Size struct {
	T, N int
	// SingleAgentMayOpenAlone allows T = 1: every agent alone opens everything, and nobody need agree.
	SingleAgentMayOpenAlone bool
}

// Check holds T ≥ 2 (or 1, if that is explicitly allowed) and T+1 ≤ N ≤ MaxAgents, so that one lost agent loses nothing.
func (s Size) Check() error {
	switch {
	case s.T < 1 || s.T == 1 && !s.SingleAgentMayOpenAlone:
		return ErrSize.Withf("At least two agents must act together, not %d.", s.T)
	case s.N < s.T+1:
		return ErrSize.Withf("With %d agents acting together there must be at least %d, not %d.", s.T, s.T+1, s.N)
	case s.N > MaxAgents:
		return ErrSize.Withf("There can be at most %d agents, not %d.", MaxAgents, s.N)
	}
	return nil
}

// Polynomial is a dealer's secret: its constant term is what is shared, its value at i is agent i's.
type Polynomial struct{ c []Scalar }

// NewPolynomial shares the given secret, or, for the zero Scalar, a fresh one, so that t agents recover it. The
// polynomial owns a copy of secret: the caller erases its own.
func NewPolynomial(t int, secret Scalar) (*Polynomial, error) {
	if t < 1 || t > MaxAgents {
		return nil, ErrSize
	}
	p := &Polynomial{c: make([]Scalar, t)}
	for i := range p.c {
		p.c[i] = RandomScalar()
	}
	if secret.s != nil {
		if err := secret.check(); err != nil {
			return nil, err
		}
		p.c[0].s.Set(secret.s)
	}
	return p, nil
}

// PolynomialOf makes a polynomial of given coefficients, constant term first, which it owns from then on: what Save
// wrote down, or a test vector.
func PolynomialOf(coefficients []Scalar) (*Polynomial, error) {
	if len(coefficients) < 1 || len(coefficients) > MaxAgents {
		return nil, ErrSize
	}
	for _, c := range coefficients {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	return &Polynomial{c: append([]Scalar(nil), coefficients...)}, nil
}

// Coefficients returns the secret coefficients, constant term first, for keeping them between two rounds of a ceremony.
func (p *Polynomial) Coefficients() []Scalar { return append([]Scalar(nil), p.c...) }

// Commit returns the Feldman commitments C_k = c_k·G.
func (p *Polynomial) Commit() (Commitments, error) {
	out := make(Commitments, len(p.c))
	for k, c := range p.c {
		var err error
		if out[k], err = c.Point(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Share returns the polynomial's value at the agent's id.
func (p *Polynomial) Share(agent uint16) (Share, error) {
	if agent == 0 {
		return Share{}, ErrQuorum.Withf("Agent 0 does not exist.")
	}
	x, y := curve.NewScalar().SetUint64(uint64(agent)), curve.NewScalar()
	for k := len(p.c) - 1; k >= 0; k-- {
		if err := p.c[k].check(); err != nil {
			return Share{}, err
		}
		y.Add(y.Mul(y, x), p.c[k].s)
	}
	s := Scalar{y}
	return Share{Agent: agent, Scalar: s}, s.check()
}

// Wipe erases the coefficients.
func (p *Polynomial) Wipe() {
	for _, c := range p.c {
		c.Wipe()
	}
}

// Commitments are the public side of a sharing: C_0 commits to the secret itself, so C_0 of a finished sharing is Y.
type Commitments []Point

// Bytes returns the points, concatenated.
func (c Commitments) Bytes() []byte {
	out := make([]byte, 0, len(c)*PointSize)
	for _, p := range c {
		out = append(out, p.enc[:]...)
	}
	return out
}

// Verify checks that the share lies on the committed polynomial of exactly t coefficients.
func (c Commitments) Verify(t int, share Share) error {
	es, err := elements(c)
	if err != nil {
		return err
	}
	if err := share.Scalar.check(); err != nil {
		return err
	}
	if share.Agent == 0 || t < 1 || len(c) != t {
		return ErrShare
	}
	s := secretsharing.Share{ID: curve.NewScalar().SetUint64(uint64(share.Agent)), Value: share.Scalar.s}
	if !secretsharing.Verify(uint(t-1), s, es) { // circl's t is the degree
		return ErrShare.Withf("The share of agent %d does not match the published commitments.", share.Agent)
	}
	return nil
}

// PublicShare returns Y_i = Σ i^k·C_k.
func (c Commitments) PublicShare(agent uint16) (Point, error) {
	if agent == 0 || len(c) == 0 {
		return Point{}, ErrQuorum.Withf("Agent 0 does not exist.")
	}
	es, err := elements(c)
	if err != nil {
		return Point{}, err
	}
	var x group.Scalar = curve.NewScalar().SetUint64(uint64(agent))
	sum := es[len(es)-1]
	for k := len(es) - 2; k >= 0; k-- {
		sum.Add(sum.Mul(sum, x), es[k])
	}
	return pointOf(sum)
}
