// Package fleet knows people's machines, as far as they have been heard of: when, with which version of the agent, what each
// has, and what goes wrong there, by its code. Its main type is Fleet.
//
// A machine is named by a random id that the agent made; it is one only together with the person who asks, so nobody can see
// or touch somebody else's by knowing its id. What a machine says of itself is its person's word: it is bounded, made
// printable, shown as such, and nothing in this installation rests on it. Only the times of contact are the server's own.
//
// It owns the schema fleet, one row for each machine and so many for each person (the ones longest silent give way), and the
// counts that monitoring reads. It decides nothing about certificates, and what a machine should have it does not know: that is
// the policy's (package enroll). Reports are not audited, because nothing was done; forgetting somebody's machine is.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrReport     = fault.New(fault.Malformed, "machine-report", "The report of the machine is not as it should be.")
	ErrID         = fault.New(fault.Malformed, "machine-id", "A machine's id is a UUID that is not nil.")
	ErrUnknown    = fault.New(fault.NotFound, "unknown-machine", "There is no such machine.")
	ErrNotAllowed = fault.New(fault.Denied, "machines-not-allowed", "Only registrars, operators and auditors see other people's machines.")
	ErrForget     = fault.New(fault.Denied, "machine-forget-not-allowed", "Only a registrar may forget other people's machines.")
)

// Policy says what is made of machines that are not heard of.
type Policy struct {
	// Silent is after how long without contact a machine is counted as silent; 0 means 30 days.
	Silent time.Duration `yaml:"silent"`
	// Forget is after how long without contact a machine is forgotten; 0 means 400 days.
	Forget time.Duration `yaml:"forget"`
	// PerPerson is how many machines of one person are known; of more, the one longest silent is forgotten. 0 means 64.
	PerPerson int `yaml:"per_person"`
}

// Validate returns every fault of the policy, each with its path, joined.
func (p Policy) Validate() error {
	var errs []error
	for path, d := range map[string]time.Duration{"silent": p.Silent, "forget": p.Forget} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: is negative", path))
		}
	}
	if p.PerPerson < 0 || p.PerPerson > 1000 {
		errs = append(errs, errors.New("per_person: must lie between 1 and 1000"))
	}
	return errors.Join(errs...)
}

func (p Policy) orDefaults() Policy {
	if p.Silent == 0 {
		p.Silent = 30 * 24 * time.Hour
	}
	if p.Forget == 0 {
		p.Forget = 400 * 24 * time.Hour
	}
	if p.PerPerson == 0 {
		p.PerPerson = 64
	}
	return p
}

// What is counted as urgent: certificates that end within soon, on a machine that has not been heard of for quiet.
const (
	soon  = 14 * 24 * time.Hour
	quiet = 3 * 24 * time.Hour
)

// Config is what a Fleet is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB     *pg.DB
	Audit  *audit.Log // where refusals are recorded
	Policy Policy

	// Left returns those of the people who have left, whose machines are forgotten; nil: nobody has.
	Left func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Fleet knows machines. It is safe for concurrent use, by any number of servers on one database.
type Fleet struct {
	Config
	heard    heard
	contacts atomic.Int64
}

// New returns a fleet. It does not connect.
func New(c Config) (*Fleet, error) {
	if c.DB == nil || c.Audit == nil {
		return nil, errors.New("fleet: Config needs DB and Audit")
	}
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
	return &Fleet{Config: c, heard: newHeard()}, nil
}

// now returns the time as the database keeps it.
func (f *Fleet) now() time.Time { return f.Now().UTC().Truncate(time.Microsecond) }

// Contacts returns how many requests and reports this process has had from machines.
func (f *Fleet) Contacts() int64 { return f.contacts.Load() }

// Sees reports whether somebody may see other people's machines.
func Sees(by audit.Actor) bool {
	return by.Has(audit.Registrar) || by.Has(audit.Operator) || by.Has(audit.Auditor)
}
