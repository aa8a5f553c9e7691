package web

import (
	"context"
	"errors"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrRevocation refuses a revocation to who may not ask for it.
var ErrRevocation = fault.New(fault.Denied, "revocation-not-allowed", "You may not do that with this certificate.")

// release is the reason that ends a hold (RFC 5280, 5.3.1).
const release = "removeFromCRL"

type revokeInput struct {
	CertificatePath
	Body api.RevocationRequest
}

func (s *Server) revoke(ctx context.Context, by Caller, in *revokeInput) (*answer[api.Certificate], error) {
	c, err := s.find(ctx, by.Actor, in.CertificatePath)
	if err != nil {
		return nil, err
	}
	if err := s.mayRevoke(ctx, by.Actor, c, in.Body.Reason); err != nil {
		return nil, err
	}
	if err := s.changeStanding(ctx, by.Actor, c, in.Body); err != nil {
		return nil, err
	}
	if c, err = s.Authority.Certificate(ctx, c.Issuer, c.Serial); err != nil {
		return nil, err
	}
	return &answer[api.Certificate]{s.certificateOf(c)}, nil
}

func (s *Server) changeStanding(ctx context.Context, by audit.Actor, c ca.Certificate, in api.RevocationRequest) error {
	if in.Reason == release {
		return s.Authority.Release(ctx, by, c.Issuer, c.Serial)
	}
	reason, err := ca.ParseReason(in.Reason)
	if err != nil {
		return err
	}
	r := ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason}
	if in.InvalidFrom != nil {
		r.Invalid = *in.InvalidFrom
	}
	return s.Authority.Revoke(ctx, by, r)
}

// mayRevoke decides who may revoke what: people what is theirs, registrars and operators anything. A hold, which can be
// undone, is the registrars' alone. A refusal is recorded.
func (s *Server) mayRevoke(ctx context.Context, by audit.Actor, c ca.Certificate, reason string) error {
	var refused *fault.Error
	switch {
	case by.Has(audit.Registrar):
		return nil
	case reason == release || reason == ca.CertificateHold.String():
		refused = ErrRevocation.Withf("Only a registrar puts certificates on hold and releases them.")
	case by.Has(audit.Operator) || c.Person == by.Person:
		return nil
	default:
		refused = ErrRevocation.Withf("People revoke their own certificates. Tell a registrar or an operator about others'.")
	}
	_, err := s.Audit.Record(ctx, by, audit.Event{Kind: "certificate.revocation-refused", Subject: "certificate:" + c.Issuer + "/" + c.Serial.String(),
		Person: c.Person, Data: map[string]any{"reason": reason, "code": refused.Code}})
	return errors.Join(refused, err)
}
