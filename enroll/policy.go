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
	Person directory.Person
	Plans  []PlanPolicy
	Offer
	RenewAfter float64 // part of a certificate's life after which it is renewed
	Restricted string  // why this person may not enrol; "" if they may
}

// Offer is how a private encryption key is sent.
type Offer struct {
	Exchange  *x509.Certificate   // it is sent to this; nil where no key is archived
	Chain     []*x509.Certificate // of Exchange, up to the root
	Nonce     string              // goes into the message with the key
	NonceEnds time.Time
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
	out.Offer, err = r.offer(ctx, person.ID)
	return out, err
}

// offer says how a person sends a private encryption key.
func (r *Registry) offer(ctx context.Context, person uuid.UUID) (Offer, error) {
	var o Offer
	keys, err := r.exchange.current(ctx)
	if err != nil {
		return o, err
	}
	o.Exchange = keys[0].certificate
	for _, i := range r.Authority.Issuers() { // not always r.Issuer: that may have been another when the certificate was made
		if bytes.Equal(i.Certificate().SubjectKeyId, o.Exchange.AuthorityKeyId) {
			o.Chain = i.Chain()
		}
	}
	if o.Chain == nil {
		return o, ErrEscrowRefused.Withf("The exchange certificate is of an issuer that is not configured any more. Ask the operator.")
	}
	o.NonceEnds = r.Now().Add(nonceLife).Truncate(time.Second)
	o.Nonce = keys[0].newNonce(person, o.NonceEnds)
	return o, nil
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
