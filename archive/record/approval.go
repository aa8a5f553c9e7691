package record

import (
	"crypto"
	"slices"
	"time"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrApproval is returned for an approval that does not count.
var ErrApproval = fault.New(fault.Denied, "approval-not-acceptable", "This approval does not count.")

const (
	// MaxComment is the length of an agent's remark in bytes.
	MaxComment  = 2000
	maxApproval = 1 << 18
)

// Decision is an agent's answer.
type Decision uint8

const (
	Approve Decision = 1
	Deny    Decision = 2
)

// String returns the decision's name.
func (d Decision) String() string {
	switch d {
	case Approve:
		return "approve"
	case Deny:
		return "deny"
	}
	return "unknown"
}

// Sealing names the partials that an agent sealed for one delivery.
type Sealing struct {
	Recipient Hash // fingerprint
	Sealed    Hash // SHA-256 of the CMS
	Partials  Hash // SHA-256 of what is in it: with it a recipient can show others what an agent really sent
}

// Approval is an agent's answer to a case.
type Approval struct {
	Case     Hash
	Roster   Hash
	Epoch    uint32
	Agent    uint16
	Decision Decision
	Time     time.Time
	Comment  string    // may have several lines, may be empty
	Sealings []Sealing // one per delivery, in the order of the case; none in a denial
}

// SignedApproval is an approval with the agent's signature.
type SignedApproval struct {
	Approval
	Signature Signature

	raw []byte
}

// Bytes returns the canonical bytes.
func (s *SignedApproval) Bytes() []byte { return s.raw }

// Hash names the approval: what the agent signed.
func (s *SignedApproval) Hash() Hash { return digest(s.Approval.statement().b) }

func (a Approval) statement() *writer {
	w := newWriter(kindApproval)
	w.raw(a.Case[:])
	w.raw(a.Roster[:])
	w.u32(a.Epoch)
	w.u16(a.Agent)
	w.u8(uint8(a.Decision))
	w.time(a.Time)
	w.line(a.Comment)
	w.count16(len(a.Sealings))
	for _, s := range a.Sealings {
		w.raw(s.Recipient[:])
		w.raw(s.Sealed[:])
		w.raw(s.Partials[:])
	}
	return w
}

// ParseApproval reads canonical bytes. It does not verify the signature.
func ParseApproval(b []byte) (*SignedApproval, error) {
	r := newReader(b, kindApproval, maxApproval)
	s := &SignedApproval{Approval: Approval{
		Case: r.hash("case"), Roster: r.hash("roster"), Epoch: r.u32("epoch"), Agent: r.u16("agent"),
		Decision: Decision(r.u8("decision")), Time: r.time("time"), Comment: r.text("comment", MaxComment, checkText),
	}}
	for range r.count16("list of sealings", MaxDeliveries, 96) {
		s.Sealings = append(s.Sealings, Sealing{r.hash("recipient"), r.hash("sealed partials"), r.hash("partials")})
	}
	s.Signature = r.signature()
	if s.Agent == 0 || s.Epoch == 0 {
		r.fail("agent or epoch", "is missing")
	}
	switch {
	case s.Decision != Approve && s.Decision != Deny:
		r.fail("decision", "is not known")
	case (s.Decision == Approve) != (len(s.Sealings) > 0):
		r.fail("list of sealings", "does not fit the decision")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.raw = append([]byte(nil), b...)
	return s, nil
}

// Verify checks everything about an approval that is public: that it answers this case and roster, by an agent who may,
// in time, for the case's recipients, and the agent's signature. The roster has been verified against its pin.
func (s *SignedApproval) Verify(r *Roster, c *SignedCase) error {
	if err := c.CheckRoster(r); err != nil {
		return err
	}
	if s.Case != c.Hash() || s.Roster != r.Hash() || s.Epoch != r.Epoch() {
		return ErrApproval.Withf("This approval answers another case, or was given in another epoch.")
	}
	a, ok := r.Plan.Agent(s.Agent)
	if !ok {
		return ErrApproval.Withf("There is no agent %d in this roster.", s.Agent)
	}
	if err := s.Signature.verify(a.Signing.PublicKey, s.Approval.statement().b); err != nil {
		return ErrApproval.Withf("The signature of agent %d (%s) does not hold.", s.Agent, a.Name).Because(err)
	}
	if err := c.CheckApprover(r, s.Agent); err != nil {
		return err
	}
	if err := c.CheckTime(s.Time); err != nil {
		return err
	}
	if s.Decision == Approve && !slices.EqualFunc(s.Sealings, c.Deliveries, func(x Sealing, d Delivery) bool { return x.Recipient == Fingerprint(d.Recipient) }) {
		return ErrApproval.Withf("This approval is for other recipients than the case.")
	}
	return nil
}

// Approving is what an agent's tool has after its human decided.
type Approving struct {
	Bundles []*Bundle       // every delivery of the case, in its order
	Share   threshold.Share // of this agent, from Roster.OpenShare; the caller erases it
	Signer  crypto.Signer   // the key of the agent's signature certificate
	Time    time.Time
	Comment string
}

// Approve makes the partial decryptions of a whole case, seals them to its recipients and signs.
func (a Approving) Approve() (*Answer, error) {
	if len(a.Bundles) == 0 || len(a.Bundles) != len(a.Bundles[0].Case.Deliveries) {
		return nil, ErrApproval.Withf("An approval is for the whole case.")
	}
	r, c := a.Bundles[0].Roster, a.Bundles[0].Case
	if err := c.CheckApprover(r, a.Share.Agent); err != nil {
		return nil, err
	}
	if err := c.CheckTime(a.Time.Truncate(time.Second)); err != nil {
		return nil, err
	}
	answer := &Answer{}
	approval := Approval{Case: c.Hash(), Roster: r.Hash(), Epoch: r.Epoch(), Agent: a.Share.Agent, Decision: Approve, Time: a.Time, Comment: a.Comment}
	for i, b := range a.Bundles {
		if b.Case.Hash() != approval.Case || b.Roster.Hash() != approval.Roster || b.Delivery != i {
			return nil, ErrApproval.Withf("An approval is for the whole case, each delivery once.")
		}
		sealed, s, err := b.sealPartials(a.Share)
		if err != nil {
			return nil, err
		}
		answer.Sealed, approval.Sealings = append(answer.Sealed, sealed), append(approval.Sealings, s)
	}
	var err error
	answer.Approval, err = approval.sign(r, c, a.Signer)
	return answer, err
}

func (b *Bundle) sealPartials(share threshold.Share) ([]byte, Sealing, error) {
	raw, err := b.partials(share)
	if err != nil {
		return nil, Sealing{}, err
	}
	defer clear(raw)
	sealed, err := sealTo(raw, b.Case.Deliveries[b.Delivery].Recipient)
	if err != nil {
		return nil, Sealing{}, err
	}
	return sealed, Sealing{Recipient: b.recipient(), Sealed: hashOf(sealed), Partials: hashOf(raw)}, nil
}

// NewDenial makes an agent's no.
func NewDenial(r *Roster, c *SignedCase, agent uint16, signer crypto.Signer, now time.Time, comment string) (*SignedApproval, error) {
	a := Approval{Case: c.Hash(), Roster: r.Hash(), Epoch: r.Epoch(), Agent: agent, Decision: Deny, Time: now, Comment: comment}
	return a.sign(r, c, signer)
}

func (a Approval) sign(r *Roster, c *SignedCase, signer crypto.Signer) (*SignedApproval, error) {
	b, err := signMessage(a.statement(), signer)
	if err != nil {
		return nil, err
	}
	s, err := ParseApproval(b)
	if err != nil {
		return nil, err
	}
	return s, s.Verify(r, c)
}
