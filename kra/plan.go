package kra

import (
	"crypto/rand"
	"crypto/x509"
	"os"
	"slices"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
)

// PlanConfig says what a ceremony shall make.
type PlanConfig struct {
	Archive   string       // its name, for people
	Threshold int          // how many agents open together
	Agents    []*AgentCard // in the order of their ids, from 1
	Business  []*RecipientCard
	Legal     []*RecipientCard // one who is in both lists may receive in both kinds of case

	// SingleAgentMayOpenAlone permits a threshold of one: every agent alone opens everything, and nobody need agree.
	SingleAgentMayOpenAlone bool
	// DealerMachine is the public key (SubjectPublicKeyInfo) of the one machine that makes the archive's key and deals
	// it, from DealerKey on that machine. Whoever controls that machine for a moment has the whole key. Nil means
	// that the agents make it together and that it exists nowhere.
	DealerMachine []byte

	// Previous is the roster whose key is passed on: a reshare. Its key, name and origin stay, and its recipients, unless
	// others are given. Nil means a new key.
	Previous *record.Roster
	// Dealers are the officers of Previous who hand over, by their ids there: at least its threshold of them.
	Dealers []uint16

	Roots []*x509.Certificate // to which every certificate must lead
	Now   func() time.Time    // nil means time.Now
}

// WritePlan makes the plan of a ceremony and writes it into the ceremony's folder, and beside it the issuing certificates
// that lead from its certificates to their root. It makes the folder where it is missing, and refuses one that has a plan
// in it. Nothing is agreed on yet: whoever could change the plan unseen could be all the agents.
func WritePlan(dir string, c PlanConfig) (*record.Plan, error) {
	plan, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, ErrFolder.Withf("The folder %s cannot be made.", dir).Because(err)
	}
	f := folder{dir}
	old, err := disk.Read(f.path(PlanFile), maxPlan)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return nil, ErrFolder.Withf("There is a plan in %s already. Every ceremony has a folder of its own.", dir)
	}
	if c.Previous != nil {
		if err := disk.Write(f.path(PreviousFile), c.Previous.Bytes(), 0o644); err != nil {
			return nil, err
		}
	}
	if err := disk.Write(f.path(IntermediatesFile), encodeCertificates(issuers(c.chains())), 0o644); err != nil {
		return nil, err
	}
	if err := disk.Write(f.path(PlanFile), plan.Bytes(), 0o644); err != nil {
		return nil, err
	}
	return plan, nil
}

// newPlan makes a plan. Its session is random: each ceremony has its own.
func newPlan(c PlanConfig) (*record.Plan, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	p := record.Plan{
		Archive: c.Archive, Created: c.Now(), Epoch: 1, Origin: record.OriginAgents, Threshold: uint16(c.Threshold),
		SingleAgentMayOpenAlone: c.SingleAgentMayOpenAlone,
	}
	if c.Threshold < 0 || c.Threshold > len(c.Agents) {
		return nil, ErrPlan.Withf("%d of %d agents cannot open together.", c.Threshold, len(c.Agents))
	}
	if _, err := rand.Read(p.Session[:]); err != nil {
		return nil, err
	}
	t := trust{roots: c.Roots, between: c.chains(), now: c.Now()}
	for i, a := range c.Agents {
		p.Agents = append(p.Agents, record.Agent{ID: uint16(i + 1), Person: a.Person, Name: a.Name, Signing: a.Signing, Decryption: a.Decryption})
		p.Dealers = append(p.Dealers, uint16(i+1))
	}
	if c.DealerMachine != nil {
		p.Origin, p.Dealers, p.DealerKey = record.OriginDealer, []uint16{0}, c.DealerMachine
	}
	p.Recipients = recipients(c.Business, c.Legal)
	if c.Previous != nil {
		c.reshare(&p)
	}
	plan, err := record.NewPlan(p)
	if err != nil {
		return nil, err
	}
	if c.Previous != nil { // it checks who deals
		if _, err := record.NewCeremony(plan, c.Previous); err != nil {
			return nil, err
		}
	}
	if err := t.plan(plan); err != nil {
		return nil, err
	}
	return plan, nil
}

// reshare takes over what does not change when a key is passed on.
func (c PlanConfig) reshare(p *record.Plan) {
	old := c.Previous.Plan
	p.Archive, p.Origin, p.Epoch, p.Previous = old.Archive, old.Origin, old.Epoch+1, c.Previous.Hash()
	p.DealerKey, p.Dealers = nil, slices.Sorted(slices.Values(c.Dealers))
	if len(p.Recipients) == 0 {
		p.Recipients = old.Recipients
	}
}

func recipients(business, legal []*RecipientCard) []record.Recipient {
	var out []record.Recipient
	add := func(cards []*RecipientCard, use record.Uses) {
		for _, r := range cards {
			i := slices.IndexFunc(out, func(o record.Recipient) bool { return o.Certificate.Equal(r.Certificate) })
			if i < 0 {
				i = len(out)
				out = append(out, record.Recipient{Person: r.Person, Name: r.Name, Certificate: r.Certificate})
			}
			out[i].Uses |= use
		}
	}
	add(business, record.UseBusiness)
	add(legal, record.UseLegal)
	return out
}

// chains returns all issuing certificates that came with cards.
func (c PlanConfig) chains() (out []*x509.Certificate) {
	for _, a := range c.Agents {
		out = append(out, a.Chain...)
	}
	for _, r := range append(slices.Clone(c.Business), c.Legal...) {
		out = append(out, r.Chain...)
	}
	return out
}

// issuers drops roots and repetitions.
func issuers(certs []*x509.Certificate) (out []*x509.Certificate) {
	for _, c := range certs {
		if !isRoot(c) && !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	return out
}
