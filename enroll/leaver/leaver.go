// Package leaver looks after the certificates of people who leave: it notices that the directory shows somebody as
// disabled or no longer at all, waits for a while, and then does what the policy says, or lets a registrar say it. Their
// certificates to sign with are revoked (affiliationChanged), and their encryption certificate is taken out of the
// directory (package gal asks Left); their archived keys stay in the archive, which is what it is for.
//
// Who is there and has lost a mail address that their certificates name (Moved) is on the same list: nobody is shown such a
// certificate from then on (package gal asks Lost), and it is revoked as the policy says. The address, with its new owner, gets
// certificates of its own by their next renewal.
//
// It owns the list of leavers and the sweep that goes through everybody. Who is there, and who has changed since a moment ago
// (Heard), package directory says; revoking is package ca's. Observe is for whoever hears of one person's change.
//
// # States
//
//	(not listed) ──▶ noticed ──grace──▶ waiting ──registrar──▶ kept
//	     ▲              │                  │
//	     │              └─────policy───────┴──registrar──▶ leaving ──▶ left
//	     └──── the directory shows the person as active again, with all addresses, from every state
//
// # A directory that answers wrongly
//
// One that does not answer changes nothing. One that answers and has lost people, or a look-up account that has lost its
// rights, looks like many people leaving at once: when more than a share of all are missing, nobody is revoked without a
// registrar's word, and when they are back, nothing has happened. Right before a revocation the directory is asked again.
package leaver

import (
	"errors"
	"fmt"
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
	ErrUnknown    = fault.New(fault.NotFound, "unknown-leaver", "Nobody has noticed that this person left.")
	ErrReturned   = fault.New(fault.Conflict, "leaver-returned", "The directory shows this person as active again. There is nothing to decide.")
	ErrState      = fault.New(fault.Conflict, "leaver-state", "This person's certificates are revoked already; that cannot be taken back.")
	ErrNotAllowed = fault.New(fault.Denied, "leaver-not-allowed", "Only registrars and operators decide about people who left.")
	ErrOwn        = fault.New(fault.Denied, "leaver-own", "Another registrar must decide about you.")
	ErrReason     = fault.New(fault.Malformed, "leaver-reason", "A decision needs a reason: one line of at most 500 characters.")
)

// Action is what becomes of people with a standing, when nobody says otherwise.
type Action string

// The actions.
const (
	Ask    Action = "ask"    // a registrar decides
	Revoke Action = "revoke" // without a word
	Ignore Action = "ignore" // nothing
)

// Policy says what becomes of the certificates of people who leave.
type Policy struct {
	// Disabled is what is done when the directory marks somebody's account as disabled: ask (a registrar decides; the
	// default), revoke, or ignore.
	Disabled Action `yaml:"disabled"`
	// Gone is the same for when the directory has the entry no more.
	Gone Action `yaml:"gone"`
	// Moved is the same for when the directory no longer has an address for somebody that their certificates name: what names
	// it is revoked. Nobody is shown it from the moment that this is noticed.
	Moved Action `yaml:"moved"`
	// Grace is how long somebody must have been disabled or gone before anything is done; who comes back meanwhile has lost
	// nothing. 0 means 24h.
	Grace time.Duration `yaml:"grace"`
	// Limit is the part of all people with certificates who may be missing, or have been revoked within a day, before
	// nobody is revoked any more without a registrar's word: the directory may be wrong. At least one person may. 0 means
	// 0.02.
	Limit float64 `yaml:"limit"`
	// Every is how often the directory is asked about everybody; 0 means 1h.
	Every time.Duration `yaml:"every"`
}

// Validate returns every fault of the policy, each with its path, joined.
func (p Policy) Validate() error {
	var errs []error
	for path, a := range map[string]Action{"disabled": p.Disabled, "gone": p.Gone, "moved": p.Moved} {
		if a != "" && a != Ask && a != Revoke && a != Ignore {
			errs = append(errs, fmt.Errorf("%s: %q is not ask, revoke or ignore", path, a))
		}
	}
	for path, d := range map[string]time.Duration{"grace": p.Grace, "every": p.Every} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: is negative", path))
		}
	}
	if !(p.Limit >= 0 && p.Limit <= 1) {
		errs = append(errs, errors.New("limit: must lie between 0 and 1"))
	}
	return errors.Join(errs...)
}

func (p Policy) orDefaults() Policy {
	for _, a := range []*Action{&p.Disabled, &p.Gone, &p.Moved} {
		if *a == "" {
			*a = Ask
		}
	}
	if p.Grace == 0 {
		p.Grace = 24 * time.Hour
	}
	if p.Limit == 0 {
		p.Limit = 0.02
	}
	if p.Every == 0 {
		p.Every = time.Hour
	}
	return p
}

// action returns what is done about people with a standing.
func (p Policy) action(s directory.Standing) Action {
	switch s {
	case directory.StandingDisabled:
		return p.Disabled
	case directory.StandingGone:
		return p.Gone
	case Moved:
		return p.Moved
	default:
		return Ignore
	}
}

// State is where a leaver stands; see the package's comment.
type State string

// The states.
const (
	Noticed State = "noticed" // within the grace
	Waiting State = "waiting" // for a registrar
	Leaving State = "leaving" // is being revoked
	Left    State = "left"    // signs no more, and is not shown to who writes
	Kept    State = "kept"    // a registrar said so, until the directory says something else
)

// Leaver is somebody whom the directory shows as disabled, no longer, or without an address that their certificates name.
type Leaver struct {
	Number   int64 // order of notice; a cursor
	Person   uuid.UUID
	Name     string // as in the newest certificate
	Mailbox  string // of the same; may be empty
	Standing directory.Standing
	State    State
	Why      string // of waiting: WhyPolicy or WhyLimit
	Noticed  time.Time
	Changed  time.Time // of the state
	By       *audit.Actor
	Reason   string   // what By said
	Lost     []string // addresses that their certificates name and that are no longer theirs, of Moved; in lower case
}

// Why somebody waits for a registrar.
const (
	WhyPolicy = "policy" // the policy asks for it
	WhyLimit  = "limit"  // too many people are missing at once
)

// Config is what a Desk is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Directory *directory.Directory
	Audit     *audit.Log // where refusals are recorded
	Policy    Policy

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards

	// After is called when a step has been committed, with its name; nil does nothing. Tests end the process there.
	After func(step string)
}

// Desk looks after leavers. It is safe for concurrent use, and any number of servers may work on one database.
type Desk struct{ Config }

// New returns a desk.
func New(c Config) (*Desk, error) {
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	c.Policy = c.Policy.orDefaults()
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

// now returns the time as the database keeps it.
func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }

// event returns an event about somebody.
func event(kind string, person uuid.UUID, data map[string]any) audit.Event {
	return audit.Event{Kind: kind, Subject: "person:" + person.String(), Person: person, Data: data}
}
