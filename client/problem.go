package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// What can go wrong before the server has said anything, or when what it says is no answer. What the server itself
// refuses comes as a fault with the server's code and detail, whose cause is a *Refusal.
var (
	ErrUnreachable     = fault.New(fault.Unavailable, "server-unreachable", "The server cannot be reached. Check its address and the network, then try again.")
	ErrNotTrusted      = fault.New(fault.Denied, "server-not-trusted", "The server's TLS certificate is not trusted. Check the address and the root certificates.")
	ErrTLSTime         = fault.New(fault.Denied, "server-certificate-time", "By this computer's clock the server's TLS certificate is not valid. Set the clock, if it is wrong, and try again.")
	ErrTLSRefused      = fault.New(fault.Denied, "tls-refused", "The server refused the TLS connection, perhaps because of the client certificate.")
	ErrAnswer          = fault.New(fault.Unavailable, "server-answer", "The server's answer is not one that this program understands.")
	ErrRequestTooLarge = fault.New(fault.Malformed, "request-too-large", "The request is larger than the server reads.")
	ErrName            = fault.New(fault.Malformed, "name-malformed", "Nothing has such a name.")
	ErrRedirected      = fault.New(fault.Denied, "redirected", "The server sends this program elsewhere. Give the right address.")
)

// maxDetail is how many characters of a server's explanation are kept.
const maxDetail = 500

// Refusal is the cause of a fault that came from the server.
type Refusal struct {
	Status     int           // HTTP
	Instance   string        // names the request in the server's log; may be empty
	RetryAfter time.Duration // zero when the server did not say
}

// Error returns the status and the request's name.
func (r *Refusal) Error() string {
	if r.Instance == "" {
		return fmt.Sprintf("HTTP %d", r.Status)
	}
	return fmt.Sprintf("HTTP %d, request %s", r.Status, r.Instance)
}

var codeForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// refusal reads a problem document.
func (c *Client) refusal(resp *http.Response) *fault.Error {
	if resp.StatusCode/100 == 3 {
		return ErrRedirected.Withf("%s sends this program elsewhere (HTTP %d). Give the right address.", c.base.Host, resp.StatusCode)
	}
	// A body that breaks off is treated as one that says nothing: the status has been read.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem+1))
	if err != nil || len(body) > maxProblem {
		body = nil
	}
	return problemFault(resp.StatusCode, resp.Header, body)
}

// problemFault makes a fault of a problem document. What is not one, as a proxy may send, becomes a fault that tells the
// status alone. Nothing in the result can move a terminal's cursor.
func problemFault(status int, header http.Header, body []byte) *fault.Error {
	refusal := &Refusal{Status: status, RetryAfter: retryAfter(header)}
	f := &fault.Error{
		Kind: kindOf(status), Code: "http-" + strconv.Itoa(status), Err: refusal,
		Detail: fmt.Sprintf("The server answered %s.", strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))),
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != typeProblem {
		return f
	}
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return f
	}
	if code, ok := strings.CutPrefix(p.Type, api.ProblemType); ok && codeForm.MatchString(code) {
		f.Code = code
	}
	if detail := plain(p.Detail); detail != "" {
		f.Detail = detail
	} else if title := plain(p.Title); title != "" {
		f.Detail = title
	}
	refusal.Instance = plain(p.Instance)
	return f
}

// kindOf is the client's half of what web/problem.go does with kinds.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fault.Conflict
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return fault.Unavailable
	}
	if status >= 500 {
		return fault.Unavailable
	}
	return fault.Malformed
}

// plain makes one printable line of text from outside.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > maxDetail {
		s = string(runes[:maxDetail]) + "…"
	}
	return s
}

// retryAfter reads RFC 9110, 10.2.3, in both forms.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date")) // the server's clock, if it says
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}

// passing reports whether the same call may succeed in a moment, and the pause that the server asked for.
func passing(err error) (time.Duration, bool) {
	var r *Refusal
	if !errors.As(err, &r) {
		return 0, errors.Is(err, ErrUnreachable)
	}
	switch r.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r.RetryAfter, true
	}
	return 0, false
}

// tlsTime says how a certificate's time and the clock differ, nil if something else is wrong with the certificate. Which of the two
// is wrong cannot be known here; mostly it is the clock.
func (c *Client) tlsTime(untrusted *tls.CertificateVerificationError) *fault.Error {
	var invalid x509.CertificateInvalidError
	if !errors.As(untrusted, &invalid) || invalid.Reason != x509.Expired {
		return nil
	}
	now := time.Now
	if c.cfg.Now != nil {
		now = c.cfg.Now
	}
	const minute = "2006-01-02 15:04"
	return ErrTLSTime.Withf("By this computer's clock it is %s UTC, and the TLS certificate of %s is valid from %s to %s. Most likely the clock is wrong: set it, or have it set by the "+
		"network, and try again. If it is right, tell those who run the server.", now().UTC().Format(minute), c.base.Host,
		invalid.Cert.NotBefore.UTC().Format(minute), invalid.Cert.NotAfter.UTC().Format(minute))
}

// transportFault explains why there was no answer. A call that its caller gave up is no fault of the server's.
func (c *Client) transportFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.base.Host, context.Cause(ctx))
	}
	if c.signs != nil {
		if f := c.signs.failed.Load(); f != nil {
			return f
		}
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		if f := c.tlsTime(untrusted); f != nil {
			return f.Because(err)
		}
		return ErrNotTrusted.Withf("The TLS certificate of %s is not trusted (%s). Check the address and the root certificates.",
			c.base.Host, plain(untrusted.Err.Error())).Because(err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" { // how crypto/tls reports an alert
		return ErrTLSRefused.Because(err)
	}
	return ErrUnreachable.Withf("%s cannot be reached. Check the address and the network, then try again.", c.base.Host).Because(err)
}
