package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Policy is what a person should have and how to ask for it.
type Policy struct {
	Person     directory.Person
	Plans      []PlanPolicy
	Exchange   *x509.Certificate   // private encryption keys are sent to it; nil where no plan archives them
	Chain      []*x509.Certificate // of Exchange, up to the root
	Nonce      string              // goes into the message with the key
	NonceEnds  time.Time
	RenewAfter float64 // part of a certificate's life after which it is renewed
	Restricted string  // why this person may not enrol; "" if they may
}

// PlanPolicy is a plan with its profiles.
type PlanPolicy struct {
	Plan
	SigningProfile, EncryptionProfile *ca.Profile // nil where there is none
}

// Policy returns the policy for the person by.
func (r *Registry) Policy(ctx context.Context, by audit.Actor) (*Policy, error) {
	out := &Policy{RenewAfter: r.RenewAfter}
	person, err := r.person(ctx, by.Person)
	switch {
	case errors.Is(err, ErrNoMailbox):
		out.Restricted = fault.Of(err).Detail
	case err != nil:
		return nil, err
	}
	out.Person = person
	for _, p := range r.Config.Plans {
		resolved := r.plans[p.Name]
		out.Plans = append(out.Plans, PlanPolicy{Plan: p, SigningProfile: resolved.signing, EncryptionProfile: resolved.encryption})
	}
	if r.Archive == nil { // then no plan needs it: New has checked
		return out, nil
	}
	return out, r.addExchange(ctx, out)
}

// addExchange says how a private encryption key is sent.
func (r *Registry) addExchange(ctx context.Context, p *Policy) error {
	keys, err := r.exchange.current(ctx)
	if err != nil {
		return err
	}
	p.Exchange = keys[0].certificate
	for _, i := range r.Authority.Issuers() { // not always r.Issuer: that may have been another when the certificate was made
		if bytes.Equal(i.Certificate().SubjectKeyId, p.Exchange.AuthorityKeyId) {
			p.Chain = i.Chain()
		}
	}
	if p.Chain == nil {
		return ErrEscrowRefused.Withf("The exchange certificate is of an issuer that is not configured any more. Ask the operator.")
	}
	p.NonceEnds = r.Now().Add(nonceLife).Truncate(time.Second)
	p.Nonce = keys[0].newNonce(p.Person.ID, p.NonceEnds)
	return nil
}

// refusedDecision records a refused endorsement or rejection.
func (r *Registry) refusedDecision(ctx context.Context, by audit.Actor, id uuid.UUID, cause *fault.Error) error {
	_, err := r.Audit.Record(ctx, by, audit.Event{Kind: "enrolment.decision-refused", Subject: "request:" + id.String(),
		Data: map[string]any{"code": cause.Code}})
	if err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
