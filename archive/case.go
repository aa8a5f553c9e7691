package archive

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Faults that callers of Cases test for, beside those of package record.
var (
	ErrUnknownCase  = fault.New(fault.NotFound, "unknown-case", "There is no such recovery case, or it is not yours to see.")
	ErrCaseState    = fault.New(fault.Conflict, "case-state", "The recovery case is not in a state in which that can be done.")
	ErrCaseRefused  = fault.New(fault.Denied, "case-refused", "This recovery case cannot be opened.")
	ErrNothingToAsk = fault.New(fault.NotFound, "case-empty", "The archive keeps no key that this asks for.")
	ErrAnswered     = fault.New(fault.Conflict, "case-answered", "This agent has answered the case before, and differently. The first answer stands.")
	ErrNotRecipient = fault.New(fault.Denied, "case-not-recipient", "Only the recipient whom the case names may collect from it.")
	ErrNotRequester = fault.New(fault.Denied, "case-not-requester", "Only who opened the case may do that.")
)

// CaseState is where a case stands.
type CaseState string

// The states of a case. Closed, denied, cancelled and expired are final.
const (
	CaseRequested CaseState = "requested" // agents are asked
	CaseApproved  CaseState = "approved"  // enough of them agreed; the recipient may collect
	CaseReleased  CaseState = "released"  // the recipient has begun to collect
	CaseClosed    CaseState = "closed"    // the recipient has what was asked for
	CaseDenied    CaseState = "denied"    // so many agents refused that the threshold cannot be reached
	CaseCancelled CaseState = "cancelled" // by the requester
	CaseExpired   CaseState = "expired"   // the deadline passed
)

// transitions are all there are.
var transitions = map[CaseState][]CaseState{
	CaseRequested: {CaseApproved, CaseDenied, CaseCancelled, CaseExpired},
	CaseApproved:  {CaseReleased, CaseCancelled, CaseExpired},
	CaseReleased:  {CaseClosed, CaseExpired},
}

// open reports whether a case in this state can still come to something.
func (s CaseState) open() bool { return transitions[s] != nil }

// Case is a recovery case as the archive keeps it.
type Case struct {
	*record.SignedCase
	State       CaseState
	StateReason string    // why it was denied or cancelled
	SilentUntil time.Time // the subjects of a legal case are not told before; zero if they may be told
	Changed     time.Time
	Answers     []CaseAnswer
	Collected   []time.Time // per delivery, last; zero for those that were not

	recipients []uuid.UUID // per delivery
}

// CaseAnswer is what an agent said.
type CaseAnswer struct {
	*record.SignedApproval
	Received time.Time
	Disputed bool // a recipient says that the partials are wrong
}

// approvals returns how many of the given agents approved with partials that nobody disputes.
func (c *Case) approvals(may []uint16) (n int) {
	for _, a := range c.Answers {
		if a.Decision == record.Approve && !a.Disputed && slices.Contains(may, a.Agent) {
			n++
		}
	}
	return n
}

// CasesConfig is what Cases are made of. Every field without "nil" or a default in its comment is required.
type CasesConfig struct {
	Archive *Archive
	Jobs    *jobs.Queue
	Audit   *audit.Log

	// Signs returns the person's roles if a certificate is in force and is one with which the person signs.
	Signs func(ctx context.Context, c *x509.Certificate, person uuid.UUID) ([]audit.Role, error)
	// InForce returns nil if a certificate of an agent or recipient is valid and not revoked.
	InForce func(ctx context.Context, c *x509.Certificate) error

	Longest time.Duration // from a case's opening to its deadline; 0 means 30 days
	Silence time.Duration // from a legal case's opening to when its subjects are told; 0 means 180 days

	// After is told of each step that was committed, before anybody else is: requested, answered, collected, disputed,
	// cancelled, closed, expired. It is for tests that stop the process there; nil does nothing.
	After func(step string)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Cases are the recovery cases: who asks for whose keys and why, what the agents answered, and what is released to the
// recipient. The archive's part in opening a key is to take off the outer layer, after the release is committed to the
// audit log; nothing that the server holds takes off the inner one. Cases are safe for concurrent use, by any number of
// servers.
type Cases struct {
	CasesConfig
}

// NewCases checks the configuration.
func NewCases(c CasesConfig) (*Cases, error) {
	if c.Archive == nil || c.Jobs == nil || c.Audit == nil || c.Signs == nil || c.InForce == nil {
		return nil, errors.New("archive: the cases' configuration is not complete")
	}
	if c.After == nil {
		c.After = func(string) {}
	}
	if c.Longest == 0 {
		c.Longest = 30 * 24 * time.Hour
	}
	if c.Silence == 0 {
		c.Silence = 180 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Cases{c}, nil
}

// roster returns the verified roster that a case is put to. Once its pin is gone from the configuration, as after a
// reshare, the case's approvals have lapsed.
func (c *Cases) roster(ctx context.Context, s *record.SignedCase) (*record.Roster, error) {
	r, err := c.Archive.roster.get(ctx, s.Roster)
	if errors.Is(err, ErrRosterPin) {
		return nil, ErrCaseState.Withf("The agents have changed since this case was opened. Open it again.").Because(err)
	}
	return r, err
}

// Get returns a case to those it concerns: requester, subjects who may know, recipients, agents of its roster, auditors.
func (c *Cases) Get(ctx context.Context, by audit.Actor, id uuid.UUID) (*Case, error) {
	var out *Case
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if err := c.maySee(ctx, tx, by, id); err != nil {
			return err
		}
		out, err = selectCase(ctx, tx, id, false)
		return err
	})
	return out, err
}

func (c *Cases) maySee(ctx context.Context, tx pgx.Tx, by audit.Actor, id uuid.UUID) error {
	sees, err := selectMaySee(ctx, tx, id, by.Person, by.Has(audit.Auditor), c.Now())
	if err == nil && !sees {
		return ErrUnknownCase
	}
	return err
}

// Capsules returns the capsules of a case in its order, from the given position on, at most limit. They are public.
func (c *Cases) Capsules(ctx context.Context, by audit.Actor, id uuid.UUID, from, limit int) ([][]byte, error) {
	var out [][]byte
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := c.maySee(ctx, tx, by, id); err != nil {
			return err
		}
		var err error
		out, err = selectCaseCapsules(ctx, tx, id, from, min(max(limit, 1), 1000))
		return err
	})
	return out, err
}

// refused writes a refusal into the audit log, in a transaction of its own, and returns it.
func (c *Cases) refused(ctx context.Context, by audit.Actor, id uuid.UUID, kind string, cause error) error {
	f := fault.Of(cause)
	if f == nil || errors.Is(f, fault.Unavailable) {
		return cause
	}
	_, err := c.Audit.Record(ctx, by, audit.Event{Kind: kind, Subject: "case:" + id.String(), Person: by.Person, Data: map[string]any{"code": f.Code}})
	if err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// move changes a case's state in the caller's transaction, with its event and what follows from it.
func (c *Cases) move(ctx context.Context, tx pgx.Tx, by audit.Actor, k *Case, to CaseState, reason string) error {
	if !slices.Contains(transitions[k.State], to) {
		return ErrCaseState.Withf("The case is %s.", k.State)
	}
	now := c.Now()
	if err := updateCase(ctx, tx, k.ID, to, reason, now); err != nil {
		return err
	}
	if !to.open() {
		if err := deletePartials(ctx, tx, k.ID); err != nil {
			return err
		}
	}
	k.State, k.StateReason, k.Changed = to, reason, now
	if err := c.event(ctx, tx, by, k, "archive.case-"+string(to), map[string]any{"reason": reason}); err != nil {
		return err
	}
	return c.Jobs.Insert(ctx, tx, jobs.TellCase{Case: k.ID, About: string(to)})
}

// event appends an event about a case. Its person is the one whose act it is about: the requester.
func (c *Cases) event(ctx context.Context, tx pgx.Tx, by audit.Actor, k *Case, kind string, data map[string]any) error {
	data["case"] = k.Hash().String()
	_, err := audit.Append(ctx, tx, c.Now(), by, audit.Event{Kind: kind, Subject: "case:" + k.ID.String(), Person: k.Requester.Person, Data: data})
	return err
}

// change locks a case and changes it, which is a step.
func (c *Cases) change(ctx context.Context, by audit.Actor, id uuid.UUID, step string, do func(pgx.Tx, *Case) error) (*Case, error) {
	var k *Case
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if err := c.maySee(ctx, tx, by, id); err != nil {
			return err
		}
		if k, err = selectCase(ctx, tx, id, true); err != nil {
			return err
		}
		return do(tx, k)
	})
	if err != nil {
		return nil, err
	}
	c.After(step)
	return k, nil
}

// inTime returns ErrCaseState unless the case can still come to something.
func (c *Cases) inTime(k *Case) error {
	if !k.State.open() {
		return ErrCaseState.Withf("The case is %s.", k.State)
	}
	if c.Now().After(k.Deadline) {
		return ErrCaseState.Withf("The deadline of the case passed at %s.", k.Deadline.Format(time.RFC3339))
	}
	return nil
}

// Cancel takes a case back, before anything was collected.
func (c *Cases) Cancel(ctx context.Context, by audit.Actor, id uuid.UUID, reason string) (*Case, error) {
	return c.change(ctx, by, id, "cancelled", func(tx pgx.Tx, k *Case) error {
		if k.Requester.Person != by.Person {
			return ErrNotRequester
		}
		return c.move(ctx, tx, by, k, CaseCancelled, reason)
	})
}

// Expire ends the cases whose deadline has passed. It is a periodic job and may run on several servers at once.
func (c *Cases) Expire(ctx context.Context) error {
	now := c.Now()
	ended := 0
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		ids, err := selectOverdue(ctx, tx, now, 100)
		if err != nil {
			return err
		}
		for _, id := range ids {
			k, err := selectCase(ctx, tx, id, true)
			if err != nil {
				return err
			}
			if err := c.move(ctx, tx, audit.System("archive"), k, CaseExpired, ""); err != nil {
				return err
			}
		}
		ended = len(ids)
		return nil
	})
	if err == nil && ended > 0 {
		c.After("expired")
	}
	return err
}
