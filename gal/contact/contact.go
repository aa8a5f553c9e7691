// Package contact keeps the certificates of people outside the company, each verified by a registrar, in the company's own
// directory: in the entry that their mail address leads to, where the employees' mail programs look for it.
//
// It owns the list of contacts, what is asked of such a certificate before it is taken, and its being shown for as long as it
// is valid and not revoked. Nothing comes onto the list by itself. What it put into an entry it takes out again, by exact value, and never
// anything else: these certificates are signed by others, so a signature does not say whose value it is; a table does.
//
// People's own entries are package gal's; the directory is package directory's. Revocation lists are looked at by the caller's
// function.
//
// # States
//
//	current ──▶ replaced (by a newer certificate of the address)
//	        ──▶ removed (by a registrar)
//	        ──▶ expired, revoked (by itself)
package contact

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrOff         = fault.New(fault.Conflict, "contacts-off", "This installation keeps no contacts: an operator sets gal.contacts.base.")
	ErrNotAllowed  = fault.New(fault.Denied, "contact-not-allowed", "Only registrars decide whose certificates are shown as contacts; operators and auditors see them too.")
	ErrUnknown     = fault.New(fault.NotFound, "unknown-contact", "There is no such contact.")
	ErrState       = fault.New(fault.Conflict, "contact-state", "This contact's certificate is not shown any more.")
	ErrNote        = fault.New(fault.Malformed, "contact-note", "It must be said how the certificate was verified, or why it goes: one line of at most 500 characters.")
	ErrMailbox     = fault.New(fault.Malformed, "contact-mailbox", "This is no mail address.")
	ErrOwnAddress  = fault.New(fault.Conflict, "contact-own-address", "The address is one of the company's own. Its people get certificates here.")
	ErrCertificate = fault.New(fault.Malformed, "contact-certificate-unreadable", "There is no person's certificate in this that can be read.")
	ErrSeveral     = fault.New(fault.Malformed, "contact-certificate-several", "There are several certificates of the address in this. Hand in the right one alone.")
	ErrOurs        = fault.New(fault.Conflict, "contact-certificate-ours", "The certificate is one of our own authority's.")
	ErrAddress     = fault.New(fault.Malformed, "contact-certificate-address", "The certificate does not name the address.")
	ErrUse         = fault.New(fault.Malformed, "contact-certificate-use", "The certificate is not one to encrypt mail with.")
	ErrWeak        = fault.New(fault.Malformed, "contact-certificate-weak", "The certificate's key or signature is too weak.")
	ErrTime        = fault.New(fault.Malformed, "contact-certificate-time", "The certificate is not valid now.")
	ErrTrust       = fault.New(fault.Denied, "contact-certificate-untrusted", "The certificate does not come from an authority that is trusted for contacts.")
	ErrRevoked     = fault.New(fault.Conflict, "contact-certificate-revoked", "The certificate's issuer has revoked it.")
	ErrOlder       = fault.New(fault.Conflict, "contact-certificate-older", "A newer certificate of the address is shown. Remove that one first if this one is right.")
)

// State is where a contact's certificate stands; see the package's comment.
type State string

// The states.
const (
	Current  State = "current"
	Replaced State = "replaced"
	Removed  State = "removed"
	Expired  State = "expired"
	Revoked  State = "revoked"
)

// Trust says what a certificate's being the contact's rests on.
type Trust string

// What it rests on, beside the registrar's word, which there always is.
const (
	ByAnchors   Trust = "anchors"   // the chain leads to an authority that is trusted for contacts
	ByRegistrar Trust = "registrar" // nothing: no authorities are configured
)

// Shown says what became of a certificate in the directory.
type Shown string

// What became of it. The first holds until it was looked.
const (
	Waiting  Shown = "waiting"
	InEntry  Shown = "shown"
	NoEntry  Shown = "no-entry"  // the address leads to no entry
	Several  Shown = "several"   // it leads to several
	Full     Shown = "full"      // others' values leave no room
	TooLarge Shown = "too-large" // more is in the entry than is read
	Failed   Shown = "failed"    // the directory did not answer, or refused
	Gone     Shown = "gone"      // of one that is not current: it is nowhere any more
)

// Places returns all that Shown can be.
func Places() []Shown {
	return []Shown{Waiting, InEntry, NoEntry, Several, Full, TooLarge, Failed, Gone}
}

// Revocation as a Contact has it, or a sentence that says why nothing is known.
const (
	NotRevoked = "good"
	NoLists    = "none" // the certificate names no lists
)

// Contact is a certificate of somebody outside, and what is to say of it.
type Contact struct {
	Number      int64 // order of being added; a cursor
	ID          uuid.UUID
	Mailbox     string
	State       State
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // those above it, as far as they are known
	Trust       Trust
	Note        string // how it was verified
	AddedAt     time.Time
	AddedBy     audit.Actor
	EndedAt     *time.Time // of one that is not current
	EndedBy     *audit.Actor
	Reason      string // of the end
	Revocation  string
	AskedAt     time.Time // when revocation was last asked about
	Shown       Shown
	DN          string // of the entry, where Shown is InEntry
	Failure     string // may be shown
	LookedAt    *time.Time

	key string
	due *time.Time
}

// Fingerprint is the certificate's SHA-256, which registrars compare, in hexadecimal.
func (c *Contact) Fingerprint() string {
	sum := sha256.Sum256(c.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// Ends reports whether a current contact's certificate ends within a time.
func (c *Contact) Ends(now time.Time, within time.Duration) bool {
	return c.State == Current && c.Certificate.NotAfter.Sub(now) <= within
}

// Soon is how long before its end a contact's certificate is said to end soon.
const Soon = 30 * 24 * time.Hour

// Config is what a Desk is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority // whose certificates are no contacts'
	People    *directory.Directory
	// Directory is where contacts' entries are: its people are the contacts. nil: there are no contacts.
	Directory *directory.Directory
	Find      *directory.Finder
	Audit     *audit.Log
	// Own are the company's mail domains, and single addresses, in lower case.
	Own []string
	// Anchors are the authorities that contacts' certificates must come from; none: the registrar's word is enough.
	Anchors   []*x509.Certificate
	MaxValues int           // of userCertificate in an entry, as gal.Policy has it
	Every     time.Duration // how often each entry and each revocation list is looked at; 0 means 24h
	// Revocation asks the lists that a certificate names, whose issuers are given as far as they are known. unknown says why
	// they do not tell, "" if they do. nil: nobody asks.
	Revocation func(ctx context.Context, c *x509.Certificate, issuers []*x509.Certificate) (revoked bool, unknown string)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards

	// After is called when a step has been committed, with its name; nil does nothing. Tests end the process there.
	After func(step string)
}

// Desk keeps the contacts. It is safe for concurrent use, and any number of servers may work on one database.
type Desk struct{ Config }

// New returns a desk.
func New(c Config) (*Desk, error) {
	if c.Directory != nil && c.Find == nil {
		return nil, errors.New("contacts: there is no way to find their entries")
	}
	if c.MaxValues == 0 {
		c.MaxValues = 15
	}
	if c.Every == 0 {
		c.Every = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.After == nil {
		c.After = func(string) {}
	}
	return &Desk{c}, nil
}

// On reports whether contacts are kept at all.
func (d *Desk) On() bool { return d.Directory != nil }

// now returns the time as the database keeps it.
func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }
