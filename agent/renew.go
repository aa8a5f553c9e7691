package agent

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/api"
)

// RenewOptions say what to renew.
type RenewOptions struct {
	Mailbox  string        // whose, where there are several people
	Force    bool          // even if it is not due
	Password string        // of identity.p12, where the person keeps it
	Patience time.Duration // as with EnrolOptions
}

// Renewal is what became of a renewal.
type Renewal struct {
	Identity *Identity
	Renewed  bool
	Due      time.Time // when the next one is due
}

// Renew makes new pairs in place of those whose time has come, with new keys. Unless there are other credentials, the
// certificate being renewed shows who asks. Old encryption keys stay.
func (a *Agent) Renew(ctx context.Context, opt RenewOptions) (_ *Renewal, err error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	attempt := a.attempt("renew")
	defer attempt.ends(ctx, &err)
	id, err := a.rewritable(opt.Mailbox, opt.Password)
	if err != nil {
		return nil, err
	}
	attempt.person = id.Person.ID
	r := &Renewal{Identity: id}
	if r.Identity, r.Renewed, err = a.finishBegun(ctx, id, opt); err != nil {
		return nil, err
	}
	told, err := a.consult(ctx, r.Identity)
	if err != nil {
		return nil, err
	}
	if err := a.renewDue(ctx, r, opt, told); err != nil {
		return nil, err
	}
	a.revokeOld(ctx, r.Identity, told)
	a.reseal(ctx, r.Identity)
	if a.advertise(ctx, r.Identity) && !r.Renewed {
		a.cfg.Progress("renew", "your name or your addresses are no longer those of your certificates: new ones are made")
		opt.Force = true
		if err := a.renewDue(ctx, r, opt, told); err != nil {
			return nil, err
		}
		a.reseal(ctx, r.Identity)
		a.advertise(ctx, r.Identity)
	}
	due, err := a.NextDue(r.Identity)
	r.Due = due.At
	return r, err
}

// renewDue renews what is due, or everything.
func (a *Agent) renewDue(ctx context.Context, r *Renewal, opt RenewOptions, told api.Policy) error {
	id := r.Identity
	force := opt.Force && !r.Renewed
	for _, enrolment := range id.enrolments() { // of the identity as it was: nothing is renewed twice
		due, err := r.Identity.current(enrolment).due(told, id.RenewAfter)
		if err != nil {
			return err
		}
		if due.Held && !force {
			a.cfg.Progress("renew", "your certificates are on hold; they are not renewed before a registrar has released them")
			continue
		}
		if a.cfg.Now().Before(due.At) && !force {
			continue
		}
		if due.Say != "" {
			a.cfg.Progress("renew", due.Say)
		}
		if r.Identity, err = a.renew(ctx, r.Identity, enrolment, opt); err != nil {
			return err
		}
		r.Renewed = true
	}
	return nil
}

// finishBegun takes a request that was begun earlier to its end, if there is one.
func (a *Agent) finishBegun(ctx context.Context, id *Identity, opt RenewOptions) (*Identity, bool, error) {
	dir := a.folder(id.Person.ID)
	p, err := a.loadPending(dir)
	if err != nil || p == nil {
		return id, false, err
	}
	c, err := a.dialNow(ctx, id)
	if err != nil {
		return id, false, err
	}
	defer c.Close()
	renewed, err := a.resume(ctx, c, dir, p, EnrolOptions{Password: opt.Password, Patience: opt.Patience})
	if err != nil {
		return id, false, err
	}
	return renewed, true, nil
}

func (a *Agent) renew(ctx context.Context, id *Identity, enrolment string, opt RenewOptions) (*Identity, error) {
	c, err := a.dialNow(ctx, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	policy, err := a.policyOf(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return a.request(ctx, c, policy, EnrolOptions{Enrolment: enrolment, Again: true, Password: opt.Password, Patience: opt.Patience})
}
