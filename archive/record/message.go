package record

import (
	"github.com/sealpost/sealpost/archive/threshold"
)

const (
	maxMessage = 1 << 25
)

// commitMessage is round 1: a dealer binds itself to commitments that it does not show yet, so that nobody can choose
// theirs after seeing the others'.
type commitMessage struct {
	plan       Hash
	dealer     uint16
	commitment Hash // of the commitments, see dealingHash
	signature  Signature
}

// revealMessage is round 2: the commitments, and for every agent a sub-share, sealed.
type revealMessage struct {
	plan        Hash
	dealer      uint16
	round1      Hash // of all commit messages
	commitments threshold.Commitments
	sealed      [][]byte // in the order of the plan's agents
	signature   Signature
}

// acknowledgement is round 3: an agent has verified everything, has its share and has sealed it to itself.
type acknowledgement struct {
	core      Hash // of the roster's beginning
	agent     uint16
	sealed    []byte
	signature Signature
}

// dealingHash is what a commit message commits to.
func dealingHash(plan Hash, dealer uint16, c threshold.Commitments) Hash {
	return labelled(labelDealing, plan[:], []byte{byte(dealer >> 8), byte(dealer)}, c.Bytes())
}

func (m *commitMessage) statement() *writer {
	w := newWriter(kindCommit)
	w.raw(m.plan[:])
	w.u16(m.dealer)
	w.raw(m.commitment[:])
	return w
}

func parseCommit(b []byte) (*commitMessage, error) {
	r := newReader(b, kindCommit, maxMessage)
	m := &commitMessage{plan: r.hash("plan"), dealer: r.u16("dealer"), commitment: r.hash("commitment"), signature: r.signature()}
	if err := r.done(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *revealMessage) statement() *writer {
	w := newWriter(kindReveal)
	w.raw(m.plan[:])
	w.u16(m.dealer)
	w.raw(m.round1[:])
	w.count16(len(m.commitments))
	w.raw(m.commitments.Bytes())
	w.count16(len(m.sealed))
	for _, s := range m.sealed {
		w.blob32(s)
	}
	return w
}

func parseReveal(b []byte) (*revealMessage, error) {
	r := newReader(b, kindReveal, maxMessage)
	m := &revealMessage{plan: r.hash("plan"), dealer: r.u16("dealer"), round1: r.hash("round 1")}
	m.commitments = r.points("commitments", r.count16("list of commitments", threshold.MaxAgents, threshold.PointSize))
	for range r.count16("list of sub-shares", threshold.MaxAgents, 4) {
		m.sealed = append(m.sealed, append([]byte(nil), r.blob32("sub-share", maxSealed)...))
	}
	m.signature = r.signature()
	if err := r.done(); err != nil {
		return nil, err
	}
	return m, nil
}

// acknowledgeStatement is what an agent signs, in its acknowledgement and so in the roster.
func acknowledgeStatement(core Hash, agent uint16, sealed []byte) []byte {
	w := newWriter(kindAcknowledge)
	w.raw(core[:])
	w.u16(agent)
	w.blob32(sealed)
	return w.b
}

func parseAcknowledgement(b []byte) (*acknowledgement, error) {
	r := newReader(b, kindAcknowledge, maxMessage)
	m := &acknowledgement{core: r.hash("roster"), agent: r.u16("agent")}
	m.sealed = append([]byte(nil), r.blob32("sealed share", maxSealed)...)
	m.signature = r.signature()
	if err := r.done(); err != nil {
		return nil, err
	}
	return m, nil
}
