package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/signin"
)

// Faults of the HTTP side. Those of the work itself are the rooms' own.
var (
	ErrRequest     = fault.New(fault.Malformed, "request-invalid", "The request is not as the OpenAPI document describes it.")
	ErrBodyTooBig  = fault.New(fault.Malformed, "request-too-large", fmt.Sprintf("The body of a request has at most %d bytes, and where it brings a recovery case %d.", api.MaxBody, api.MaxCaseBody))
	ErrMediaType   = fault.New(fault.Malformed, "media-type", "The body of a request is JSON, with Content-Type: application/json.")
	ErrBroken      = fault.New(fault.Malformed, "request-incomplete", "The body of the request broke off.")
	ErrBodyTimeout = fault.New(fault.Unavailable, "request-timeout", "The body of the request did not arrive in time.")
	ErrNoRoute     = fault.New(fault.NotFound, "unknown-operation", "There is no operation at this address. The OpenAPI document lists those there are.")
	ErrMethod      = fault.New(fault.Malformed, "method-not-allowed", "This address does not take that method.")
	ErrCrossOrigin = fault.New(fault.Denied, "cross-origin", "A page from another site may not do this.")
	ErrBusy        = fault.New(fault.Unavailable, "server-busy", "The server has as much to do as it can. Try again in a moment.")
	ErrTimeout     = fault.New(fault.Unavailable, "timeout", "The work took too long and was stopped. Repeat the request; enrolments continue where they stopped.")
	ErrStopping    = fault.New(fault.Unavailable, "client-gone", "The request was given up before it was answered.")

	errInternal = fault.New("", "internal-error", "Something went wrong inside the server. Its log has the cause under this request's id.")
)

// statusOfCode has the faults whose status is not their kind's.
var statusOfCode = map[string]int{
	ErrBodyTooBig.Code:      http.StatusRequestEntityTooLarge,
	ErrMediaType.Code:       http.StatusUnsupportedMediaType,
	ErrBodyTimeout.Code:     http.StatusRequestTimeout,
	ErrMethod.Code:          http.StatusMethodNotAllowed,
	signin.ErrFailures.Code: http.StatusTooManyRequests,
	ErrLookups.Code:         http.StatusTooManyRequests,
	portal.ErrTooMuch.Code:  http.StatusTooManyRequests,
}

// statusOf is where kinds of fault become HTTP: nothing else in Sealpost knows a status.
func statusOf(f *fault.Error) int {
	if status, ok := statusOfCode[f.Code]; ok {
		return status
	}
	if signin.Unproven(f) {
		return http.StatusUnauthorized
	}
	switch f.Kind {
	case fault.Malformed:
		return http.StatusBadRequest
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// retryUnavailable is what a client is told to wait for something that is away.
const retryUnavailable = 5 * time.Second

// problem is an error as it is shown: RFC 9457. What it hides goes to the log with the call.
type problem struct {
	api.Problem
	after  time.Duration // 0: there is nothing to wait for
	script bool          // for a script in a page

	negotiate bool // Kerberos tickets are taken
}

// problemOf turns an error into what may be shown of it, and remembers the error for the call's line in the log.
func problemOf(ctx context.Context, err error) *problem {
	c := callOf(ctx)
	f := faultOf(ctx, err)
	c.err, c.code = err, f.Code
	status := statusOf(f)
	p := &problem{Problem: api.Problem{Type: api.ProblemType + f.Code, Title: titleOf(f.Code), Status: status, Detail: f.Detail,
		Instance: "urn:uuid:" + c.id.String()}, script: c.script, negotiate: c.negotiate}
	if l := (allowance.Later{}); errors.As(err, &l) {
		p.after = l.After
	} else if status == http.StatusServiceUnavailable {
		p.after = retryUnavailable
	}
	return p
}

// faultOf returns the fault to show. Nothing is shown of an error that is none.
func faultOf(ctx context.Context, err error) *fault.Error {
	f := fault.Of(err)
	switch {
	case f != nil && f.Kind != "":
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return ErrStopping
	}
	return errInternal
}

// titleOf makes a title of a code: it stays the same for every occurrence.
func titleOf(code string) string {
	words := strings.ReplaceAll(code, "-", " ")
	if words == "" {
		return words
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// Error, GetStatus, ContentType and GetHeaders are how huma asks an error for its rendering; Schema is how the document
// describes it.
func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return mediaProblem }

func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.after > 0 {
		h.Set("Retry-After", allowance.Later{After: p.after}.RetryAfter())
	}
	switch {
	case p.Status != http.StatusUnauthorized:
	case p.script: // a browser would ask the person for a password in a window of its own; the page asks better
		h.Set("WWW-Authenticate", `Session realm="Sealpost"`)
	default:
		if p.negotiate {
			h.Add("WWW-Authenticate", "Negotiate")
		}
		h.Add("WWW-Authenticate", `Basic realm="Sealpost", charset="UTF-8"`)
		h.Add("WWW-Authenticate", `Bearer realm="Sealpost"`)
	}
	return h
}

func (p *problem) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[api.Problem](), true, "")
}

const mediaProblem = "application/problem+json"

// refuse answers a request with a problem, outside huma.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	body, jsonErr := json.Marshal(p.Problem)
	if jsonErr != nil { // strings and a number
		body = []byte("{}")
	}
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", mediaProblem)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	// The connection's end is no news to anybody but its client.
	_, _ = w.Write(append(body, '\n'))
}

// huma keeps these choices in package variables. Package web is its only door, so they are made here alone: how its own
// errors look, which are what it finds wrong with a request before an operation's handler sees it, and that arrays in
// answers are never null.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return problemOf(ctx.Context(), requestFault(ctx.Operation(), status, msg, errs))
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return problemOf(context.Background(), requestFault(nil, status, msg, errs))
	}
}

// requestFault is the fault that huma's findings about a request amount to. They may quote what they found: the bodies
// in them are neither shown nor logged.
func requestFault(op *huma.Operation, status int, msg string, errs []error) error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return ErrBodyTooBig
	case http.StatusUnsupportedMediaType:
		return ErrMediaType
	case http.StatusRequestTimeout:
		return ErrBodyTimeout
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if found := findings(op, errs); found != "" {
			return ErrRequest.Withf("%s", found)
		}
		return ErrRequest.Withf("The request is not valid: %s.", msg)
	}
	// Reading is the only work of huma's own that fails for other reasons than the request's contents.
	return ErrBroken.Because(errors.New(msg))
}
