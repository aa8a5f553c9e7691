package web

import (
	"context"
	"net/http"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrTokenScope refuses a token where it does not serve.
var ErrTokenScope = fault.New(fault.Denied, "enrolment-token-scope", "An enrolment token serves to enrol, and for nothing else. Use login and password, or a client certificate.")

// access is who may use an operation.
type access int

const (
	anybody   access = iota // nobody has to say who they are
	known                   // a person, by certificate, Kerberos ticket or password
	enrolling               // a person, by enrolment token too
)

// admit finds out who is asking, as far as the operation wants to know.
func (s *Server) admit(ctx context.Context, r *http.Request, who access) (signin.Caller, error) {
	if who == anybody {
		return signin.Caller{Actor: audit.Actor{Method: audit.MethodNone}}, nil
	}
	c, err := signin.First(ctx, r, s.authenticators)
	if err != nil {
		return c, err
	}
	s.metrics.authenticated(c.Actor.Method)
	if who != enrolling && c.Actor.Method == audit.MethodToken {
		return c, ErrTokenScope
	}
	if who != enrolling && c.Machine != "" {
		return c, signin.ErrMachineScope
	}
	return c, nil
}
