package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of finding out who is asking.
var (
	ErrMissing       = fault.New(fault.Denied, "credentials-missing", "Say who you are: with a client certificate, an enrolment token, an identity provider's token, or login and password.")
	ErrProof         = fault.New(fault.Denied, "proof-needed", "This needs that you show once more who you are: sign in again, then repeat it.")
	ErrNoCertificate = fault.New(fault.Denied, "client-certificate-missing", "There is no client certificate.")
	ErrCertificate   = fault.New(fault.Denied, "client-certificate", "The client certificate is not accepted.")
	ErrRevoked       = fault.New(fault.Denied, "client-certificate-revoked", "The client certificate is revoked, and shows nobody who you are any more. Use login and password, or an enrolment token.")
)

// ErrHeld means that somebody showed a certificate that may yet be released.
var ErrHeld = fault.New(fault.Denied, "client-certificate-held", "The client certificate is on hold. Ask a registrar, or use login and password.")

// ErrNotOffered says that a request does not even try a way.
var ErrNotOffered = errors.New("no credentials of this kind")

// Caller is who makes a request.
type Caller struct {
	Actor   audit.Actor
	Token   string // the enrolment token that said so, if one did: the enrolment that it is used for spends it
	Answer  string // what the answer's WWW-Authenticate says to a client whose way it is to be told; usually ""
	Machine string // the computer whose ticket said so; usually ""
	Stale   bool   // they are signed in, and showed who they are too long ago for what needs that anew
}

// Authenticator is one way to find out who is asking. It returns ErrNotOffered when the request holds nothing for it, a
// Denied fault when what it holds is not good, an Unavailable one when that cannot be found out.
type Authenticator interface {
	Authenticate(ctx context.Context, r *http.Request) (Caller, error)
}

// First tries every way in turn. The first that succeeds decides; if none does, the last that was offered says why not,
// which is the one that the client chose more deliberately: a TLS stack may send a certificate unasked, nobody sends a
// password unasked.
func First(ctx context.Context, r *http.Request, ways []Authenticator) (Caller, error) {
	refused := error(ErrMissing)
	for _, way := range ways {
		c, err := way.Authenticate(ctx, r)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, ErrNotOffered):
		case errors.Is(err, fault.Denied):
			refused = err
		default:
			return Caller{}, err
		}
	}
	return Caller{}, refused
}
