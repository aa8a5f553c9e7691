package record

import (
	"crypto"
	"slices"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// Commit is round 1 on a dealer's machine: it draws the dealer's polynomial, keeps it, and returns the message to send.
// share is the dealer's old share in a reshare (from Roster.OpenShare of the previous roster; the caller erases it) and
// zero otherwise. dealer 0 is the machine of the dealer mode. Save the ceremony before sending.
func (c *Ceremony) Commit(dealer uint16, share threshold.Share, signer crypto.Signer) ([]byte, error) {
	if !slices.Contains(c.plan.Dealers, dealer) {
		return nil, ErrCeremony.Withf("There is no dealer %d in this ceremony.", dealer)
	}
	if c.previous != nil && share.Agent != dealer {
		return nil, ErrCeremony.Withf("Dealer %d reshares its own old share.", dealer)
	}
	if c.previous == nil && share != (threshold.Share{}) {
		return nil, ErrCeremony.Withf("A new key is made of no old share.")
	}
	if c.polynomial != nil {
		return c.again(dealer, kindCommit)
	}
	if c.bytes[sender{kindCommit, dealer}] != nil {
		return nil, ErrCeremony.Withf("Dealer %d has already sent a message, but its secret is not here.", dealer)
	}
	p, err := threshold.NewPolynomial(int(c.plan.Threshold), share.Scalar)
	if err != nil {
		return nil, err
	}
	return c.commit(dealer, p, signer)
}

// commit binds the dealer to a polynomial; test vectors fix it.
func (c *Ceremony) commit(dealer uint16, p *threshold.Polynomial, signer crypto.Signer) ([]byte, error) {
	commitments, err := p.Commit()
	if err != nil {
		return nil, err
	}
	if c.previous != nil && commitments[0] != c.previous.Public()[dealer] {
		return nil, ErrCeremony.Withf("This is not the old share of dealer %d.", dealer)
	}
	m := &commitMessage{plan: c.plan.Hash(), dealer: dealer}
	m.commitment = dealingHash(m.plan, dealer, commitments)
	message, err := signMessage(m.statement(), signer)
	if err != nil {
		return nil, err
	}
	if err := c.Add(message); err != nil {
		return nil, err
	}
	c.dealer, c.polynomial = dealer, p
	return message, nil
}

// again returns a message that this machine has already made: making another would contradict it.
func (c *Ceremony) again(dealer uint16, k kind) ([]byte, error) {
	b := c.bytes[sender{k, dealer}]
	if dealer != c.dealer || b == nil {
		return nil, ErrCeremony.Withf("On this machine dealer %d has dealt.", c.dealer)
	}
	return b, nil
}

// Reveal is round 2 on the machine that did round 1, once every dealer's first message is there: it seals a sub-share
// to every agent and returns the message to send. The secret is erased.
func (c *Ceremony) Reveal(signer crypto.Signer) ([]byte, error) {
	if c.polynomial == nil {
		return nil, ErrCeremony.Withf("The first round was not done on this machine.")
	}
	if c.bytes[sender{kindReveal, c.dealer}] != nil {
		return c.again(c.dealer, kindReveal)
	}
	m := &revealMessage{plan: c.plan.Hash(), dealer: c.dealer}
	var err error
	if m.round1, err = c.round1(); err != nil {
		return nil, err
	}
	if m.commitments, err = c.polynomial.Commit(); err != nil {
		return nil, err
	}
	for _, a := range c.plan.Agents {
		sealed, err := c.sealSubShare(m.plan, a)
		if err != nil {
			return nil, err
		}
		m.sealed = append(m.sealed, sealed)
	}
	message, err := signMessage(m.statement(), signer)
	if err != nil {
		return nil, err
	}
	if err := c.Add(message); err != nil {
		return nil, err
	}
	c.polynomial.Wipe()
	return message, nil
}

func (c *Ceremony) sealSubShare(plan Hash, a Agent) ([]byte, error) {
	share, err := c.polynomial.Share(a.ID)
	if err != nil {
		return nil, err
	}
	defer share.Scalar.Wipe()
	return sealShare(kindSubShare, plan, []uint16{c.dealer, a.ID}, share.Scalar, a.Decryption)
}

// Acknowledge is round 3 on an agent's machine, once every dealer has dealt: it opens and verifies the agent's
// sub-shares, seals the share they add up to, and signs everything that was seen. A dealer whose sub-share is wrong is
// named. The agent's decryption key is used once per dealer.
func (c *Ceremony) Acknowledge(agent uint16, key cms.Recipient, signer crypto.Signer) ([]byte, error) {
	if b := c.bytes[sender{kindAcknowledge, agent}]; b != nil {
		return b, nil
	}
	a, ok := c.plan.Agent(agent)
	if !ok {
		return nil, ErrCeremony.Withf("There is no agent %d in this ceremony.", agent)
	}
	core, err := c.rosterCore()
	if err != nil {
		return nil, err
	}
	share, err := c.openSubShares(a, key)
	if err != nil {
		return nil, err
	}
	defer share.Scalar.Wipe()
	sealed, err := sealShare(kindShare, core, []uint16{agent}, share.Scalar, a.Decryption)
	if err != nil {
		return nil, err
	}
	again, err := openShare(kindShare, core, []uint16{agent}, sealed, key)
	if err != nil {
		return nil, err
	}
	defer again.Wipe()
	if !again.Equal(share.Scalar) {
		return nil, ErrShare.Withf("The share that was just sealed opens to another.")
	}
	message, err := signMessage(&writer{b: acknowledgeStatement(core, agent, sealed)}, signer)
	if err != nil {
		return nil, err
	}
	return message, c.Add(message)
}

// openSubShares opens what every dealer sealed to the agent and adds it up.
func (c *Ceremony) openSubShares(a Agent, key cms.Recipient) (threshold.Share, error) {
	i := slices.IndexFunc(c.plan.Agents, func(b Agent) bool { return b.ID == a.ID })
	plan := c.plan.Hash()
	subs := make([]threshold.Scalar, 0, len(c.plan.Dealers))
	defer func() {
		for _, s := range subs {
			s.Wipe()
		}
	}()
	for _, d := range c.plan.Dealers {
		s, err := openShare(kindSubShare, plan, []uint16{d, a.ID}, c.reveals[d].sealed[i], key)
		if err != nil {
			return threshold.Share{}, ErrDealer.Withf("What %s sealed to agent %d cannot be opened.", c.name(sender{kindReveal, d}), a.ID).Because(err)
		}
		subs = append(subs, s)
	}
	j, err := c.joint()
	if err != nil {
		return threshold.Share{}, err
	}
	share, err := j.Share(a.ID, subs)
	if err != nil {
		return threshold.Share{}, ErrDealer.Withf("%s", detail(err)).Because(err)
	}
	return share, nil
}

// signMessage appends the signature to a statement.
func signMessage(w *writer, signer crypto.Signer) ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	s, err := sign(signer, w.b)
	if err != nil {
		return nil, err
	}
	w.signature(s)
	return w.b, w.err
}
