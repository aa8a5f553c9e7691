package record

import (
	"github.com/sealpost/sealpost/archive/threshold"
)

const maxState = 1 << 28

// Save writes the ceremony down, for continuing it later on the same machine. On a dealer's machine between rounds 1
// and 2 it contains the dealer's secret: the caller seals it before it touches a disk, and erases it.
func (c *Ceremony) Save() ([]byte, error) {
	messages := c.Messages()
	n := len(c.plan.raw) + int(c.plan.Threshold)*threshold.ScalarSize + 64
	for _, m := range messages {
		n += len(m) + 4
	}
	w := newWriterFor(kindState, n)
	w.blob32(c.plan.raw)
	w.flag(c.polynomial != nil)
	if c.polynomial != nil {
		w.u16(c.dealer)
		secret := c.polynomial.Coefficients()
		if c.bytes[sender{kindReveal, c.dealer}] != nil {
			secret = nil // no longer needed, and erased
		}
		w.count16(len(secret))
		for _, s := range secret {
			b := s.Bytes()
			w.raw(b)
			clear(b)
		}
	}
	w.count16(len(messages))
	for _, m := range messages {
		w.blob32(m)
	}
	return w.b, w.err
}

// ResumeCeremony reads what Save wrote. previous is as for NewCeremony. Every message is checked again.
func ResumeCeremony(state []byte, previous *Roster) (*Ceremony, error) {
	r := newReader(state, kindState, maxState)
	plan := r.blob32("plan", maxPlan)
	if r.err != nil {
		return nil, r.err
	}
	p, err := ParsePlan(plan)
	if err != nil {
		return nil, err
	}
	c, err := NewCeremony(p, previous)
	if err != nil {
		return nil, err
	}
	if r.flag("secret") {
		c.readSecret(r)
	}
	for range r.count16("list of messages", 3*threshold.MaxAgents, 4) {
		m := r.blob32("message", maxMessage)
		if r.err == nil {
			r.err = c.Add(m)
		}
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return c, c.checkSecret()
}

func (c *Ceremony) readSecret(r *reader) {
	c.dealer = r.u16("dealer")
	c.polynomial = &threshold.Polynomial{}
	var secret []threshold.Scalar
	for range r.count16("secret", threshold.MaxAgents, threshold.ScalarSize) {
		secret = append(secret, r.scalar("secret"))
	}
	if r.err != nil || len(secret) == 0 {
		return
	}
	p, err := threshold.PolynomialOf(secret)
	if err != nil {
		r.failed("secret", err)
		return
	}
	c.polynomial = p
}

// checkSecret holds that the secret is the one the dealer committed to.
func (c *Ceremony) checkSecret() error {
	if c.polynomial == nil {
		return nil
	}
	m := c.commits[c.dealer]
	revealed := c.bytes[sender{kindReveal, c.dealer}] != nil
	if m == nil || revealed != (len(c.polynomial.Coefficients()) == 0) {
		return ErrFormat.Withf("This ceremony state does not fit its secret.")
	}
	if revealed {
		return nil
	}
	commitments, err := c.polynomial.Commit()
	if err != nil {
		return err
	}
	if dealingHash(c.plan.Hash(), c.dealer, commitments) != m.commitment {
		return ErrFormat.Withf("The secret is not the one that dealer %d committed to.", c.dealer)
	}
	return nil
}
