package threshold

import (
	"github.com/cloudflare/circl/group"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrDealing is returned when a dealer's commitments cannot be accepted.
var ErrDealing = fault.New(fault.Denied, "threshold-dealing", "A dealer's commitments cannot be accepted.")

// Dealing is what one dealer publishes. Dealer 0 is the single offline machine of the dealer mode.
type Dealing struct {
	Dealer      uint16
	Commitments Commitments
}

// Old is the sharing from which a reshare starts.
type Old struct {
	T      int              // how many old agents must deal
	Key    Point            // Y, which stays
	Public map[uint16]Point // Y_j of the old agents
}

// Joint is the one sharing that several dealings add up to. Generating a key together, dealing it on one machine and
// resharing an old one are the same sum and differ in its weights: 1 for a new key, Lagrange's λ_j for an old one.
type Joint struct {
	size     Size
	dealings []Dealing
	weights  []group.Scalar
	sum      Commitments
}

// Join adds up dealings to a sharing of the given size. With old == nil they make a new key. Otherwise they must come
// from at least T old agents, each must share exactly its own old share (C_j0 = Y_j), and together they must yield the
// old key; all dealings count. The first dealer that is wrong is named.
func Join(size Size, dealings []Dealing, old *Old) (*Joint, error) {
	if err := size.Check(); err != nil {
		return nil, err
	}
	if len(dealings) == 0 || len(dealings) > MaxAgents {
		return nil, ErrDealing.Withf("There are %d dealers.", len(dealings))
	}
	ids := make([]uint16, len(dealings))
	for i, d := range dealings {
		ids[i] = d.Dealer
		if len(d.Commitments) != size.T {
			return nil, ErrDealing.Withf("Dealer %d published %d commitments, not %d.", d.Dealer, len(d.Commitments), size.T)
		}
	}
	j := &Joint{size: size, dealings: dealings}
	var err error
	if j.weights, err = weightsOf(ids, dealings, old); err != nil {
		return nil, err
	}
	if err := j.addUp(); err != nil {
		return nil, err
	}
	if old != nil && j.sum[0] != old.Key {
		return nil, ErrDealing.Withf("The dealers' commitments do not add up to the archive's key.")
	}
	return j, nil
}

func weightsOf(ids []uint16, dealings []Dealing, old *Old) ([]group.Scalar, error) {
	if old == nil {
		one := make([]group.Scalar, len(ids))
		for i := range one {
			one[i] = curve.NewScalar().SetUint64(1)
		}
		if len(ids) == 1 && ids[0] == 0 {
			return one, nil
		}
		return one, distinct(ids)
	}
	if len(ids) < old.T {
		return nil, ErrDealing.Withf("%d old agents must deal, not %d.", old.T, len(ids))
	}
	if err := distinct(ids); err != nil {
		return nil, err
	}
	for _, d := range dealings {
		if y, ok := old.Public[d.Dealer]; !ok || y.IsZero() || d.Commitments[0] != y {
			return nil, ErrDealing.Withf("Dealer %d does not share its own old share.", d.Dealer)
		}
	}
	return lagrange(ids), nil
}

func (j *Joint) addUp() error {
	j.sum = make(Commitments, j.size.T)
	column := make([]Point, len(j.dealings))
	for k := range j.sum {
		for i, d := range j.dealings {
			column[i] = d.Commitments[k]
		}
		var err error
		if j.sum[k], err = weighted(j.weights, column); err != nil {
			return ErrDealing.Withf("The dealers' commitments cancel each other.").Because(err)
		}
	}
	return nil
}

// Commitments returns those of the joint sharing; the first is the archive's key.
func (j *Joint) Commitments() Commitments { return append(Commitments(nil), j.sum...) }

// Share verifies the sub-shares that the agent got, one from each dealer in the order of the dealings, and adds them up to
// the agent's share. A dealer whose sub-share is wrong is named. The caller erases the sub-shares.
func (j *Joint) Share(agent uint16, subshares []Scalar) (Share, error) {
	if len(subshares) != len(j.dealings) {
		return Share{}, ErrShare.Withf("There are %d sub-shares from %d dealers.", len(subshares), len(j.dealings))
	}
	sum, term := curve.NewScalar(), curve.NewScalar()
	defer term.SetUint64(0)
	for i, d := range j.dealings {
		if err := d.Commitments.Verify(j.size.T, Share{Agent: agent, Scalar: subshares[i]}); err != nil {
			return Share{}, ErrShare.Withf("The sub-share from dealer %d to agent %d does not match the dealer's commitments.", d.Dealer, agent).Because(err)
		}
		sum.Add(sum, term.Mul(subshares[i].s, j.weights[i]))
	}
	share := Share{Agent: agent, Scalar: Scalar{sum}}
	return share, j.sum.Verify(j.size.T, share)
}
