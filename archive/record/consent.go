package record

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrConsent is returned for a consent that does not count.
var ErrConsent = fault.New(fault.Denied, "consent-not-acceptable", "This consent does not count.")

const maxConsent = maxCertificate + maxSignature + 1024

// Consent is an auditor's word that the subjects of a legal case are told of it only after a date.
type Consent struct {
	Case        Hash
	Person      uuid.UUID // of the auditor
	Name        string
	Certificate *x509.Certificate // with whose key it is signed
	SilentUntil time.Time         // after Time
	Time        time.Time
}

// SignedConsent is a consent with the auditor's signature.
type SignedConsent struct {
	Consent
	Signature Signature

	raw []byte
}

// Bytes returns the canonical bytes.
func (s *SignedConsent) Bytes() []byte { return s.raw }

// Hash names the consent: what the auditor signed.
func (s *SignedConsent) Hash() Hash { return digest(s.Consent.statement().b) }

func (c Consent) statement() *writer {
	w := newWriter(kindConsent)
	w.raw(c.Case[:])
	w.raw(c.Person[:])
	w.line(c.Name)
	w.certificate(c.Certificate)
	w.time(c.SilentUntil)
	w.time(c.Time)
	return w
}

// Sign signs the consent with the key of its certificate.
func (c Consent) Sign(signer crypto.Signer) (*SignedConsent, error) {
	b, err := signMessage(c.statement(), signer)
	if err != nil {
		return nil, err
	}
	s, err := ParseConsent(b)
	if err != nil {
		return nil, err
	}
	return s, s.verifySignature()
}

// ParseConsent reads canonical bytes. It does not verify the signature.
func ParseConsent(b []byte) (*SignedConsent, error) {
	r := newReader(b, kindConsent, maxConsent)
	s := &SignedConsent{Consent: Consent{
		Case: r.hash("case"), Person: r.uuid("person"), Name: r.line("name", MaxName), Certificate: r.certificate("certificate"),
		SilentUntil: r.time("end of silence"), Time: r.time("time"),
	}}
	s.Signature = r.signature()
	if s.Case.IsZero() || s.Person == uuid.Nil || s.Name == "" {
		r.fail("case, person or name", "is missing")
	}
	if !s.Time.Before(s.SilentUntil) {
		r.fail("end of silence", "is not after its time")
	}
	r.signs("certificate", s.Certificate)
	if err := r.done(); err != nil {
		return nil, err
	}
	s.raw = append([]byte(nil), b...)
	return s, nil
}

func (s *SignedConsent) verifySignature() error {
	if err := s.Signature.verify(s.Certificate.PublicKey, s.Consent.statement().b); err != nil {
		return ErrConsent.Withf("The signature of the auditor (%s) does not hold.", s.Name).Because(err)
	}
	return nil
}

// Verify checks everything about a consent that is public: that it is about this case, a legal one, given while it is
// open by a second person, who neither asks, nor receives, nor is a subject, and the signature. Whether that person is an
// auditor, and how long silence may last, is the caller's to check. The roster has been verified against its pin.
func (s *SignedConsent) Verify(r *Roster, c *SignedCase) error {
	if err := c.CheckRoster(r); err != nil {
		return err
	}
	if s.Case != c.Hash() || c.Kind != CaseLegal {
		return ErrConsent.Withf("This consent is about another case, or one that its subjects are always told of.")
	}
	if err := c.CheckTime(s.Time); err != nil {
		return err
	}
	if s.Person == c.Requester.Person || bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, c.Requester.Certificate.RawSubjectPublicKeyInfo) {
		return ErrConsent.Withf("%s asks for these keys, and so cannot consent to silence.", s.Name)
	}
	for _, d := range c.Deliveries {
		if slices.ContainsFunc(r.Plan.Recipients, func(x Recipient) bool { return x.Person == s.Person && x.Certificate.Equal(d.Recipient) }) {
			return ErrConsent.Withf("%s receives these keys, and so cannot consent to silence.", s.Name)
		}
		if slices.ContainsFunc(d.Subjects, func(x Subject) bool { return x.Person == s.Person }) {
			return ErrConsent.Withf("Keys of %s are asked for, who so cannot consent to silence.", s.Name)
		}
	}
	return s.verifySignature()
}
