package kerberos

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"

	"github.com/sealpost/sealpost/internal/spnego"
)

// ErrNoSystem means that this system does not keep tickets to itself: they are in a cache (Open).
var ErrNoSystem = errors.New("this system keeps no tickets of its own")

// System is the ticket of the computer's login where the system keeps it and its key to itself, and makes the tokens: Windows does,
// for the accounts of a domain. It is safe for concurrent use.
//
// It has been run under Wine, and never on Windows.
type System struct {
	principal string
	begin     func(server string, bindings []byte) (exchange, error)
}

// exchange is one token, and what the system knows of it. Both tokens are in Kerberos' own frame (RFC 4121 §4.1).
type exchange interface {
	token() []byte
	finish(answer []byte) error
}

// OpenSystem returns the ticket that the system keeps; ErrNoSystem says that it does not do that.
func OpenSystem() (*System, error) { return openSystem() }

// Principal is whose ticket it is.
func (s *System) Principal() string { return s.principal }

// Negotiate makes the token for one request, as that of Login does.
func (s *System) Negotiate(_ context.Context, host string, server *x509.Certificate) (string, func(answer string) error, error) {
	e, err := s.begin("HTTP/"+host, bindings(spnego.EndPoint(server)))
	if err != nil {
		return "", nil, err
	}
	token, err := spnego.Wrap(e.token())
	if err != nil {
		return "", nil, ErrCache.Because(err)
	}
	return token, func(answer string) error {
		inner, err := spnego.Unwrap(answer)
		if err == nil {
			err = e.finish(inner)
		}
		if err != nil {
			return ErrMutual.Because(err)
		}
		return nil
	}, nil
}

// bindings is the SEC_CHANNEL_BINDINGS of Windows: kind, length and place of two addresses, which are absent, and length and place
// of what the connection is known by, which follows.
func bindings(endPoint []byte) []byte {
	const head = 8 * 4
	out := make([]byte, 6*4, head+len(endPoint))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(endPoint)))
	out = binary.LittleEndian.AppendUint32(out, head)
	return append(out, endPoint...)
}
