package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// Limits of an event. They keep one act from filling the log, and proofs and pages small.
const (
	MaxBody    = 64 << 10 // bytes of the encoded event
	MaxKind    = 64       // bytes
	MaxSubject = 512      // bytes; a subject is an index key
	MaxEvents  = 10000    // events of one Append
)

// ErrEvent is returned by Append for an event that cannot be recorded: a mistake in the program that made it.
var ErrEvent = errors.New("event cannot be recorded")

// Event is one thing that happened, or was refused.
type Event struct {
	Kind    string    // what: "certificate.prepared"; lower-case words, digits, dots and hyphens
	Subject string    // to what: "certificate:<issuer>/<serial>", "request:<uuid>", "key:<spki-sha256>"; may be empty
	Person  uuid.UUID // whose: may be uuid.Nil
	Data    any       // the particulars, for encoding/json; small; never a secret; may be nil
}

// Leaf names an appended event in the log before it has an index.
type Leaf struct {
	Event int64    // the event's row
	Hash  [32]byte // the RFC 6962 leaf hash of its body
}

// body is an event as it is hashed and stored: JSON of these members in this order, without insignificant space.
// A reader needs no canonical form: the stored bytes are the hashed ones.
type body struct {
	Version int             `json:"v"`
	At      string          `json:"at"` // RFC 3339, UTC, microseconds
	Kind    string          `json:"kind"`
	Subject string          `json:"subject,omitempty"`
	Person  *uuid.UUID      `json:"person,omitempty"`
	Actor   bodyActor       `json:"actor"`
	Data    json.RawMessage `json:"data,omitempty"`
}

type bodyActor struct {
	Person   *uuid.UUID `json:"person,omitempty"`
	Name     string     `json:"name,omitempty"`
	Roles    []Role     `json:"roles,omitempty"`
	Method   Method     `json:"method"`
	Strength string     `json:"strength"`
}

const (
	bodyVersion = 1
	bodyTime    = "2006-01-02T15:04:05.000000Z"
)

// encode returns the body of an event. It is deterministic.
func encode(at time.Time, by Actor, e Event) ([]byte, error) {
	if err := check(at, by, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	b := body{Version: bodyVersion, At: at.UTC().Format(bodyTime), Kind: e.Kind, Subject: e.Subject, Person: known(e.Person),
		Actor: bodyActor{Person: known(by.Person), Name: by.Name, Roles: by.Roles, Method: by.Method, Strength: by.Strength.String()}}
	if e.Data != nil {
		d, err := marshal(e.Data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrEvent, e.Kind, err)
		}
		b.Data = d
	}
	out, err := marshal(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEvent, e.Kind, err)
	}
	if len(out) > MaxBody {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than %d", ErrEvent, e.Kind, len(out), MaxBody)
	}
	return out, nil
}

func check(at time.Time, by Actor, e Event) error {
	switch {
	case at.IsZero() || at.UTC().Year() < 1 || at.UTC().Year() > 9999:
		return fmt.Errorf("%q has no time", e.Kind)
	case by.Method == "":
		return fmt.Errorf("%q has no actor", e.Kind)
	case e.Kind == "" || len(e.Kind) > MaxKind || strings.Trim(e.Kind, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "":
		return fmt.Errorf("%q is no kind", e.Kind)
	case len(e.Subject) > MaxSubject || !utf8.ValidString(e.Subject) || strings.ContainsFunc(e.Subject, unicode.IsControl):
		return fmt.Errorf("%q has a subject that is too long or no text", e.Kind)
	}
	return nil
}

// marshal is json.Marshal without its escapes for HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func known(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// leafHash is the hash of a body in the tree.
func leafHash(body []byte) tlog.Hash { return tlog.RecordHash(body) }
