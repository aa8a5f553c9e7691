package client

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrNoNegotiate means that a server takes no Kerberos tickets.
var ErrNoNegotiate = fault.New(fault.Denied, "kerberos-not-taken", "The server takes no Kerberos tickets. Give a login or a token instead.")

// Negotiator shows who is asking by a Kerberos ticket (Authorization: Negotiate, RFC 4559). It must be safe for concurrent use.
type Negotiator interface {
	// Principal is whose ticket it is: name@REALM.
	Principal() string
	// Negotiate returns the token for one request to a host that showed this TLS certificate, and what checks the answer's token.
	Negotiate(ctx context.Context, host string, server *x509.Certificate) (token string, check func(answer string) error, err error)
}

// Prover is a Negotiator that can show anew who is asking, where the server wants more than a ticket of this morning.
type Prover interface {
	// Prove asks the person, and has what is negotiated with the host from now on show that they were asked.
	Prove(ctx context.Context, host string) error
}

const (
	negotiate = "Negotiate "
	codeProof = "proof-needed" // the server's
)

// proves has the person show anew who they are, where that is why a call was refused; it reports whether they did. A call that is refused
// so has done nothing.
func (c *Client) proves(ctx context.Context, refused error) (bool, error) {
	prover, ok := c.cfg.Kerberos.(Prover)
	if f := fault.Of(refused); !ok || f == nil || f.Code != codeProof {
		return false, nil
	}
	if err := prover.Prove(ctx, c.base.Hostname()); err != nil {
		return false, err
	}
	return true, nil
}

// meet learns, once, the certificate of the server and that it takes tickets, and has it prove that it can read them. What comes
// later on goes to the same certificate only.
func (c *Client) meet(ctx context.Context) (*x509.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return c.server, nil
	}
	target := c.base.JoinPath(api.Base, "policy").String()
	ask := func(token string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return nil, ErrConfig.Because(err)
		}
		req.Header.Set("User-Agent", c.cfg.UserAgent)
		if token != "" {
			req.Header.Set("Authorization", negotiate+token)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, c.transportFault(ctx, err)
		}
		return resp, nil
	}
	first, err := ask("")
	if err != nil {
		return nil, err
	}
	defer first.Body.Close()
	if first.StatusCode != http.StatusUnauthorized {
		return nil, c.refusal(first)
	}
	if !slices.ContainsFunc(first.Header.Values("WWW-Authenticate"), func(v string) bool { return strings.EqualFold(strings.TrimSpace(v), "Negotiate") }) {
		return nil, ErrNoNegotiate
	}
	// Read to its end, so that the connection is used again. What it says is known.
	_, _ = io.Copy(io.Discard, io.LimitReader(first.Body, maxProblem))
	server := first.TLS.PeerCertificates[0]
	token, check, err := c.cfg.Kerberos.Negotiate(ctx, c.base.Hostname(), server)
	if err != nil {
		return nil, err
	}
	second, err := ask(token)
	if err != nil {
		return nil, err
	}
	defer second.Body.Close()
	if second.StatusCode != http.StatusOK {
		return nil, c.refusal(second)
	}
	if err := check(answerOf(second)); err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(second.Body, maxAnswer))
	c.server = server
	return server, nil
}

// show adds to a request what shows who is asking, and returns what checks the answer. Operations that are open to everybody
// answer nothing to it.
func (c *Client) show(ctx context.Context, req *http.Request) (func(*http.Response) error, error) {
	if c.cfg.Kerberos == nil {
		return func(*http.Response) error { return nil }, nil
	}
	server, err := c.meet(ctx)
	if err != nil {
		return nil, err
	}
	token, check, err := c.cfg.Kerberos.Negotiate(ctx, c.base.Hostname(), server)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", negotiate+token)
	return func(resp *http.Response) error {
		if answer := answerOf(resp); answer != "" && resp.StatusCode/100 == 2 {
			return check(answer)
		}
		return nil
	}, nil
}

// answerOf is the server's token in an answer.
func answerOf(resp *http.Response) string {
	for _, v := range resp.Header.Values("WWW-Authenticate") {
		if rest, ok := strings.CutPrefix(v, negotiate); ok {
			return rest
		}
	}
	return ""
}
