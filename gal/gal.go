// Package gal decides which certificates belong where in the directory (the GAL, where senders' mail programs find a
// recipient's certificate), compares that with what is there, and repairs it; and which are found in other ways than by the
// directory: by mail address (Find), and in the domain name system (SMIMEA).
//
// It owns the rule: a person's entry shows their current encryption certificates of this authority in userCertificate, and
// no other certificate of this authority; userSMIMECertificate as Policy says, with what
// their own program signed for it (Advertise) where there is such. Certificates of other authorities, and
// everything that is no certificate, are never touched. Every other way shows the same certificates (Shown), to those whom an
// Audience lets see them. It owns the sweep that holds all entries against the rule, and the
// report of what it found. How the directory is written is package directory's; what is issued and revoked, package ca's.
package gal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

const (
	publishTimeout   = 10 * time.Second // of one person
	publishersAtOnce = 4
)

// Config is what a Publisher is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Directory *directory.Directory
	Audit     *audit.Log
	Policy    Policy
	// Searchable says that FindKey finds what was published or swept since; false saves a row for each key.
	Searchable bool
	// Left returns those of the people who have left, whose entries show nothing of ours; nil: nobody has.
	Left func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger     // nil discards

	// After is called when a step has been committed, with its name; nil does nothing. Tests change the world there.
	After func(step string)
}

// Publisher keeps the directory as it should be. It is safe for concurrent use, and any number of servers may publish.
type Publisher struct {
	Config
	profiles profiles
}

// New returns a publisher.
func New(c Config) (*Publisher, error) {
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
	return &Publisher{c, encryption(c.Authority)}, nil
}

// Register makes the queue publish whoever is due, and sweep as often as the policy says, in one process of all.
func (p *Publisher) Register(q *jobs.Queue) {
	q.HandlePublications(jobs.Publications{Now: p.Now, Log: p.Log, Publish: func(ctx context.Context, people []uuid.UUID) []error {
		_, failed := p.publish(ctx, people)
		for n, err := range failed {
			if errors.Is(err, directory.ErrUnknownPerson) {
				p.Log.Info("person is no longer in the directory", "person", people[n])
				failed[n] = nil
			}
		}
		return failed
	}})
	jobs.Handle(q, sweepTimeout, func(ctx context.Context, _ jobs.SweepGAL) error {
		err := p.Sweep(ctx, audit.System("gal"), Sweeping{})
		if errors.Is(err, context.DeadlineExceeded) { // the next run goes on
			return nil
		}
		return err
	})
	q.Every(lookEvery, jobs.SweepGAL{})
}

// Compare returns how a person's entry differs from what it should show.
func (p *Publisher) Compare(ctx context.Context, person uuid.UUID) (Difference, error) {
	people := []uuid.UUID{person}
	desired, err := p.desired(ctx, people)
	if err != nil {
		return Difference{}, err
	}
	held, err := p.Directory.Holdings(ctx, people, p.attributes()...)
	switch {
	case err != nil:
		return Difference{}, err
	case held[0].Entries > 1:
		return Difference{}, directory.ErrSeveral
	case held[0].DN == "":
		return Difference{}, directory.ErrUnknownPerson
	case held[0].TooLarge:
		return Difference{}, ErrTooLarge
	}
	return p.compare(desired[person], held[0].Values), nil
}

// Publish compares a person's entry and repairs it, and records what it changed.
func (p *Publisher) Publish(ctx context.Context, person uuid.UUID) (Difference, error) {
	found, failed := p.publish(ctx, []uuid.UUID{person})
	return found[0], failed[0]
}

// publish is Publish for many: it returns what was found of each, and what failed.
func (p *Publisher) publish(ctx context.Context, people []uuid.UUID) ([]Difference, []error) {
	found, failed := make([]Difference, len(people)), make([]error, len(people))
	desired, err := p.desired(ctx, people)
	if err != nil {
		for n := range failed {
			failed[n] = err
		}
		return found, failed
	}
	p.remember(ctx, desired)
	var g errgroup.Group
	g.SetLimit(publishersAtOnce)
	for n, person := range people {
		g.Go(func() error {
			found[n], failed[n] = p.repair(ctx, person, desired[person])
			return nil
		})
	}
	_ = g.Wait() // what failed is in failed
	failed = p.record(ctx, people, found, failed)
	p.again(ctx, people, desired, found, failed)
	return found, failed
}

// again looks once more at those whose entries were changed: what is right for them may have become another thing since it
// was read, and another server have written that before us.
func (p *Publisher) again(ctx context.Context, people []uuid.UUID, was map[uuid.UUID]wanted, found []Difference, failed []error) {
	var changed []uuid.UUID
	places := map[uuid.UUID]int{}
	for n, d := range found {
		if failed[n] == nil && !d.Empty() {
			changed = append(changed, people[n])
			places[people[n]] = n
		}
	}
	if len(changed) == 0 {
		return
	}
	desired, err := p.desired(ctx, changed)
	for _, person := range changed {
		n := places[person]
		if err == nil && desired[person].equal(was[person]) {
			continue
		}
		if failed[n] = err; err == nil {
			d, errs := p.publish(ctx, []uuid.UUID{person})
			found[n], failed[n] = d[0], errs[0]
		}
	}
}

// repair makes a person's entry show what it should.
func (p *Publisher) repair(ctx context.Context, person uuid.UUID, desired wanted) (d Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = p.Directory.Revise(ctx, person, p.attributes(), func(have directory.Values) map[directory.Attribute]directory.Change {
		d = p.compare(desired, have)
		return d.changes()
	})
	if err == nil && d.Full {
		err = ErrFull.Withf("The entry holds %d values of others, and systems that copy it drop all of them above %d. "+
			"An administrator of the directory must take some out before the certificate can be shown.", d.Foreign+d.Undecodable, p.Policy.MaxValues)
	}
	return d, err
}

// record records what was changed, all at once. It returns what failed, its own failure included.
func (p *Publisher) record(ctx context.Context, people []uuid.UUID, found []Difference, failed []error) []error {
	var events []audit.Event
	var places []int
	for n, d := range found {
		if (failed[n] == nil || errors.Is(failed[n], ErrFull)) && !d.Empty() {
			places = append(places, n)
			data := map[string]any{"added": names(d.Missing), "removed": names(d.Stale)}
			if len(d.SMIMEMissing)+len(d.SMIMEStale) > 0 {
				data["smime_added"], data["smime_removed"] = len(d.SMIMEMissing), digests(d.SMIMEStale)
			}
			events = append(events, audit.Event{Kind: "gal.published", Subject: "person:" + people[n].String(), Person: people[n], Data: data})
		}
	}
	// Not cut off with the work: the directory has changed, and the log must say so.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if _, err := p.Audit.Record(ctx, audit.System("gal"), events...); err != nil {
		for _, n := range places {
			failed[n] = err
		}
	}
	return failed
}
