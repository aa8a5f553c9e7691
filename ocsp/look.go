package ocsp

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/ca"
)

// Bounds on looking into the database, so that questions about serials that nobody issued leave connections to others, and
// a database that hangs does not fill the listener with those who wait for it.
const (
	looksAtOnce = 4
	maxWaiting  = 64
	lookTimeout = 2 * time.Second
)

// errBusy is for the log; the client is told to try later.
var errBusy = errors.New("ocsp: too many questions wait for the database")

// looks bounds how many look into the database at the same time.
type looks struct {
	places  chan struct{}
	waiting *atomic.Int64
}

func newLooks() looks { return looks{make(chan struct{}, looksAtOnce), new(atomic.Int64)} }

// enter waits for a place; leave gives it back.
func (l looks) enter(ctx context.Context) error {
	select {
	case l.places <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > maxWaiting {
		return errBusy
	}
	select {
	case l.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l looks) leave() { <-l.places }

// known returns when an entry's status was true for certain: when it was read, or when later all changes had been seen.
func (e *entry) known() time.Time {
	if checked := time.Unix(e.issuer.checked.Load(), 0); checked.After(e.learned) {
		return checked
	}
	return e.learned
}

// entry returns what is known of a serial: what is kept, if an answer can still be made of it, or what the database says.
func (r *Responder) entry(ctx context.Context, i *issuer, serial ca.Serial) (*entry, error) {
	if e := r.kept.get(i, []byte(serial)); r.lasts(e) {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := r.looks.enter(ctx); err != nil {
		return nil, err
	}
	defer r.looks.leave()
	if e := r.kept.get(i, []byte(serial)); r.lasts(e) { // another has just looked
		return e, nil
	}
	return r.learn(ctx, i, serial)
}

// lasts reports whether an answer can be made of what is kept that is good for long enough, by the clock as it is now.
func (r *Responder) lasts(e *entry) bool {
	if e == nil {
		return false
	}
	now, known := r.Now(), e.known()
	return !known.After(now.Add(backdated)) && now.Before(known.Add(r.Validity-leastLeft))
}

// learn reads a serial's status from the database, and keeps it if no change came between. Unknown serials are not kept:
// there is no end of them, and one may be issued in a moment.
func (r *Responder) learn(ctx context.Context, i *issuer, serial ca.Serial) (e *entry, err error) {
	for range 3 {
		count, following := r.kept.count(i)
		e = &entry{place: place{i, serial}, learned: r.Now().Round(0)}
		if e.status, err = r.Authority.Status(ctx, i.ID(), serial); err != nil {
			return nil, err
		}
		if !following || e.status.State == ca.Unknown || r.kept.put(count, e) {
			break
		}
	}
	return e, nil
}
