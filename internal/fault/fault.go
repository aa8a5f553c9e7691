// Package fault is the one error type of Sealpost. A fault says three things apart: what kind of failure it is, for
// programs (Kind and Code); what happened, for the person who caused it (Detail); and why, for the log alone (Err).
//
// It owns the kinds and nothing else. Which HTTP status a kind becomes is known in one file of package web; the sentinels
// that callers test for are declared in the rooms that return them. Every package may import fault.
package fault

import (
	"errors"
	"fmt"
)

// Kind is the class of a fault: what the caller can do about it. A Kind is itself an error, so that
// errors.Is(err, fault.NotFound) works on any error that wraps a fault of that kind.
type Kind string

// The kinds. The zero Kind is no kind: such an error is an internal one.
const (
	Malformed   Kind = "malformed"   // the input is wrong; the same input will fail again
	Denied      Kind = "denied"      // the caller may not do this
	NotFound    Kind = "not-found"   // there is no such thing, or the caller may not know of it
	Conflict    Kind = "conflict"    // the input is fine but contradicts what is already there
	Unavailable Kind = "unavailable" // something we depend on is away; the same input may work later
)

// Error returns the kind's name.
func (k Kind) Error() string { return string(k) }

// Error is a fault. Values declared as sentinels are never changed: Withf and Because return copies.
type Error struct {
	Kind   Kind
	Code   string // stable, kebab-case, unique to one cause: part of the API
	Detail string // one sentence that is safe to show and says what to do; never a secret
	Err    error  // the cause; logged, never shown
}

// New returns a fault without a cause, as a sentinel is declared:
//
//	var ErrKeyInUse = fault.New(fault.Conflict, "key-in-use", "This key already serves another purpose. Make a new key.")
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Error returns code, detail and cause, for the log.
func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap makes errors.Is and errors.As see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Is reports whether target is a fault with the same code, so that errors.Is(err, room.ErrX) holds for every copy of
// ErrX whatever its detail and cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Withf returns a copy of e whose detail is the formatted text.
func (e *Error) Withf(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// Because returns a copy of e with cause err.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Of returns the outermost fault in err's tree, or nil if there is none: err is then an internal error, of which
// nothing may be shown.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Shown returns what may be shown of an error to whoever looks at how things stand.
func Shown(err error) string {
	if f := Of(err); f != nil {
		return f.Detail
	}
	return "An unexpected fault; the server's log has it."
}
