package record

import (
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrPartials is returned when an agent's partial decryptions are wrong; the detail names the agent.
var ErrPartials = fault.New(fault.Denied, "partials-wrong", "An agent's partial decryptions are wrong.")

const (
	maxPartials = 256 + threshold.MaxBatch*threshold.PointSize
	// MaxSealedPartials is the size in bytes of the largest CMS with partials in it.
	MaxSealedPartials = maxPartials + maxSealed
)

// partials are one agent's answer to one delivery. They are sealed to the recipient, because t of them open everything.
type partials struct {
	caseHash  Hash
	roster    Hash
	agent     uint16
	recipient Hash // fingerprint
	d         []threshold.Point
	proof     threshold.Proof
}

func (p *partials) encode() ([]byte, error) {
	w := newWriterFor(kindPartials, 256+len(p.d)*threshold.PointSize)
	w.raw(p.caseHash[:])
	w.raw(p.roster[:])
	w.u16(p.agent)
	w.raw(p.recipient[:])
	w.u32(uint32(len(p.d)))
	for _, d := range p.d {
		w.raw(d.Bytes())
	}
	w.raw(p.proof[:])
	return w.b, w.err
}

func parsePartials(b []byte) (*partials, error) {
	r := newReader(b, kindPartials, maxPartials)
	p := &partials{caseHash: r.hash("case"), roster: r.hash("roster"), agent: r.u16("agent"), recipient: r.hash("recipient")}
	p.d = r.points("partial decryption", r.count32("list of partial decryptions", threshold.MaxBatch, threshold.PointSize))
	p.proof = r.proof("proof")
	if err := r.done(); err != nil {
		return nil, err
	}
	return p, nil
}

// partials decrypts the agent's part of the bundle and proves it.
func (b *Bundle) partials(share threshold.Share) ([]byte, error) {
	ds, err := threshold.Decrypt(share, b.rs)
	if err != nil {
		return nil, err
	}
	proof, err := threshold.ProvePartials(share, b.context(share.Agent), b.rs, ds)
	if err != nil {
		return nil, err
	}
	return b.newPartials(share.Agent, ds, proof).encode()
}

func (b *Bundle) newPartials(agent uint16, ds []threshold.Point, proof threshold.Proof) *partials {
	return &partials{caseHash: b.Case.Hash(), roster: b.Roster.Hash(), agent: agent, recipient: b.recipient(), d: ds, proof: proof}
}

// verifyPartials reads an agent's partials and verifies them. Any fault names the agent.
func (b *Bundle) verifyPartials(agent uint16, raw []byte) ([]threshold.Point, error) {
	a, _ := b.Roster.Plan.Agent(agent)
	bad := ErrPartials.Withf("The partial decryptions of agent %d (%s) are wrong. The others suffice, if there are %d of them.", agent, a.Name, b.Roster.Plan.Threshold)
	p, err := parsePartials(raw)
	if err != nil {
		return nil, bad.Because(err)
	}
	if p.caseHash != b.Case.Hash() || p.roster != b.Roster.Hash() || p.agent != agent || p.recipient != b.recipient() {
		return nil, bad.Because(ErrPartials.Withf("They were made for another case, roster, agent or recipient."))
	}
	if err := threshold.VerifyPartials(b.Roster.Public()[agent], b.context(agent), b.rs, p.d, p.proof); err != nil {
		return nil, bad.Because(err)
	}
	return p.d, nil
}
