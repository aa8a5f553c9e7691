package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of finding out who is asking.
var (
	ErrMissing     = fault.New(fault.Denied, "credentials-missing", "Say who you are: with a client certificate, an enrolment token, or login and password.")
	ErrCertificate = fault.New(fault.Denied, "client-certificate", "The client certificate is not accepted.")
	ErrTokenScope  = fault.New(fault.Denied, "enrolment-token-scope", "An enrolment token serves to enrol, and for nothing else. Use login and password, or a client certificate.")
)

// errNotOffered says that a request does not even try an authenticator's way.
var errNotOffered = errors.New("no credentials of this kind")

// Caller is who makes a request.
type Caller struct {
	Actor audit.Actor
	Token string // the enrolment token that said so, if one did: the enrolment that it is used for spends it
}

// Authenticator is one way to find out who is asking. It returns errNotOffered, of this package, when the request holds
// nothing for it, a Denied fault when what it holds is not good, an Unavailable one when that cannot be found out.
type Authenticator interface {
	Authenticate(ctx context.Context, r *http.Request) (Caller, error)
}

// authenticate tries every way in turn. The first that succeeds decides; if none does, the last that was offered says
// why not, which is the one that the client chose more deliberately: a TLS stack may send a certificate unasked, nobody
// sends a password unasked.
func (s *Server) authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	refused := error(ErrMissing)
	for _, way := range s.authenticators {
		c, err := way.Authenticate(ctx, r)
		switch {
		case err == nil:
			s.metrics.authenticated(c.Actor.Method)
			return c, nil
		case errors.Is(err, errNotOffered):
		case errors.Is(err, fault.Denied):
			refused = err
		default:
			return Caller{}, err
		}
	}
	return Caller{}, refused
}

// access is who may use an operation.
type access int

const (
	anybody   access = iota // nobody has to say who they are
	known                   // a person, by certificate or password
	enrolling               // a person, by enrolment token too
)

// admit finds out who is asking, as far as the operation wants to know.
func (s *Server) admit(ctx context.Context, r *http.Request, who access) (Caller, error) {
	if who == anybody {
		return Caller{Actor: audit.Actor{Method: audit.MethodNone}}, nil
	}
	c, err := s.authenticate(ctx, r)
	if err == nil && who != enrolling && c.Actor.Method == audit.MethodToken {
		return c, ErrTokenScope
	}
	return c, err
}
