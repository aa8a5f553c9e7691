package record

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrDispute is returned for a dispute that does not count.
var ErrDispute = fault.New(fault.Denied, "dispute-not-acceptable", "This dispute does not count.")

const (
	// MaxDisputeReason is the length of a dispute's reason in bytes.
	MaxDisputeReason = 500
	maxDispute       = maxCertificate + maxSignature + 1024
)

// Dispute is a recipient's word that what one agent sealed to it does not open, or is wrong. Nobody else can see that:
// with it the agent is named, and another one is asked. The agent's approval stands beside it with the hash of what it
// really sealed, so that who of the two is wrong can be found out by the agent's opening or the recipient's showing it.
type Dispute struct {
	Case        Hash
	Roster      Hash
	Agent       uint16
	Recipient   Hash // fingerprint, of one of the case's deliveries
	Sealed      Hash // SHA-256 of the CMS, as the agent's approval names it
	Time        time.Time
	Reason      string            // one line, required
	Certificate *x509.Certificate // with whose key it is signed: the requester's in a restore or drill, else one of the recipient's person
}

// SignedDispute is a dispute with its signature.
type SignedDispute struct {
	Dispute
	Signature Signature

	raw []byte
}

// Bytes returns the canonical bytes.
func (s *SignedDispute) Bytes() []byte { return s.raw }

// Hash names the dispute: what was signed.
func (s *SignedDispute) Hash() Hash { return digest(s.Dispute.statement().b) }

func (d Dispute) statement() *writer {
	w := newWriter(kindDispute)
	w.raw(d.Case[:])
	w.raw(d.Roster[:])
	w.u16(d.Agent)
	w.raw(d.Recipient[:])
	w.raw(d.Sealed[:])
	w.time(d.Time)
	w.line(d.Reason)
	w.certificate(d.Certificate)
	return w
}

// Sign signs the dispute with the key of its certificate.
func (d Dispute) Sign(signer crypto.Signer) (*SignedDispute, error) {
	b, err := signMessage(d.statement(), signer)
	if err != nil {
		return nil, err
	}
	s, err := ParseDispute(b)
	if err != nil {
		return nil, err
	}
	return s, s.verifySignature()
}

// ParseDispute reads canonical bytes. It does not verify the signature.
func ParseDispute(b []byte) (*SignedDispute, error) {
	r := newReader(b, kindDispute, maxDispute)
	s := &SignedDispute{Dispute: Dispute{
		Case: r.hash("case"), Roster: r.hash("roster"), Agent: r.u16("agent"), Recipient: r.hash("recipient"), Sealed: r.hash("sealed partials"),
		Time: r.time("time"), Reason: r.line("reason", MaxDisputeReason), Certificate: r.certificate("certificate"),
	}}
	s.Signature = r.signature()
	if s.Case.IsZero() || s.Roster.IsZero() || s.Recipient.IsZero() || s.Sealed.IsZero() || s.Agent == 0 {
		r.fail("case, roster, agent, recipient or sealed partials", "is missing")
	}
	if s.Reason == "" {
		r.fail("reason", "is missing")
	}
	r.signs("certificate", s.Certificate)
	if err := r.done(); err != nil {
		return nil, err
	}
	s.raw = append([]byte(nil), b...)
	return s, nil
}

func (s *SignedDispute) verifySignature() error {
	if err := s.Signature.verify(s.Certificate.PublicKey, s.Dispute.statement().b); err != nil {
		return ErrDispute.Withf("The signature of this dispute does not hold.").Because(err)
	}
	return nil
}

// Verify checks everything about a dispute that is public: that it is about an agent and a recipient of this case, not
// from before the case, and its signature; in a restore or drill also that the requester signed it. Otherwise whether
// the certificate is the recipient's person's is the caller's to check. The roster has been verified against its pin.
func (s *SignedDispute) Verify(r *Roster, c *SignedCase) error {
	if err := c.CheckRoster(r); err != nil {
		return err
	}
	if s.Case != c.Hash() || s.Roster != r.Hash() {
		return ErrDispute.Withf("This dispute is about another case or roster.")
	}
	if _, ok := r.Plan.Agent(s.Agent); !ok {
		return ErrDispute.Withf("There is no agent %d in this roster.", s.Agent)
	}
	if !slices.ContainsFunc(c.Deliveries, func(d Delivery) bool { return Fingerprint(d.Recipient) == s.Recipient }) {
		return ErrDispute.Withf("This dispute is of another recipient than the case's.")
	}
	if s.Time.Before(c.Opened.Add(-ClockSkew)) {
		return ErrDispute.Withf("This dispute is older than the case.")
	}
	own := c.Kind == CaseRestore || c.Kind == CaseDrill
	if own && !bytes.Equal(s.Certificate.Raw, c.Requester.Certificate.Raw) {
		return ErrDispute.Withf("In a %s case the requester disputes, with the certificate that opened the case.", c.Kind)
	}
	return s.verifySignature()
}

// Concerns reports whether it is this approval's partials that are disputed. Both have been verified.
func (s *SignedDispute) Concerns(a *SignedApproval) bool {
	return a.Case == s.Case && a.Roster == s.Roster && a.Agent == s.Agent &&
		slices.ContainsFunc(a.Sealings, func(x Sealing) bool { return x.Recipient == s.Recipient && x.Sealed == s.Sealed })
}
