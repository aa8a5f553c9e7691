package threshold

import (
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrQuorum is returned when there are too few agents, or one of them twice.
var ErrQuorum = fault.New(fault.Denied, "threshold-quorum", "Not enough different agents took part.")

// Quorum is a set of exactly T agents that act together, with the Lagrange coefficients λ_i that make their shares one
// secret: Σλ_i·x_i = x.
type Quorum struct {
	agents  []uint16
	lambdas []group.Scalar
}

// NewQuorum makes a quorum of the first t of the given agents. Ids must be different and not zero, also those beyond t.
func NewQuorum(t int, agents []uint16) (*Quorum, error) {
	if t < 1 || len(agents) < t {
		return nil, ErrQuorum.Withf("%d agents are needed, only %d took part.", t, len(agents))
	}
	if err := distinct(agents); err != nil {
		return nil, err
	}
	q := &Quorum{agents: append([]uint16(nil), agents[:t]...)}
	q.lambdas = lagrange(q.agents)
	return q, nil
}

// Agents returns the ids of the agents that count, in the order in which Combine wants their partials.
func (q *Quorum) Agents() []uint16 { return append([]uint16(nil), q.agents...) }

// Combine returns Z = Σλ_i·D_i of one ciphertext: the secret shared point. ds are in the order of Agents, and each has
// been verified with VerifyPartials: a wrong one makes a wrong Z, and no fault.
func (q *Quorum) Combine(ds []Point) (Point, error) {
	if len(ds) != len(q.lambdas) {
		return Point{}, ErrQuorum.Withf("%d agents are needed, %d partial decryptions were given.", len(q.lambdas), len(ds))
	}
	return weighted(q.lambdas, ds)
}

// weighted returns Σ weights_i·points_i.
func weighted(weights []group.Scalar, points []Point) (Point, error) {
	sum := curve.Identity()
	for i, p := range points {
		e, err := p.element()
		if err != nil {
			return Point{}, err
		}
		sum.Add(sum, e.Mul(e, weights[i]))
	}
	return pointOf(sum)
}

// lagrange returns the coefficients at zero; ids are distinct and not zero, or the result is silently wrong.
func lagrange(ids []uint16) []group.Scalar {
	xs := make([]group.Scalar, len(ids))
	for i, id := range ids {
		xs[i] = curve.NewScalar().SetUint64(uint64(id))
	}
	out := make([]group.Scalar, len(ids))
	for i := range ids {
		out[i] = polynomial.LagrangeBase(uint(i), xs, curve.NewScalar())
	}
	return out
}

func distinct(ids []uint16) error {
	seen := make(map[uint16]bool, len(ids))
	for _, id := range ids {
		if id == 0 {
			return ErrQuorum.Withf("Agent 0 does not exist.")
		}
		if seen[id] {
			return ErrQuorum.Withf("Agent %d is there twice.", id)
		}
		seen[id] = true
	}
	return nil
}
