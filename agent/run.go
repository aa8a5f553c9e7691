package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// The server's codes for a client certificate that it takes no more: ended, not known, of nobody; and revoked.
const (
	codeCertificate = "client-certificate"
	codeRevoked     = "client-certificate-revoked"
)

// RunOptions say what a run may do by itself.
type RunOptions struct {
	Enrol    EnrolOptions // where nobody is enrolled here yet; also how long to wait for the server
	Restore  bool         // ask the officers for the older keys, once after the first enrolment here
	Force    bool         // even before the time that the last run named
	Password string       // of identity.p12, where the person keeps it
	// Missing is why nothing says who asks where no certificate will do: there is no ticket, or no keytab. It is why a run failed that would
	// have needed that.
	Missing error
}

// Ran is what became of a run.
type Ran struct {
	Early      bool // nothing was looked at: the last run named a later time
	Identities []*Identity
	Enrolled   bool
	Renewed    int // people whose certificates were renewed
	Restored   int // keys that came from the archive
	Waiting    []string
	Filled     []Filled
	Next       time.Time // when to run again
}

// Run does all that is due, and nobody need be there for it: it enrols, where the configuration says who asks; goes on with what was
// begun; renews; fills the key stores that have not got all there is; asks for older keys, or fetches them. What fails does not
// keep the rest from being done; the error names all of it. What waits for other people is no failure.
//
// It is meant to be called often: until the time that it returned it does nothing, and after failures that time moves away, by chance and
// up to maxBackoff, so that a server that comes back does not meet everybody at once.
func (a *Agent) Run(ctx context.Context, opt RunOptions) (*Ran, error) {
	runs, err := a.loadRuns()
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	if !opt.Force && now.Before(runs.Next) && runs.Next.Sub(now) <= maxBackoff { // else the clock was set back
		return &Ran{Early: true, Next: runs.Next}, nil
	}
	r := &run{agent: a, opt: opt, runs: runs, out: &Ran{}}
	failed := r.all(ctx)
	if errors.Is(failed, ErrNoIdentity) || errors.Is(failed, ErrExpired) {
		failed = errors.Join(opt.Missing, failed)
	}
	if errors.Is(failed, ErrBusy) || ctx.Err() != nil {
		r.out.Next = now.Add(time.Minute)
		return r.out, failed
	}
	r.out.Next = runs.settle(failed, r.next(), a.cfg.Now())
	failed = errors.Join(failed, a.saveRuns(runs))
	a.ReportAfter(ctx)
	return r.out, failed
}

// run is one run.
type run struct {
	agent *Agent
	opt   RunOptions
	runs  *runs
	out   *Ran
	soon  bool // somebody else has to act
}

func (r *run) all(ctx context.Context) error {
	ids, err := r.agent.Identities()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		id, err := r.enrol(ctx)
		if err != nil || id == nil {
			return err
		}
		ids = []*Identity{id}
	}
	var failed error
	for _, id := range ids {
		id, err := r.renew(ctx, id)
		failed = errors.Join(failed, err)
		r.out.Identities = append(r.out.Identities, id)
		failed = errors.Join(failed, r.restore(ctx, id), r.fill(ctx, id))
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// waits notes that somebody else has to act, which is no failure.
func (r *run) waits(err error) error {
	if errors.Is(err, ErrWaiting) || errors.Is(err, ErrCaseWaiting) {
		r.soon = true
		r.out.Waiting = append(r.out.Waiting, fault.Of(err).Detail)
		return nil
	}
	return err
}

func (r *run) enrol(ctx context.Context) (*Identity, error) {
	if !r.agent.hasCredentials() {
		return nil, ErrNoIdentity.Withf("Nobody is enrolled here, and nothing says who should be. Run enroll once, or let the agent use the computer's Kerberos ticket.")
	}
	opt := r.opt.Enrol
	opt.Password = r.opt.Password
	id, err := r.agent.Enrol(ctx, opt)
	if err == nil {
		r.out.Enrolled = true
	}
	return id, r.waits(err)
}

// renew renews what is due. A certificate that the server takes no more is not the end, where something else says who asks.
func (r *run) renew(ctx context.Context, id *Identity) (*Identity, error) {
	opt := RenewOptions{Mailbox: id.primary(), Password: r.opt.Password, Patience: r.opt.Enrol.Patience}
	got, err := r.agent.Renew(ctx, opt)
	if (hasCode(err, codeCertificate) || errors.Is(err, ErrRevoked)) && r.agent.hasCredentials() && r.agent.cfg.Unattended {
		r.agent.cfg.Progress("renew", "the server takes the certificate that is here no more; asking with your login instead")
		other := *r.agent
		other.cfg.Unattended = false
		got, err = other.Renew(ctx, opt)
	}
	if err != nil {
		return id, r.waits(err)
	}
	if got.Renewed {
		r.out.Renewed++
	}
	return got.Identity, nil
}

// fill brings the key stores up to date, if they do not have all of this.
func (r *run) fill(ctx context.Context, id *Identity) error {
	if id.Stores.None() {
		return nil
	}
	content := r.agent.contentHash(id)
	if r.runs.person(id.Person.ID).Filled == content {
		return nil
	}
	filled, err := r.agent.Fill(ctx, FillOptions{Person: id.Person.ID, Password: r.opt.Password})
	r.out.Filled = append(r.out.Filled, filled...)
	if err == nil && !slices.ContainsFunc(filled, func(f Filled) bool { return f.Again }) {
		r.runs.person(id.Person.ID).Filled = content
	}
	return err
}

// restore asks for the keys that the archive has and this machine has not, once; and goes on with a restore that was begun, by whomever.
func (r *run) restore(ctx context.Context, id *Identity) error {
	state, err := r.agent.loadRestoring(id)
	if err != nil {
		return err
	}
	mine := r.runs.person(id.Person.ID)
	if state == nil && (!r.opt.Restore || mine.Restore != "") {
		return nil
	}
	got, err := r.agent.Restore(ctx, RestoreOptions{Mailbox: id.primary(), Password: r.opt.Password, Reason: unasked})
	switch {
	case err == nil:
		mine.Restore = "restored"
		r.out.Restored += got.New
		id.History, id.Pairs = got.Identity.History, got.Identity.Pairs
		return nil
	case errors.Is(err, ErrNothingLost):
		mine.Restore = "nothing"
		return nil
	case errors.Is(err, ErrCaseEnded): // a person may ask again; a machine that asks until it gets a yes would be no good
		mine.Restore = "refused"
		return err
	}
	return r.waits(err)
}

// unasked is the reason in a case that no person wrote a reason for.
const unasked = "A new device was set up; its program asks for the older keys by itself."

// next returns when there will be something to do, if nothing failed.
func (r *run) next() time.Time {
	now := r.agent.cfg.Now()
	if r.soon {
		return now.Add(lookSoon)
	}
	next := now.Add(lookEvery)
	for _, id := range r.out.Identities {
		if due, err := r.agent.NextDue(id); err == nil && due.At.After(now) && due.At.Before(next) {
			next = due.At
		}
	}
	return next
}

// primary returns an address that names the identity.
func (id *Identity) primary() string {
	if len(id.Person.Mailboxes) == 0 {
		return ""
	}
	return id.Person.Mailboxes[0]
}

// contentHash names what the key stores should have, and which they are.
func (a *Agent) contentHash(id *Identity) string {
	h := sha256.New()
	for _, held := range id.held() {
		fmt.Fprintf(h, "%x %t\n", held.Certificate, !held.Key.IsZero())
	}
	stores, err := json.Marshal(id.Stores)
	if err != nil { // strings and booleans
		return ""
	}
	h.Write(stores)
	found, _ := a.find(id) // what cannot be looked at now, Fill tells
	for _, s := range found {
		kind, place := s.Name()
		fmt.Fprintf(h, "\n%s %q", kind, place)
	}
	return hex.EncodeToString(h.Sum(nil))
}
