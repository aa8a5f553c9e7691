package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
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
//
// The nonce makes every hash unique, and hides what it stands for: proofs that are given to one person hold the hashes
// of other persons' events, which could otherwise be guessed from time, kind and name.
type body struct {
	Version int             `json:"v"`
	Nonce   string          `json:"nonce"` // 128 random bits, base64 without padding
	At      string          `json:"at"`    // RFC 3339, UTC, microseconds
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

// encode returns the body of an event. It is deterministic but for the nonce.
func encode(at time.Time, by Actor, e Event) ([]byte, error) {
	if err := check(at, by, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	b := body{Version: bodyVersion, Nonce: base64.RawStdEncoding.EncodeToString(nonce[:]), At: at.UTC().Format(bodyTime), Kind: e.Kind, Subject: e.Subject,
		Person: known(e.Person), Actor: bodyActor{Person: known(by.Person), Name: by.Name, Roles: by.Roles, Method: by.Method, Strength: by.Strength.String()}}
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
	out = storable(out)
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

// storable puts U+FFFD in the place of what JSON may hold but PostgreSQL's jsonb refuses, the escapes of NUL and of half a
// surrogate pair: otherwise a name of somebody's choosing would break every auditor's query. It works in place.
func storable(b []byte) []byte {
	for i := bytes.IndexByte(b, '\\'); i >= 0 && i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		switch unit, next := escaped(b[i:]), escaped(b[min(i+6, len(b)):]); {
		case unit < 0: // another escape, such as \\ or \n
			i++
		case unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000:
			i += 11
		case unit == 0 || unit >= 0xd800 && unit < 0xe000:
			copy(b[i:], `\ufffd`)
			i += 5
		default:
			i += 5
		}
	}
	return b
}

// escaped returns the UTF-16 unit of the escape \uXXXX that s begins with, or -1.
func escaped(s []byte) int {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

func known(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Entry is an event as it is read back.
type Entry struct {
	ID      int64
	Index   int64 // in the log; -1 while it has none
	At      time.Time
	Kind    string
	Subject string
	Person  uuid.UUID
	By      Actor
	Data    json.RawMessage // nil if there is none
	Body    []byte          // what is hashed
}

// decode parses a body. It is strict: a body that encode could not have made is an error.
func decode(b []byte) (Entry, error) {
	var v body
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return Entry{}, fmt.Errorf("event body: %w", err)
	}
	if d.InputOffset() != int64(len(b)) {
		return Entry{}, errors.New("event body: more than one value")
	}
	if v.Version != bodyVersion {
		return Entry{}, fmt.Errorf("event body: version %d is unknown", v.Version)
	}
	at, err := time.Parse(bodyTime, v.At)
	if err != nil {
		return Entry{}, fmt.Errorf("event body: %w", err)
	}
	e := Entry{Index: -1, At: at, Kind: v.Kind, Subject: v.Subject, Data: v.Data, Body: b,
		By: Actor{Name: v.Actor.Name, Roles: v.Actor.Roles, Method: v.Actor.Method, Strength: ParseStrength(v.Actor.Strength)}}
	if v.Person != nil {
		e.Person = *v.Person
	}
	if v.Actor.Person != nil {
		e.By.Person = *v.Actor.Person
	}
	return e, nil
}
