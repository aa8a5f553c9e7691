package record

import (
	"fmt"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

var (
	// ErrCeremony is returned for a step that is not due, or a message of another ceremony.
	ErrCeremony = fault.New(fault.Conflict, "ceremony-step", "This does not fit the state of the ceremony.")
	// ErrDealer is returned when a dealer's message is wrong; the detail names the dealer. The ceremony is then given up
	// and begun anew without it.
	ErrDealer = fault.New(fault.Denied, "ceremony-dealer", "A dealer's message is wrong.")
	// ErrAgent is returned when an agent's acknowledgement is wrong; the detail names the agent.
	ErrAgent = fault.New(fault.Denied, "ceremony-agent", "An agent's acknowledgement is wrong.")
)

// Round is what a ceremony waits for.
type Round int

const (
	RoundCommit      Round = 1 // every dealer binds itself
	RoundReveal      Round = 2 // every dealer deals
	RoundAcknowledge Round = 3 // every agent checks and signs
	RoundDone        Round = 4 // the roster can be written
)

// Ceremony is one view of the making of a roster: the plan and the messages so far, and, on a dealer's own machine, the
// dealer's secret. It is the same for a new key made by all agents, for a key dealt by one machine, and for a reshare.
// A notice board uses Add, Missing and Messages alone; tools on people's machines also Commit, Reveal and Acknowledge.
//
// Messages may come in any order within a round and any number of times. A message that contradicts an earlier one of
// the same sender is refused and its sender named: somebody shows different things to different people.
//
// A Ceremony is for one goroutine.
type Ceremony struct {
	plan     *Plan
	previous *Roster

	commits map[uint16]*commitMessage
	reveals map[uint16]*revealMessage
	acks    map[uint16]*acknowledgement
	bytes   map[sender][]byte // as received

	core       Hash                  // zero until every dealer has dealt
	dealer     uint16                // whose secret it is
	polynomial *threshold.Polynomial // nil without a secret
}

// sender is who sent which kind of message.
type sender struct {
	kind kind
	id   uint16
}

// NewCeremony begins a ceremony. previous is the verified roster that is reshared, and nil for a new key.
func NewCeremony(plan *Plan, previous *Roster) (*Ceremony, error) {
	if plan.IsReshare() != (previous != nil) {
		return nil, ErrCeremony.Withf("A reshare, and nothing else, needs the previous roster.")
	}
	if previous != nil {
		if err := checkSuccession(plan, previous); err != nil {
			return nil, err
		}
	}
	return &Ceremony{
		plan: plan, previous: previous, commits: map[uint16]*commitMessage{}, reveals: map[uint16]*revealMessage{},
		acks: map[uint16]*acknowledgement{}, bytes: map[sender][]byte{},
	}, nil
}

func checkSuccession(plan *Plan, previous *Roster) error {
	switch {
	case plan.Previous != previous.Hash():
		return ErrCeremony.Withf("The plan reshares another roster than the one given.")
	case plan.Epoch != previous.Epoch()+1:
		return ErrCeremony.Withf("The plan has epoch %d, the next one is %d.", plan.Epoch, previous.Epoch()+1)
	case plan.Origin != previous.Plan.Origin:
		return ErrCeremony.Withf("The plan claims another origin of the archive's key.")
	case len(plan.Dealers) < int(previous.Plan.Threshold):
		return ErrCeremony.Withf("%d old agents must deal, the plan has %d.", previous.Plan.Threshold, len(plan.Dealers))
	}
	for _, d := range plan.Dealers {
		if _, ok := previous.Plan.Agent(d); !ok {
			return ErrCeremony.Withf("Dealer %d is no agent of the previous roster.", d)
		}
	}
	return nil
}

// Plan returns the plan.
func (c *Ceremony) Plan() *Plan { return c.plan }

// Missing returns the round that is under way and the ids of the dealers (rounds 1 and 2) or agents (round 3) whose
// messages are still missing.
func (c *Ceremony) Missing() (Round, []uint16) {
	var ids []uint16
	for _, round := range []Round{RoundCommit, RoundReveal, RoundAcknowledge} {
		for _, s := range c.senders(round) {
			if c.bytes[s] == nil {
				ids = append(ids, s.id)
			}
		}
		if len(ids) > 0 {
			return round, ids
		}
	}
	return RoundDone, nil
}

// senders returns who sends in a round, in the order of the plan.
func (c *Ceremony) senders(round Round) []sender {
	var out []sender
	switch round {
	case RoundCommit, RoundReveal:
		k := kindCommit
		if round == RoundReveal {
			k = kindReveal
		}
		for _, d := range c.plan.Dealers {
			out = append(out, sender{k, d})
		}
	case RoundAcknowledge:
		for _, a := range c.plan.Agents {
			out = append(out, sender{kindAcknowledge, a.ID})
		}
	}
	return out
}

// Messages returns all messages so far, in an order in which Add takes them.
func (c *Ceremony) Messages() [][]byte {
	var out [][]byte
	for _, round := range []Round{RoundCommit, RoundReveal, RoundAcknowledge} {
		for _, s := range c.senders(round) {
			if b := c.bytes[s]; b != nil {
				out = append(out, b)
			}
		}
	}
	return out
}

// record keeps a checked message, once.
func (c *Ceremony) record(s sender, message []byte) { c.bytes[s] = append([]byte(nil), message...) }

func (c *Ceremony) name(s sender) string {
	plan := c.plan
	who := "agent"
	if s.kind != kindAcknowledge {
		who = "dealer"
		if c.previous != nil {
			plan = c.previous.Plan
		}
	}
	if a, ok := plan.Agent(s.id); ok {
		return fmt.Sprintf("%s %d (%s)", who, s.id, a.Name)
	}
	return fmt.Sprintf("%s %d", who, s.id)
}

// all returns the messages of a round, each with its length, for hashing.
func (c *Ceremony) all(round Round) ([]byte, error) {
	w := &writer{}
	for _, s := range c.senders(round) {
		if c.bytes[s] == nil {
			return nil, ErrCeremony.Withf("The %s of %s is still missing.", kindNames[s.kind], c.name(s))
		}
		w.blob32(c.bytes[s])
	}
	return w.b, w.err
}

func (c *Ceremony) round1() (Hash, error) {
	b, err := c.all(RoundCommit)
	if err != nil {
		return Hash{}, err
	}
	plan := c.plan.Hash()
	return labelled(labelRound1, plan[:], b), nil
}

func (c *Ceremony) transcript() (Hash, error) {
	b1, err := c.all(RoundCommit)
	if err != nil {
		return Hash{}, err
	}
	b2, err := c.all(RoundReveal)
	if err != nil {
		return Hash{}, err
	}
	plan := c.plan.Hash()
	return labelled(labelTranscript, plan[:], b1, b2), nil
}

// joint adds up what the dealers revealed.
func (c *Ceremony) joint() (*threshold.Joint, error) {
	var old *threshold.Old
	if c.previous != nil {
		old = &threshold.Old{T: int(c.previous.Plan.Threshold), Key: c.previous.Key(), Public: c.previous.Public()}
	}
	var dealings []threshold.Dealing
	for _, d := range c.plan.Dealers {
		m := c.reveals[d]
		if m == nil {
			return nil, ErrCeremony.Withf("The reveal message of %s is still missing.", c.name(sender{kindReveal, d}))
		}
		dealings = append(dealings, threshold.Dealing{Dealer: d, Commitments: m.commitments})
	}
	return threshold.Join(c.plan.Size(), dealings, old)
}

// roster makes the part of the roster that everybody computes alike.
func (c *Ceremony) roster() (*Roster, error) {
	transcript, err := c.transcript()
	if err != nil {
		return nil, err
	}
	j, err := c.joint()
	if err != nil {
		return nil, err
	}
	r := &Roster{Plan: c.plan, Transcript: transcript, Commitments: j.Commitments(), Members: make([]Member, len(c.plan.Agents))}
	for i, a := range c.plan.Agents {
		if r.Members[i].Public, err = r.Commitments.PublicShare(a.ID); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// rosterCore returns the hash that every agent signs. It is computed once: when every dealer has dealt, nothing that
// goes into it can change any more.
func (c *Ceremony) rosterCore() (Hash, error) {
	if !c.core.IsZero() {
		return c.core, nil
	}
	r, err := c.roster()
	if err != nil {
		return Hash{}, err
	}
	core := r.core()
	if core.err != nil {
		return Hash{}, core.err
	}
	c.core = hashOf(core.b)
	return c.core, nil
}

// Roster writes the roster once every agent has acknowledged. Its hash is what is pinned.
func (c *Ceremony) Roster() (*Roster, error) {
	if round, ids := c.Missing(); round != RoundDone {
		return nil, ErrCeremony.Withf("Round %d is not complete: %d messages are missing.", round, len(ids))
	}
	r, err := c.roster()
	if err != nil {
		return nil, err
	}
	for i, a := range c.plan.Agents {
		r.Members[i].Sealed, r.Members[i].Signature = c.acks[a.ID].sealed, c.acks[a.ID].signature
	}
	b, err := r.encode()
	if err != nil {
		return nil, err
	}
	done, err := ParseRoster(b)
	if err != nil {
		return nil, err
	}
	if c.previous != nil {
		if err := done.VerifySuccessor(c.previous); err != nil {
			return nil, err
		}
	}
	return done, done.verifyContent(c.plan.SingleAgentMayOpenAlone)
}
