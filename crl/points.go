package crl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Faults of distribution points.
var (
	// ErrStale is a point that shows something older than the newest.
	ErrStale = fault.New(fault.Unavailable, "crl-stale", "The distribution point does not show the newest revocation list.")
	// ErrAhead is a point that shows a list of ours that is newer than the newest: numbers were lost.
	ErrAhead = fault.New(fault.Conflict, "crl-ahead", "The distribution point shows a newer revocation list than there is.")
	// ErrEarly is a list that begins later than now: it was made while a clock was wrong.
	ErrEarly = fault.New(fault.Unavailable, "crl-early", "The revocation list is not valid yet.")
)

const (
	deliverTimeout = 2 * time.Minute
	watchTimeout   = 2 * time.Minute
	// watchEvery is how often it is looked whether every point still shows what it should.
	watchEvery = 5 * time.Minute
)

// Point is a distribution point: a place where an issuer's lists and certificates are shown to the world.
type Point struct {
	Name    string   // in status, metrics and jobs: lower-case letters, digits, hyphens
	Issuers []string // whose files it shows; empty: all
	// Place is how files are brought there. nil: they are there by themselves, as at this server's own address, and are only
	// looked at.
	Place point.Point
	// Address returns where an outsider finds a file of an issuer: what certificates name. "" or nil: the place itself is asked.
	Address func(issuer *ca.Issuer, file string) string
}

func (p Point) address(i *ca.Issuer, file string) string {
	if p.Address == nil {
		return ""
	}
	return p.Address(i, file)
}

var pointName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,47}$`)

// ValidPointName reports whether a point may have the name: 1 to 48 lower-case letters, digits and hyphens.
func ValidPointName(name string) bool { return pointName.MatchString(name) }

func (p *Publisher) checkPoints() error {
	seen := map[string]bool{}
	for _, point := range p.Points {
		if !ValidPointName(point.Name) || seen[point.Name] {
			return fmt.Errorf("crl: %q is not a name of a point of its own: a-z, 0-9, hyphens", point.Name)
		}
		if point.Place == nil && point.Address == nil || point.Address != nil && p.Open == nil {
			return fmt.Errorf("crl: point %s is neither written nor read", point.Name)
		}
		seen[point.Name] = true
	}
	return nil
}

func (p *Publisher) point(name string) (Point, bool) {
	for _, point := range p.Points {
		if point.Name == name {
			return point, true
		}
	}
	return Point{}, false
}

// shows reports whether the point shows the issuer's files.
func (p Point) shows(issuer string) bool {
	return len(p.Issuers) == 0 || slices.Contains(p.Issuers, issuer)
}

func (p *Publisher) registerPoints(q *jobs.Queue) {
	jobs.Handle(q, deliverTimeout, p.deliver)
	jobs.Handle(q, watchTimeout, func(ctx context.Context, j jobs.WatchPoint) error { return p.watch(ctx, j.Point) })
	for _, point := range p.Points {
		q.Point(point.Name)
		q.Every(watchEvery, jobs.WatchPoint{Point: point.Name})
	}
}

// deliveries are the jobs that bring a list to its points.
func (p *Publisher) deliveries(l *List) (out []jobs.Args) {
	for _, point := range p.Points {
		if point.shows(l.Issuer) {
			out = append(out, jobs.DeliverCRL{Issuer: l.Issuer, Point: point.Name, File: l.FileName(), Number: l.Number})
		}
	}
	return out
}

// deliver brings a file to a point and reads it back. A list that has been superseded needs no delivery; its successor has
// its own. One server at a time is at work at a point.
func (p *Publisher) deliver(ctx context.Context, j jobs.DeliverCRL) error {
	point, ok := p.point(j.Point)
	if !ok || !point.shows(j.Issuer) {
		return jobs.Cancel(fmt.Errorf("point %s of %s is no longer configured", j.Point, j.Issuer))
	}
	i, err := p.Authority.Issuer(j.Issuer)
	if err != nil {
		return jobs.Cancel(err)
	}
	return p.alone(ctx, point, func(ctx context.Context) error {
		f, err := p.file(ctx, i, j.File)
		if err != nil || f.number() > j.Number {
			return err
		}
		return p.bring(ctx, point, f)
	})
}

// alone runs work while no other server is at work at the point. Its context ends if that can no longer be said.
func (p *Publisher) alone(ctx context.Context, point Point, work func(context.Context) error) error {
	held, err := p.DB.Hold(ctx, "crl point "+point.Name, work)
	if err == nil && !held {
		return jobs.Later(time.Second)
	}
	return err
}

// bring writes a file to a point, reads it back as an outsider would, and notes what it saw. What could not be written is
// looked at too: status says what the point shows meanwhile.
func (p *Publisher) bring(ctx context.Context, point Point, f *published) error {
	if point.Place == nil {
		return p.readBack(ctx, point, f)
	}
	failed := point.Place.Put(ctx, f.File)
	if failed == nil {
		return p.readBack(ctx, point, f)
	}
	s, err := p.look(ctx, point, f)
	if err == nil || errors.Is(failed, list.ErrNewer) && errors.Is(err, ErrAhead) { // an operator must know which
		failed = err
	}
	return p.note(ctx, point, f, s, failed)
}

// readBack looks at a point as an outsider would, and notes what it saw.
func (p *Publisher) readBack(ctx context.Context, point Point, f *published) error {
	s, err := p.look(ctx, point, f)
	if errors.Is(err, ErrAhead) { // or it was the newest a moment ago
		if now, failed := p.file(ctx, f.issuer, f.Name); failed == nil && now.number() > f.number() {
			f = now
			s, err = p.look(ctx, point, f)
		}
	}
	return p.note(ctx, point, f, s, err)
}

// look reads what a point shows, and judges it.
func (p *Publisher) look(ctx context.Context, point Point, f *published) (s seen, err error) {
	r, err := p.open(ctx, point, f)
	if err != nil {
		return s, err
	}
	defer func() { _ = r.Close() }() // it was read to its end, or failed
	return f.look(r, p.Now())
}

func (p *Publisher) open(ctx context.Context, point Point, f *published) (io.ReadCloser, error) {
	if address := point.address(f.issuer, f.Name); address != "" {
		return p.Open(ctx, address)
	}
	return point.Place.Get(ctx, f.File)
}

// note keeps what was seen, and returns err. What failed because this server stops says nothing of the point.
func (p *Publisher) note(ctx context.Context, point Point, f *published, s seen, failed error) error {
	if failed != nil && errors.Is(ctx.Err(), context.Canceled) {
		return failed
	}
	now := p.Now()
	err := p.DB.InTx(context.WithoutCancel(ctx), role, func(tx pgx.Tx) error {
		if failed != nil {
			return upsertFailure(ctx, tx, f, point.Name, reason(failed), s, now)
		}
		return upsertSeen(ctx, tx, f, point.Name, s, now)
	})
	if failed != nil {
		p.Log.Warn("distribution point", "point", point.Name, "file", f.Name, "error", failed)
		return failed
	}
	return err
}

// reason is what status shows of a failure.
func reason(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "It was not done in time."
	}
	return "Something failed that has no name; the server's log says what."
}

// watch reads back every file that a point shows. What is not as it should be is delivered again.
func (p *Publisher) watch(ctx context.Context, name string) error {
	point, ok := p.point(name)
	if !ok {
		return nil
	}
	for _, i := range p.Authority.Issuers() {
		if !point.shows(i.ID()) {
			continue
		}
		names, err := p.fileNames(ctx, i)
		if err != nil {
			return err
		}
		for _, file := range names {
			if err := p.watchFile(ctx, point, i, file); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Publisher) watchFile(ctx context.Context, point Point, i *ca.Issuer, name string) error {
	f, err := p.file(ctx, i, name)
	if err != nil {
		return err
	}
	if p.readBack(ctx, point, f) == nil || ctx.Err() != nil || point.Place == nil {
		return ctx.Err()
	}
	return p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return p.Jobs.Insert(ctx, tx, jobs.DeliverCRL{Issuer: i.ID(), Point: point.Name, File: name, Number: f.number()})
	})
}
