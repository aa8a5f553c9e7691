package kerberos

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/internal/spnego"
)

// made is an exchange whose system says the answer is right if it is "answer".
type made struct{ server, bound string }

func (made) token() []byte { return []byte("token") }

func (made) finish(answer []byte) error {
	if string(answer) != "answer" {
		return errors.New("another answer")
	}
	return nil
}

// The system is told which server, and by what the connection is known; what it makes goes into the frame that servers read, and what
// they answer comes out of theirs.
func TestSystem(t *testing.T) {
	t.Parallel()
	var last made
	s := &System{principal: "alice@EXAMPLE.TEST", begin: func(server string, bindings []byte) (exchange, error) {
		last = made{server, string(bindings)}
		return last, nil
	}}
	server := &x509.Certificate{Raw: []byte("certificate"), SignatureAlgorithm: x509.SHA384WithRSA}
	token, check, err := s.Negotiate(t.Context(), "ca.example.test", server)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := spnego.Wrap([]byte("token")); err != nil || token != want || last.server != "HTTP/ca.example.test" {
		t.Errorf("%s to %s, %v", token, last.server, err)
	}
	// SEC_CHANNEL_BINDINGS: eight numbers, and what they point to.
	bound := []byte(last.bound)
	n, at := binary.LittleEndian.Uint32(bound[24:]), binary.LittleEndian.Uint32(bound[28:])
	if end := spnego.EndPoint(server); !bytes.Equal(bound[:24], make([]byte, 24)) || at != 32 || int(at+n) != len(bound) || !bytes.Equal(bound[at:], end) || len(end) != 21+48 {
		t.Errorf("bindings: %x", bound)
	}
	if err := check("not base64"); !errors.Is(err, ErrMutual) {
		t.Errorf("no answer: %v", err)
	}
	if err := check(token); !errors.Is(err, ErrMutual) {
		t.Errorf("a request in place of an answer: %v", err)
	}
	refused := ErrKDC.Withf("no")
	s.begin = func(string, []byte) (exchange, error) { return nil, refused }
	if _, _, err := s.Negotiate(t.Context(), "ca.example.test", server); !errors.Is(err, refused) {
		t.Errorf("refused: %v", err)
	}
}
