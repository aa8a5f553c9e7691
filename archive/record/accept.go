package record

import (
	"bytes"
	"crypto"
)

// Add takes a message that somebody sent, after checking all that everybody can check.
func (c *Ceremony) Add(message []byte) error {
	if len(message) < 2 {
		return ErrFormat.Withf("This is no message of a ceremony.")
	}
	switch kind(message[1]) {
	case kindCommit:
		return c.addCommit(message)
	case kindReveal:
		return c.addReveal(message)
	case kindAcknowledge:
		return c.addAcknowledgement(message)
	}
	return ErrFormat.Withf("This is no message of a ceremony.")
}

// known reports whether exactly this message is already there.
func (c *Ceremony) known(s sender, message []byte) bool { return bytes.Equal(c.bytes[s], message) }

// contradicts names a sender of whom there is another message. The signature of this one has been verified.
func (c *Ceremony) contradicts(s sender) error {
	if c.bytes[s] == nil {
		return nil
	}
	e := ErrDealer
	if s.kind == kindAcknowledge {
		e = ErrAgent
	}
	return e.Withf("Two different messages (%s) came from %s. Somebody shows different things to different people.", kindNames[s.kind], c.name(s))
}

// dealerPublic returns the key with which a dealer signs.
func (c *Ceremony) dealerPublic(id uint16) (crypto.PublicKey, error) {
	for _, d := range c.plan.Dealers {
		if d != id {
			continue
		}
		if id == 0 {
			return c.plan.dealerKey()
		}
		plan := c.plan
		if c.previous != nil {
			plan = c.previous.Plan
		}
		if a, ok := plan.Agent(id); ok {
			return a.Signing.PublicKey, nil
		}
	}
	return nil, ErrCeremony.Withf("There is no dealer %d in this ceremony.", id)
}

func (c *Ceremony) checkDealer(plan Hash, s sender, sig Signature, statement *writer) error {
	if plan != c.plan.Hash() {
		return ErrCeremony.Withf("This message belongs to another plan.")
	}
	if statement.err != nil {
		return statement.err
	}
	public, err := c.dealerPublic(s.id)
	if err != nil {
		return err
	}
	if err := sig.verify(public, statement.b); err != nil {
		return ErrDealer.Withf("The signature of %s does not hold.", c.name(s)).Because(err)
	}
	return c.contradicts(s)
}

func (c *Ceremony) addCommit(message []byte) error {
	m, err := parseCommit(message)
	if err != nil {
		return err
	}
	s := sender{kindCommit, m.dealer}
	if c.known(s, message) {
		return nil
	}
	if err := c.checkDealer(m.plan, s, m.signature, m.statement()); err != nil {
		return err
	}
	c.commits[m.dealer] = m
	c.record(s, message)
	return nil
}

func (c *Ceremony) addReveal(message []byte) error {
	m, err := parseReveal(message)
	if err != nil {
		return err
	}
	s := sender{kindReveal, m.dealer}
	if c.known(s, message) {
		return nil
	}
	if err := c.checkDealer(m.plan, s, m.signature, m.statement()); err != nil {
		return err
	}
	round1, err := c.round1()
	if err != nil {
		return err
	}
	switch {
	case m.round1 != round1:
		return ErrDealer.Withf("%s saw other messages of round 1.", c.name(s))
	case dealingHash(m.plan, m.dealer, m.commitments) != c.commits[m.dealer].commitment:
		return ErrDealer.Withf("%s reveals other commitments than those it was bound to.", c.name(s))
	case len(m.commitments) != int(c.plan.Threshold) || len(m.sealed) != len(c.plan.Agents):
		return ErrDealer.Withf("%s does not deal to this plan's agents and threshold.", c.name(s))
	case c.previous != nil && m.commitments[0] != c.previous.Public()[m.dealer]:
		return ErrDealer.Withf("%s does not share its own old share.", c.name(s))
	}
	c.reveals[m.dealer] = m
	c.record(s, message)
	return nil
}

func (c *Ceremony) addAcknowledgement(message []byte) error {
	m, err := parseAcknowledgement(message)
	if err != nil {
		return err
	}
	s := sender{kindAcknowledge, m.agent}
	if c.known(s, message) {
		return nil
	}
	a, ok := c.plan.Agent(m.agent)
	if !ok {
		return ErrCeremony.Withf("There is no agent %d in this ceremony.", m.agent)
	}
	core, err := c.rosterCore()
	if err != nil {
		return err
	}
	if m.core != core {
		return ErrAgent.Withf("%s saw another plan or other messages.", c.name(s))
	}
	if err := m.signature.verify(a.Signing.PublicKey, acknowledgeStatement(m.core, m.agent, m.sealed)); err != nil {
		return ErrAgent.Withf("The signature of %s does not hold.", c.name(s)).Because(err)
	}
	if err := c.contradicts(s); err != nil {
		return err
	}
	c.acks[m.agent] = m
	c.record(s, message)
	return nil
}
