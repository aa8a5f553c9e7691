package enroll

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// issue takes a request whose key, if it must be, is archived, to its certificates: both or neither. Each step is a
// transaction, idempotent by the request's id; Resume calls issue again after a crash.
//
// It is reached from Received (no endorsement asked) and Endorsed.
func (r *Registry) issue(ctx context.Context, by audit.Actor, req *Request) (*Request, error) {
	var prepared []ca.Prepared
	steps := []struct {
		name string
		do   func() error
	}{
		// Rule 2: no encryption certificate is signed before its key is archived and committed.
		{"archived", func() error { return r.checkArchived(ctx, req) }},
		// Rule 3: what will be signed is linted and written down first.
		{"prepared", func() (err error) {
			prepared, err = r.Authority.Prepare(ctx, by, r.requests(req)...)
			return err
		}},
		{"signed", func() (err error) {
			req.Certificates, err = r.Authority.Sign(ctx, by, prepared)
			return err
		}},
		{"issued", func() error { return r.markIssued(ctx, by, req) }},
		{"confirmed", func() error { return r.confirm(ctx, req) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return nil, r.giveUp(ctx, by, req, err)
		}
		r.After(s.name)
	}
	return req, nil
}

// requests are the certificates that the request asks the authority for.
func (r *Registry) requests(req *Request) []ca.Request {
	p := r.plans[req.Enrolment]
	var out []ca.Request
	add := func(profile *ca.Profile, spki []byte) {
		if profile == nil {
			return
		}
		out = append(out, ca.Request{
			ID: req.ID, Profile: profile.Name(), Person: req.Person, Mailboxes: req.Subject.Mailboxes, PublicKey: spki,
			Subject: ca.Subject{CommonName: req.Subject.CommonName, GivenName: req.Subject.GivenName,
				Surname: req.Subject.Surname, SerialNumber: req.Subject.Employee},
		})
	}
	add(p.signing, req.SigningSPKI)
	add(p.encryption, req.EncryptionSPKI)
	return out
}

func (r *Registry) checkArchived(ctx context.Context, req *Request) error {
	if !r.plans[req.Enrolment].escrowed() {
		return nil
	}
	if req.Receipt == nil { // not from Submit, which has it from the deposit's commit
		receipt, err := r.Archive.ByRequest(ctx, req.ID)
		if err != nil {
			return err
		}
		req.Receipt = receipt
	}
	if req.Receipt.Key != keyuse.HashOf(req.EncryptionSPKI) {
		return fault.New(fault.Conflict, "archived-another-key", "The archive keeps another key for this request.")
	}
	return nil
}

// markIssued moves the request and enqueues what follows, in one transaction.
func (r *Registry) markIssued(ctx context.Context, by audit.Actor, req *Request) error {
	b := &pgx.Batch{}
	jobs.QueuePublication(b, r.Now(), req.Person)
	var then func(pgx.Tx) error
	if req.By.Method == audit.MethodToken { // whoever it was, the person is told
		then = func(tx pgx.Tx) error {
			t, err := selectSpent(ctx, tx, req.ID)
			if err != nil || t == nil {
				return err
			}
			return r.Jobs.Insert(ctx, tx, t.telling("used", r.Now()))
		}
	}
	err := r.moveWith(ctx, b, then, by, req, req.State, Issued, "enrolment.issued", "")
	if errors.Is(err, ErrState) { // another server finished it meanwhile
		now, getErr := r.Get(ctx, by, req.ID)
		if getErr == nil && now.State == Issued {
			*req = *now
			return nil
		}
		return errors.Join(err, getErr)
	}
	return err
}

func (r *Registry) confirm(ctx context.Context, req *Request) error {
	if !r.plans[req.Enrolment].escrowed() {
		return nil
	}
	return r.Archive.Confirm(ctx, req.ID)
}

// fail undoes a request that cannot be issued: prepared serials are revoked, the held record goes, the state says so.
// In that order: whatever a crash in between leaves is found again by Resume, because the state comes last.
func (r *Registry) fail(ctx context.Context, by audit.Actor, req *Request, reason string) error {
	if _, err := r.Authority.Abandon(ctx, by, req.ID); err != nil {
		return err
	}
	if r.Archive != nil {
		if err := r.Archive.Remove(ctx, by, req.ID); err != nil {
			return err
		}
	}
	return r.move(ctx, by, req, req.State, Failed, "enrolment.failed", reason)
}

// stale is how long a request may stand still before Resume takes it up, and patience how long a client has to repeat
// one whose key was not yet archived. The latter is the authority's limit for prepared certificates too.
const (
	stale    = time.Minute
	patience = 10 * time.Minute
)

// Resume finishes or undoes requests that a crash or an absent database left half done. It is idempotent and may run on
// several servers at once; it is a periodic job.
func (r *Registry) Resume(ctx context.Context) error {
	const batch = 100
	var requests []*Request
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		requests, err = selectUnfinished(ctx, tx, r.Now().Add(-stale), batch)
		return err
	})
	if err != nil {
		return err
	}
	by := audit.System("enroll")
	errs := []error{r.settleHeld(ctx, by)}
	for _, req := range requests {
		if err := r.resume(ctx, by, req); err != nil {
			errs = append(errs, err)
			r.Log.Warn("request not resumed", "request", req.ID, "error", err)
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) resume(ctx context.Context, by audit.Actor, req *Request) error {
	p, known := r.plans[req.Enrolment]
	deposited := true
	if p.escrowed() {
		_, err := r.Archive.ByRequest(ctx, req.ID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		deposited = err == nil
	}
	switch {
	case !known:
		return r.fail(ctx, by, req, "This kind of enrolment is no longer offered.")
	case !deposited && req.ReceivedAt.Before(r.Now().Add(-patience)):
		// The private key exists at the client alone: only a repetition could have brought it.
		return r.fail(ctx, by, req, "The request was interrupted before the key was archived, and was not repeated in time.")
	case !deposited:
		return nil
	case req.State == Received && p.Endorsement:
		return r.move(ctx, by, req, Received, Submitted, "enrolment.submitted", "")
	default:
		_, err := r.issue(ctx, by, req)
		if req.State == Failed { // undone, which settles it as well
			r.Log.Info("request failed", "request", req.ID, "cause", err)
			return nil
		}
		return err
	}
}

// settleHeld finishes what a crash after a request's last state left: records that are still held although the request
// was issued are confirmed, those of rejected and failed requests removed.
func (r *Registry) settleHeld(ctx context.Context, by audit.Actor) error {
	if r.Archive == nil {
		return nil
	}
	held, err := r.Archive.Held(ctx, r.Now().Add(-stale))
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range held {
		var req *Request
		err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			req, err = selectRequest(ctx, tx, id)
			return err
		})
		switch {
		case errors.Is(err, ErrUnknownRequest):
			err = r.Archive.Remove(ctx, by, id)
		case err != nil:
		case req.State == Issued:
			err = r.Archive.Confirm(ctx, id)
		case req.State == Rejected || req.State == Failed:
			err = r.Archive.Remove(ctx, by, id)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
