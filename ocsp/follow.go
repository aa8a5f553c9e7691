package ocsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/ca"
)

// Times of what Run does.
const (
	followEvery   = 400 * time.Millisecond // a revocation is to be seen within a second on every server
	followTimeout = 5 * time.Second
	renewEvery    = time.Minute
	blindAfter    = 10 * time.Second // Check complains
)

// Run keeps answers in memory, follows what is revoked, and renews answers and certificates ahead of time, until the
// context ends. It may run once at a time.
func (r *Responder) Run(ctx context.Context) {
	defer r.kept.end()
	r.follow(ctx)
	var g errgroup.Group
	g.Go(func() error {
		_ = r.certified(ctx, true) // what fails is in the log, and in Check
		r.warm(ctx)
		r.warmed.Store(true)
		r.every(ctx, renewEvery, r.renew)
		return nil
	})
	r.every(ctx, followEvery, r.follow)
	_ = g.Wait() // returns no error
}

func (r *Responder) every(ctx context.Context, d time.Duration, do func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			do(ctx)
		}
	}
}

// follow sees the changes of every issuer. What fails is tried again the next time; meanwhile entries stay as they are.
func (r *Responder) follow(ctx context.Context) {
	for _, i := range r.issuers {
		if !i.CanSign() {
			continue
		}
		err := r.followIssuer(ctx, i)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !i.lost {
			r.Log.Error("OCSP responder does not learn of revocations; it goes on with what it knows", "issuer", i.ID(), "error", err)
		}
		if err == nil && i.lost {
			r.Log.Info("OCSP responder learns of revocations again", "issuer", i.ID())
		}
		i.lost = err != nil
	}
}

func (r *Responder) followIssuer(ctx context.Context, i *issuer) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	now := r.Now()
	count, err := r.Authority.Changes(ctx, i.ID())
	if err != nil {
		return err
	}
	seen, begun := r.kept.count(i)
	switch {
	case !begun:
		r.kept.begin(i, count)
	case count < seen:
		r.Log.Warn("the database knows fewer revocations than before: it is an older one; what was kept of it is forgotten", "issuer", i.ID(), "seen", seen, "count", count)
		r.kept.begin(i, count)
	case count > seen:
		for c, err := range r.Authority.Revoked(ctx, i.ID(), seen) {
			if err != nil {
				return err
			}
			r.kept.change(i, c, now.Round(0))
		}
	}
	i.checked.Store(now.Unix())
	return nil
}

// renew makes new certificates for those of the responder that are due, signs anew what was asked for, and forgets what
// nobody asks for.
func (r *Responder) renew(ctx context.Context) {
	_ = r.certified(ctx, true) // what fails is in the log, and in Check
	now := r.Now()
	soon := now.Add(r.renewAfter() / 8)
	due := r.kept.list(func(e *entry) bool {
		return e.asked.Load() && e.any(func(a *Answer) bool { return !a.fresh(soon) })
	}, func(e *entry) bool {
		return !e.asked.Load() && now.Sub(e.learned) > r.Validity && !e.any(func(a *Answer) bool { return a.good(now) })
	})
	for n, e := range due {
		if err := r.renewEntry(ctx, e); err != nil {
			return // the database is away: what there is goes on
		}
		if !pause(ctx, n) {
			return
		}
	}
}

// any reports whether an answer of e is as f says.
func (e *entry) any(f func(*Answer) bool) bool {
	for n := range e.answers {
		if a := e.answers[n].Load(); a != nil && f(a) {
			return true
		}
	}
	return false
}

// renewEntry reads the status once more, though every change should have been seen, and signs each form that was asked.
func (r *Responder) renewEntry(ctx context.Context, old *entry) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	e, err := r.learn(ctx, old.issuer, old.serial)
	if err != nil {
		return err
	}
	for form := range old.answers {
		if old.answers[form].Load() == nil {
			continue
		}
		if _, err := r.sign(ctx, e, form); err != nil {
			return err
		}
	}
	e.asked.Store(false)
	return nil
}

// warmPage is how many certificates are read at once.
const warmPage = 100

// warm signs answers for the newest certificates, up to half of what is kept, slowly: they are there when the database goes
// away, and a server that has just started has better things to do.
func (r *Responder) warm(ctx context.Context) {
	left := r.Keep / 2
	for _, i := range r.issuers {
		for before := int64(0); i.CanSign() && left > 0; {
			list, err := r.warmIssuer(ctx, i, before)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.Log.Warn("OCSP answers were not signed ahead", "issuer", i.ID(), "error", err)
				break
			}
			if len(list) == 0 {
				break
			}
			left -= len(list)
			before = list[len(list)-1].Number
		}
	}
}

// warmIssuer signs answers for a page of certificates, and returns them.
func (r *Responder) warmIssuer(ctx context.Context, i *issuer, before int64) ([]ca.Certificate, error) {
	own, err := r.profile(i) // of responders: nobody asks about those
	if err != nil {
		return nil, err
	}
	count, _ := r.kept.count(i)
	now := r.Now()
	list, err := r.Authority.Find(ctx, ca.Query{Issuer: i.ID(), ValidAt: now, Before: before, Limit: min(warmPage, r.Keep)})
	if err != nil {
		return nil, err
	}
	for n, c := range list {
		if c.Profile == own || r.kept.get(i, []byte(c.Serial)) != nil {
			continue
		}
		e := &entry{place: place{i, c.Serial}, status: c.Status, learned: now.Round(0)}
		if !r.kept.put(count, e) {
			break // something was revoked meanwhile: these are read when they are asked for
		}
		if _, err := r.sign(ctx, e, 0); err != nil {
			return nil, err
		}
		e.used.Store(false)
		e.asked.Store(false)
		if !pause(ctx, n) {
			return nil, ctx.Err()
		}
	}
	return list, nil
}

// pause lets others work after every few signatures. It reports whether to go on.
func pause(ctx context.Context, n int) bool {
	if n%10 != 9 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(3 * time.Millisecond):
		return true
	}
}

// Check reports what keeps the responder from telling what is true now: changes that it does not see, certificates that
// were not renewed. It is nil for a responder that does not Run, which reads every answer from the database.
func (r *Responder) Check(context.Context) error {
	var errs []error
	now := r.Now()
	for _, i := range r.issuers {
		if !i.CanSign() {
			continue
		}
		if _, following := r.kept.count(i); following {
			if since := now.Sub(time.Unix(i.checked.Load(), 0)); since > blindAfter {
				errs = append(errs, fmt.Errorf("OCSP answers for %s know nothing newer than %s", i.ID(), since.Round(time.Second)))
			}
		}
		for _, o := range []*office{i.light, i.plain} {
			if d := o.current.Load(); d != nil && d.overdue(now) {
				errs = append(errs, fmt.Errorf("the OCSP responder's certificate of %s ends on %s and is not renewed", i.ID(), d.certificate.NotAfter.Format(time.RFC3339)))
			}
		}
	}
	return errors.Join(errs...)
}
