package record

import (
	"time"

	"github.com/google/uuid"
)

// Purpose says what a record is for.
type Purpose uint8

const (
	PurposeKey   Purpose = 1 // a person's key
	PurposeDrill Purpose = 2 // a key that is nobody's, opened from time to time to prove that opening works
)

// String returns the purpose's name.
func (p Purpose) String() string {
	switch p {
	case PurposeKey:
		return "key"
	case PurposeDrill:
		return "drill"
	}
	return "unknown"
}

// Limits of a header's texts in bytes.
const (
	MaxAlgorithm = 32
	MaxName      = 256
	MaxMail      = 320
)

const maxHeader = 1024

// Header says whose key a record keeps. It is authenticated together with the key: agents and recipients read the
// subject here and nowhere else.
type Header struct {
	Purpose   Purpose
	SPKI      Hash      // SHA-256 of the key's SubjectPublicKeyInfo, DER
	Algorithm string    // lower case, as in docs/archive-format.md: "rsa-3072", "ec-p256", "x25519", "ml-kem-768"
	Person    uuid.UUID // minted once per person; all zero in a drill
	Name      string    // at deposit; in a key, name or mail is present
	Mail      string    // at deposit
	Time      time.Time // of deposit, whole seconds
}

// Encode returns the canonical bytes.
func (h Header) Encode() ([]byte, error) {
	w := newWriter(kindHeader)
	w.u8(uint8(h.Purpose))
	w.raw(h.SPKI[:])
	w.line(h.Algorithm)
	w.raw(h.Person[:])
	w.line(h.Name)
	w.line(h.Mail)
	w.time(h.Time)
	if w.err != nil {
		return nil, w.err
	}
	if _, err := ParseHeader(w.b); err != nil {
		return nil, err
	}
	return w.b, nil
}

// ParseHeader reads canonical bytes.
func ParseHeader(b []byte) (Header, error) {
	r := newReader(b, kindHeader, maxHeader)
	h := Header{
		Purpose:   Purpose(r.u8("purpose")),
		SPKI:      r.hash("public key hash"),
		Algorithm: r.line("algorithm", MaxAlgorithm),
		Person:    r.uuid("person"),
		Name:      r.line("name", MaxName),
		Mail:      r.line("mail address", MaxMail),
		Time:      r.time("time"),
	}
	h.check(r)
	if err := r.done(); err != nil {
		return Header{}, err
	}
	return h, nil
}

func (h Header) check(r *reader) {
	switch h.Purpose {
	case PurposeKey:
		if h.Person == uuid.Nil {
			r.fail("person", "is missing")
		}
		if h.Name == "" && h.Mail == "" {
			r.fail("name and mail address", "are both missing")
		}
	case PurposeDrill:
		if h.Person != uuid.Nil {
			r.fail("person", "is set, but a drill belongs to nobody")
		}
	default:
		r.fail("purpose", "is not known")
	}
	if h.SPKI.IsZero() {
		r.fail("public key hash", "is missing")
	}
	if !validAlgorithm(h.Algorithm) {
		r.fail("algorithm", "is no name of lower case letters, digits and hyphens")
	}
}

func validAlgorithm(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != ""
}
