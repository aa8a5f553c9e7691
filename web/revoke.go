package web

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrRevocation refuses a revocation to who may not ask for it.
var ErrRevocation = fault.New(fault.Denied, "revocation-not-allowed", "You may not do that with this certificate.")

// release is the reason that ends a hold (RFC 5280, 5.3.1).
const release = "removeFromCRL"

type revokeInput struct {
	CertificatePath
	Body api.RevocationRequest
}

func (s *Server) revoke(ctx context.Context, by signin.Caller, in *revokeInput) (*answer[api.Certificate], error) {
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
		return s.Authority.ReleaseNoted(ctx, by, c.Issuer, c.Serial, in.Note)
	}
	r, err := revocationOf(in)
	if err != nil {
		return err
	}
	r.Issuer, r.Serial = c.Issuer, c.Serial
	return s.Authority.Revoke(ctx, by, r)
}

// revocationOf reads a request, but for what it is about.
func revocationOf(in api.RevocationRequest) (ca.Revocation, error) {
	reason, err := ca.ParseReason(in.Reason)
	r := ca.Revocation{Reason: reason, Note: in.Note}
	if in.InvalidFrom != nil {
		r.Invalid = *in.InvalidFrom
	}
	return r, err
}

type revokeAllInput struct{ Body api.RevocationsRequest }

// revokeAll revokes everything of a person, or with a key.
func (s *Server) revokeAll(ctx context.Context, by signin.Caller, in *revokeAllInput) (*answer[api.Revocations], error) {
	q, err := s.about(ctx, by.Actor, in.Body)
	if err != nil {
		return nil, err
	}
	var changed []ca.Certificate
	if in.Body.Reason == release {
		changed, err = s.Authority.ReleaseAll(ctx, by.Actor, q, in.Body.Note)
	} else {
		var r ca.Revocation
		if r, err = revocationOf(in.Body.RevocationRequest); err != nil {
			return nil, err
		}
		changed, err = s.Authority.RevokeAll(ctx, by.Actor, q, r, nil)
	}
	if err != nil {
		return nil, err
	}
	out := &answer[api.Revocations]{Body: api.Revocations{Certificates: make([]api.Certificate, len(changed))}}
	for i, c := range changed {
		out.Body.Certificates[i] = s.certificateOf(c)
	}
	return out, nil
}

// about says which certificates a request is about, if whoever makes it may do that to them. A key is one person's.
func (s *Server) about(ctx context.Context, by audit.Actor, in api.RevocationsRequest) (ca.Query, error) {
	q := ca.Query{Person: in.Person}
	if in.SPKISHA256 != "" {
		var key keyuse.Hash
		if n, err := hex.Decode(key[:], []byte(in.SPKISHA256)); err != nil || n != len(key) {
			return q, ErrRequest.Withf("spki_sha256 is not 64 hexadecimal digits.")
		}
		q.Key = &key
	}
	if (q.Person == nil) == (q.Key == nil) || q.Person != nil && *q.Person == uuid.Nil {
		return q, ErrRequest.Withf("Give either person or spki_sha256.")
	}
	found, err := s.Authority.Find(ctx, q)
	if err != nil {
		return q, err
	}
	if len(found) == 0 {
		if by.Has(audit.Registrar) || by.Has(audit.Operator) || q.Person != nil && *q.Person == by.Person {
			return q, ca.ErrNotFound
		}
		found = []ca.Certificate{{}} // others hear the same as of somebody else's
	}
	return q, s.mayRevoke(ctx, by, found[0], in.Reason)
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
	event := audit.Event{Kind: "certificate.revocation-refused", Person: c.Person, Data: map[string]any{"reason": reason, "code": refused.Code}}
	if c.Serial != "" {
		event.Subject = "certificate:" + c.Issuer + "/" + c.Serial.String()
	}
	_, err := s.Audit.Record(ctx, by, event)
	return errors.Join(refused, err)
}
