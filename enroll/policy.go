package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jws"
)

// policyLife is how long a policy may be followed while the server is away: a week, and a day more for who was away first.
const policyLife = 8 * 24 * time.Hour

// ErrPolicyUnsigned means that there is no key to sign a policy with.
var ErrPolicyUnsigned = fault.New(fault.Unavailable, "policy-unsigned", "The server has no valid certificate to sign policies with at the moment. Try again later.")

// Policies are signed with one of the server's own keys.
var toSign = serves{name: "policy", profile: ca.PolicySigning, title: "Policy",
	none: ErrPolicyUnsigned}

// Policy is what a person should have and how to ask for it.
type Policy struct {
	Person   directory.Person
	Machine  uuid.UUID // from which they ask; uuid.Nil if it did not say
	IssuedAt time.Time // in whole seconds
	Ends     time.Time // it is not followed any more
	Plans    []PlanPolicy
	Offer
	Renewal    Renewal
	Due        []Due // the person's certificates that have not ended, the newest first
	Old        Old
	Restricted string // why this person may not enrol; "" if they may

	signer serverKey
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
	SigningProfile, EncryptionProfile *ca.Profile       // nil where there is none
	SigningKeys, EncryptionKeys       []ca.KeyAlgorithm // that are taken now, the preferred one first
}

// Policy returns the policy for the person by at one of their machines, uuid.Nil for one that did not say which it is.
func (r *Registry) Policy(ctx context.Context, by audit.Actor, machine uuid.UUID) (*Policy, error) {
	signers, err := r.signer.current(ctx)
	if err != nil {
		return nil, err
	}
	out := &Policy{Machine: machine, Renewal: r.Renewal, Old: r.Old, signer: signers[0], IssuedAt: r.Now().UTC().Truncate(time.Second)}
	out.Ends = out.IssuedAt.Add(policyLife)
	if last := out.signer.certificate.NotAfter; last.Before(out.Ends) {
		out.Ends = last
	}
	person, err := r.person(ctx, by.Person)
	switch {
	case errors.Is(err, ErrNoMailbox):
		out.Restricted = fault.Of(err).Detail
	case err != nil:
		return nil, err
	}
	out.Person = person
	orders, err := r.openOrders(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Config.Plans {
		resolved := r.plans[p.Name]
		out.Plans = append(out.Plans, PlanPolicy{Plan: p, SigningProfile: resolved.signing, EncryptionProfile: resolved.encryption,
			SigningKeys: keysOf(resolved.signing, orders), EncryptionKeys: keysOf(resolved.encryption, orders)})
	}
	if out.Due, err = r.due(ctx, person.ID, machine); err != nil {
		return nil, err
	}
	if r.Archive == nil { // then no plan needs it: New has checked
		return out, nil
	}
	out.Offer, err = r.offer(ctx, person.ID)
	return out, err
}

// SignPolicy signs what a policy is on the wire, with the key whose certificate the policy does not outlive.
func (r *Registry) SignPolicy(p *Policy, payload []byte) (string, error) {
	above, err := r.signer.chainOf(p.signer.certificate)
	if err != nil {
		return "", err
	}
	return jws.Sign(p.signer.key, append([]*x509.Certificate{p.signer.certificate}, above...), api.PolicyType, payload)
}

// offer says how a person sends a private encryption key.
func (r *Registry) offer(ctx context.Context, person uuid.UUID) (Offer, error) {
	var o Offer
	keys, err := r.exchange.current(ctx)
	if err != nil {
		return o, err
	}
	o.Exchange = keys[0].certificate
	if o.Chain, err = r.exchange.keys.chainOf(o.Exchange); err != nil {
		return o, err
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
