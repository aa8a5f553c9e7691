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
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// Config is what a Publisher is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Directory *directory.Directory
	Audit     *audit.Log
	Policy    Policy
	// Further are directories beside the one that people are looked up in, in which their certificates are shown too.
	Further []TargetConfig
	// Searchable says that FindKey finds what was published or swept since; false saves a row for each key.
	Searchable bool
	// Left returns those of the people who have left, whose entries show nothing of ours; nil: nobody has.
	Left func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)
	// Lost returns addresses, in lower case, that people have lost: certificates that name one are not shown; nil: nobody has.
	Lost func(context.Context, []uuid.UUID) (map[uuid.UUID][]string, error)
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger     // nil discards

	// After is called when a step has been committed, with its name; nil does nothing. Tests change the world there.
	After func(step string)
}

// Publisher keeps directories as they should be. It is safe for concurrent use, and any number of servers may publish.
type Publisher struct {
	Config
	*Target  // the directory that people are looked up in
	profiles profiles
	further  []*Target
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
	p := &Publisher{Config: c, profiles: encryption(c.Authority)}
	p.Target = newTarget(p, TargetConfig{Directory: c.Directory, Policy: c.Policy})
	for _, f := range c.Further {
		if f.Find == nil || p.has(f.Directory.Name) {
			return nil, fmt.Errorf("directory %q: a further directory needs a name of its own, and a way to find entries by mail address", f.Directory.Name)
		}
		if err := f.Policy.Validate(); err != nil {
			return nil, fmt.Errorf("directory %q: %w", f.Directory.Name, err)
		}
		f.Policy = f.Policy.orDefaults()
		p.further = append(p.further, newTarget(p, f))
	}
	return p, nil
}

// Targets returns all directories, the one that people are looked up in first.
func (p *Publisher) Targets() []*Target { return append([]*Target{p.Target}, p.further...) }

// At returns the directory of a name; "" is the one that people are looked up in.
func (p *Publisher) At(name string) (*Target, error) {
	for _, t := range p.Targets() {
		if name == "" || name == t.Name() {
			return t, nil
		}
	}
	return nil, ErrNoTarget.Withf("There is no directory %q in which certificates are shown.", name)
}

func (p *Publisher) has(name string) bool {
	_, err := p.At(name)
	return err == nil
}

// Register makes the queue publish whoever is due, and sweep as often as the policies say, in one process of all.
func (p *Publisher) Register(q *jobs.Queue) {
	for _, t := range p.Targets() {
		name := t.queue()
		if name != "" {
			q.FurtherDirectory(name)
		}
		q.HandlePublications(jobs.Publications{Directory: name, Now: p.Now, Log: p.Log, Publish: t.settle})
		q.Every(lookEvery, jobs.SweepGAL{Directory: name})
	}
	jobs.Handle(q, sweepTimeout, func(ctx context.Context, j jobs.SweepGAL) error {
		t, err := p.At(j.Directory)
		if err != nil { // it is no longer in the configuration
			return jobs.Cancel(err)
		}
		err = t.Sweep(ctx, audit.System("gal"), Sweeping{})
		if errors.Is(err, context.DeadlineExceeded) { // the next run goes on
			return nil
		}
		return err
	})
}

// now returns the time as the database keeps it.
func (p *Publisher) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }
