package record

import (
	"slices"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// Opener is the recipient's side of a case: it takes the agents' answers to one delivery, names those whose answer is
// wrong, and opens the records when there are t good ones. Records can be opened one after the other, in any order and
// again. It is for one goroutine.
type Opener struct {
	bundle *Bundle
	agents []uint16
	d      map[uint16][]threshold.Point
	quorum *threshold.Quorum
}

// NewOpener begins to open a bundle.
func NewOpener(b *Bundle) *Opener {
	return &Opener{bundle: b, d: map[uint16][]threshold.Point{}}
}

// Add takes an agent's approval and the partials it sealed for this delivery, and verifies both. If the agent sent
// something wrong, the error says so (ErrPartials) and names the agent, and the opener is as it was: others suffice.
func (o *Opener) Add(a *SignedApproval, sealed []byte, key cms.Recipient) error {
	b := o.bundle
	if err := a.Verify(b.Roster, b.Case); err != nil {
		return err
	}
	if a.Decision != Approve {
		return ErrApproval.Withf("Agent %d denied this case.", a.Agent)
	}
	if o.d[a.Agent] != nil {
		return ErrApproval.Withf("Agent %d has already approved.", a.Agent)
	}
	if hashOf(sealed) != a.Sealings[b.Delivery].Sealed {
		return ErrApproval.Withf("These sealed partials are not the ones that agent %d approved with.", a.Agent)
	}
	raw, err := openSealed(sealed, key, MaxSealedPartials)
	if err != nil {
		return ErrPartials.Withf("What agent %d sealed to this recipient cannot be opened.", a.Agent).Because(err)
	}
	defer clear(raw)
	if hashOf(raw) != a.Sealings[b.Delivery].Partials {
		return ErrPartials.Withf("Agent %d sealed something else than it signed.", a.Agent)
	}
	d, err := b.verifyPartials(a.Agent, raw)
	if err != nil {
		return err
	}
	o.d[a.Agent] = d
	o.agents = append(o.agents, a.Agent)
	if len(o.agents) == int(b.Roster.Plan.Threshold) {
		o.quorum, err = threshold.NewQuorum(len(o.agents), o.agents)
	}
	return err
}

// Missing returns how many more agents must answer.
func (o *Opener) Missing() int {
	return max(0, int(o.bundle.Roster.Plan.Threshold)-len(o.agents))
}

// Agents returns whose answers were taken, in their order.
func (o *Opener) Agents() []uint16 { return slices.Clone(o.agents) }

// Open opens one record of the delivery and returns the PKCS#8 key. The caller checks it against the header's public
// key hash, and erases it.
func (o *Opener) Open(in *InnerRecord) ([]byte, error) {
	i, ok := o.bundle.index[in.Capsule.Hash()]
	if !ok {
		return nil, ErrNotOpened.Withf("The record %s is not in this case.", in.Capsule.Hash())
	}
	if o.quorum == nil {
		return nil, ErrNotOpened.Withf("%d more agents must approve.", o.Missing())
	}
	ds := make([]threshold.Point, 0, len(o.agents))
	for _, a := range o.quorum.Agents() {
		ds = append(ds, o.d[a][i])
	}
	z, err := o.quorum.Combine(ds)
	if err != nil {
		return nil, ErrNotOpened.Because(err)
	}
	defer z.Wipe()
	return in.openProven(z, o.bundle.Roster.Key())
}

// Wipe erases what was collected.
func (o *Opener) Wipe() {
	for _, d := range o.d {
		clear(d)
	}
	*o = Opener{bundle: o.bundle, d: map[uint16][]threshold.Point{}}
}
