package record

import (
	"encoding/asn1"
	"slices"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

var (
	// ErrPin is returned for a roster that is not the one that was pinned: somebody may have exchanged it.
	ErrPin = fault.New(fault.Denied, "roster-pin", "This roster is not the one whose hash is pinned.")
	// ErrRoster is returned for a roster that contradicts itself or was not signed by all its agents.
	ErrRoster = fault.New(fault.Denied, "roster-invalid", "This roster was not made by its agents.")
	// ErrSingleAgent is returned for a roster whose agents each open alone, where that was not asked for.
	ErrSingleAgent = fault.New(fault.Denied, "roster-single-agent", "In this roster a single agent opens everything alone, which is not allowed here.")
)

const maxRoster = 1 << 26

// Member is what a roster keeps of one agent beyond the plan.
type Member struct {
	Public    threshold.Point // Y_i
	Sealed    []byte          // the share x_i, CMS to the agent's decryption certificate
	Signature Signature       // over the acknowledgement
}

// Roster says who can open the archive, and to which key new records are sealed. Its hash is pinned in the server's
// config and known to every agent, and covers every byte, signatures and sealed shares included.
type Roster struct {
	Plan        *Plan
	Transcript  Hash // of all messages of the ceremony
	Commitments threshold.Commitments
	Members     []Member // as Plan.Agents

	raw []byte
}

// Key returns Y, to which records are sealed. Only a roster that passed Verify may be used for that.
func (r *Roster) Key() threshold.Point { return r.Commitments[0] }

// KeyID returns the archive key's id, the same through every reshare.
func (r *Roster) KeyID() Hash { return threshold.KeyID(r.Key()) }

// Epoch counts the sharings of one key from 1.
func (r *Roster) Epoch() uint32 { return r.Plan.Epoch }

// Bytes returns the canonical bytes.
func (r *Roster) Bytes() []byte { return r.raw }

// Hash is the pin: SHA-256 of the whole file, as sha256sum prints it.
func (r *Roster) Hash() Hash { return hashOf(r.raw) }

// Public returns the public shares by agent.
func (r *Roster) Public() map[uint16]threshold.Point {
	out := make(map[uint16]threshold.Point, len(r.Members))
	for i, a := range r.Plan.Agents {
		out[a.ID] = r.Members[i].Public
	}
	return out
}

// ParseRoster reads canonical bytes. What it returns is not to be trusted before Verify.
func ParseRoster(b []byte) (*Roster, error) {
	r := newReader(b, kindRoster, maxRoster)
	plan := r.blob32("plan", maxPlan)
	if r.err != nil {
		return nil, r.err
	}
	p, err := ParsePlan(plan)
	if err != nil {
		return nil, err
	}
	o := &Roster{Plan: p, Transcript: r.hash("transcript"), Members: make([]Member, len(p.Agents))}
	o.Commitments = r.points("commitments", int(p.Threshold))
	for i := range o.Members {
		o.Members[i].Public = r.point("public share")
	}
	for i := range o.Members {
		m := &o.Members[i]
		m.Sealed = append([]byte(nil), r.blob32("sealed share", maxSealed)...)
		m.Signature = r.signature()
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	o.raw = append([]byte(nil), b...)
	return o, nil
}

// core is what every agent signs besides its own sealed share: the beginning of the file.
func (r *Roster) core() *writer {
	w := newWriter(kindRoster)
	w.blob32(r.Plan.raw)
	w.raw(r.Transcript[:])
	w.raw(r.Commitments.Bytes())
	for _, m := range r.Members {
		w.raw(m.Public.Bytes())
	}
	return w
}

func (r *Roster) encode() ([]byte, error) {
	w := r.core()
	for _, m := range r.Members {
		w.blob32(m.Sealed)
		w.signature(m.Signature)
	}
	return w.b, w.err
}

// VerifyOptions say what Verify accepts.
type VerifyOptions struct {
	Pins                    []Hash // the roster's hash is one of these; two during a change
	SingleAgentMayOpenAlone bool   // accept a threshold of one
}

// Verify checks the roster against the pins, and all that it says against itself: public shares against commitments and
// every agent's signature. That takes about half a millisecond; of a roster that has passed once, comparing Hash with the
// pin says the same. Chains, revocation, validity and extended key usages of the certificates are not checked.
func (r *Roster) Verify(opt VerifyOptions) error {
	if !slices.Contains(opt.Pins, r.Hash()) {
		return ErrPin.Withf("The roster has the hash %s, which is not pinned.", r.Hash())
	}
	return r.verifyContent(opt.SingleAgentMayOpenAlone)
}

func (r *Roster) verifyContent(single bool) error {
	if r.Plan.SingleAgentMayOpenAlone && !single {
		return ErrSingleAgent
	}
	core := r.core()
	if core.err != nil {
		return core.err
	}
	hash := hashOf(core.b)
	for i, a := range r.Plan.Agents {
		m := r.Members[i]
		y, err := r.Commitments.PublicShare(a.ID)
		if err != nil || y != m.Public {
			return ErrRoster.Withf("The public share of agent %d (%s) does not match the commitments.", a.ID, a.Name)
		}
		if err := m.Signature.verify(a.Signing.PublicKey, acknowledgeStatement(hash, a.ID, m.Sealed)); err != nil {
			return ErrRoster.Withf("The signature of agent %d (%s) does not hold.", a.ID, a.Name).Because(err)
		}
	}
	return nil
}

// VerifySuccessor checks that this roster is the reshare of a verified previous one: the same archive key, one epoch later.
func (r *Roster) VerifySuccessor(previous *Roster) error {
	switch {
	case r.Plan.Previous != previous.Hash():
		return ErrRoster.Withf("This roster was not made from that one.")
	case r.Key() != previous.Key() || r.Plan.Origin != previous.Plan.Origin:
		return ErrRoster.Withf("This roster is for another archive key.")
	case r.Epoch() != previous.Epoch()+1:
		return ErrRoster.Withf("This roster has epoch %d, the next one is %d.", r.Epoch(), previous.Epoch()+1)
	}
	return nil
}

// CheckUsages checks that every certificate carries the extended key usage of its role.
func (r *Roster) CheckUsages(signing, decryption, recipient asn1.ObjectIdentifier) error {
	for _, a := range r.Plan.Agents {
		if !hasUsage(a.Signing, signing) || !hasUsage(a.Decryption, decryption) {
			return ErrRoster.Withf("The certificates of agent %d (%s) were not issued for a recovery agent.", a.ID, a.Name)
		}
	}
	for _, c := range r.Plan.Recipients {
		if !hasUsage(c.Certificate, recipient) {
			return ErrRoster.Withf("The certificate of %s was not issued for a recipient of recovered keys.", c.Name)
		}
	}
	return nil
}
