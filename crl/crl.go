// Package crl makes revocation lists and brings them to where relying parties look: it numbers, builds, keeps, serves and
// delivers them, and reads back what it delivered.
//
// It owns the lists and their numbers. What is revoked, and the key that signs, are package ca's; the format is package
// crl/list's, how a distribution point is written package crl/point's, how it is read from outside package crl/fetch's.
//
// An issuer's lists are made in one transaction that holds its row: the number is the last one's plus one, the entries are
// the authority's of that moment, and the deliveries are enqueued with them. So a number is never used twice, with any
// number of servers, and a list that exists is delivered.
//
// There is always a complete list of all certificates. Besides, there may be deltas, which say what has changed since the
// oldest complete list that is still valid, and lists of partitions, each of the certificates that name it.
package crl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrNoList = fault.New(fault.NotFound, "no-crl", "This issuer has no such revocation list yet.")
	ErrNumber = fault.New(fault.Conflict, "crl-number", "The numbers of this issuer's revocation lists cannot go on there.")
	// ErrWrong is a list that is not what it should be, before it is published or at a distribution point.
	ErrWrong = fault.New(fault.Unavailable, "crl-wrong", "The revocation list is not what it should be.")
)

const (
	// keepExpired is how long a revoked certificate stays on the list after its end. RFC 5280, 3.3, asks for one list
	// beyond it; a month leaves room for mail that is read late.
	keepExpired = 30 * 24 * time.Hour
	// keepLists is how many lists of each kind are kept whole.
	keepLists = 100

	buildTimeout = 2 * time.Minute
	// checkEvery is how often it is looked whether a list is due.
	checkEvery = time.Minute
	tidyEvery  = time.Hour
)

// Config is what a Publisher is made of. Every field without "nil" or "zero" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Jobs      *jobs.Queue
	Schedule  Schedule
	Points    []Point

	// Open reads what is at an address, as an outsider does (package crl/fetch). nil where no point has addresses.
	Open func(ctx context.Context, address string) (io.ReadCloser, error)

	// Deltas returns the addresses of an issuer's delta, for the freshestCRL extension; partition is 0 for that of all
	// certificates. nil if there are no deltas.
	Deltas func(issuer string, partition int) []string
	// Locations returns where an issuer's list is in the directory, for Microsoft's extensions, which then are in lists;
	// nil leaves them out.
	Locations func(issuer string) []string
	// Others are lists that others make, whose end status and health know too. May be empty.
	Others []Other

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Schedule says when lists are made when nothing is revoked, and how long they are valid: longer, so that the next one is
// everywhere well before.
type Schedule struct {
	Period   time.Duration // between complete lists
	Lifetime time.Duration // of a complete list, until nextUpdate

	DeltaPeriod   time.Duration // zero: no deltas
	DeltaLifetime time.Duration

	// A list with less than the margin left is running out: its successor has long been due. Zero means half of what is left
	// when the next one is due.
	Margin      time.Duration
	DeltaMargin time.Duration
	// Patience is how long a distribution point may fail until somebody must do something. Zero means half an hour.
	Patience time.Duration
}

// margin returns that of a kind of list.
func (s Schedule) margin(k Kind) time.Duration {
	if k.Delta {
		return s.DeltaMargin
	}
	return s.Margin
}

const (
	defaultPatience = 30 * time.Minute
	// leastPatience is more than the time between two looks at a point.
	leastPatience = 2 * watchEvery
)

func (s *Schedule) setDefaults() {
	if s.Margin == 0 {
		s.Margin = (s.Lifetime - s.Period) / 2
	}
	if s.DeltaMargin == 0 {
		s.DeltaMargin = (s.DeltaLifetime - s.DeltaPeriod) / 2
	}
	if s.Patience == 0 {
		s.Patience = defaultPatience
	}
}

// Check returns what cannot hold, with the setting's name in the configuration file.
func (s Schedule) Check() error {
	s.setDefaults()
	switch {
	case s.Margin < 0 || s.Margin >= s.Lifetime-s.Period:
		return errors.New("margin: must be shorter than what is left of a list when the next one is due: lifetime less period")
	case s.DeltaPeriod > 0 && (s.DeltaMargin < 0 || s.DeltaMargin >= s.DeltaLifetime-s.DeltaPeriod):
		return errors.New("delta_margin: must be shorter than what is left of a delta when the next one is due: delta_lifetime less delta_period")
	case s.Patience < leastPatience:
		return fmt.Errorf("patience: must be at least %s: points are looked at every %s", leastPatience, watchEvery)
	}
	return nil
}

func (s Schedule) check() error {
	switch {
	case s.Period <= 0 || s.Lifetime <= s.Period:
		return errors.New("crl: the lifetime of lists must be longer than their period")
	case s.DeltaPeriod != 0 && (s.DeltaPeriod < 0 || s.DeltaLifetime <= s.DeltaPeriod || s.DeltaLifetime > s.Lifetime):
		return errors.New("crl: the lifetime of deltas must be longer than their period, and no longer than that of complete lists")
	}
	return nil
}

// Publisher makes and publishes revocation lists. It is safe for concurrent use.
type Publisher struct {
	Config
	shelf  *shelf
	linter *linter
}

// New returns a publisher.
func New(c Config) (*Publisher, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.Schedule.check(); err != nil {
		return nil, err
	}
	c.Schedule.setDefaults()
	if err := c.Schedule.Check(); err != nil {
		return nil, fmt.Errorf("crl: %w", err)
	}
	if (c.Schedule.DeltaPeriod > 0) != (c.Deltas != nil) {
		return nil, errors.New("crl: deltas need a period and addresses")
	}
	p := &Publisher{Config: c}
	p.shelf = newShelf(p)
	var err error
	if p.linter, err = newLinter(); err != nil {
		return nil, err
	}
	return p, p.checkPoints()
}

// Register makes the queue's jobs build and deliver lists, and looks every minute whether one is due.
func (p *Publisher) Register(q *jobs.Queue) {
	jobs.Handle(q, buildTimeout, func(ctx context.Context, j jobs.BuildCRL) error {
		return p.buildDue(ctx, j)
	})
	jobs.Handle(q, buildTimeout, func(ctx context.Context, j jobs.TidyCRLs) error { return p.Tidy(ctx, j.Issuer) })
	for _, i := range p.Authority.Issuers() {
		if i.CanSign() {
			q.Every(checkEvery, jobs.BuildCRL{Issuer: i.ID()})
			q.Every(tidyEvery, jobs.TidyCRLs{Issuer: i.ID()})
		}
	}
	p.registerPoints(q)
}

// buildDue makes what is due. The check of every minute also finds revocations whose own job is late: one that a server with a
// wrong clock asked for tomorrow, say.
func (p *Publisher) buildDue(ctx context.Context, j jobs.BuildCRL) (err error) {
	if j.AtLeast == 0 {
		if j.AtLeast, err = p.Authority.Changes(ctx, j.Issuer); err != nil {
			return err
		}
	}
	_, err = p.Build(ctx, j.Issuer, j.AtLeast)
	return err
}

// Kind says which of an issuer's lists is meant.
type Kind struct {
	Partition int  // 0: the list of all certificates
	Delta     bool // what has changed since a complete list
}

// List is a revocation list. It does not change.
type List struct {
	Kind
	Issuer     string
	Number     int64
	Base       int64 // of a delta: the number of the complete list that it adds to
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    int
	Size       int64
	SHA256     [32]byte

	content *list.List
	head    func() (*list.Head, error) // what it says of itself; read once, at the first time
}

// Open returns the list in DER, from its first byte.
func (l *List) Open() *list.Reader { return l.content.Open() }

// Bytes returns the list in DER, in one piece.
func (l *List) Bytes() []byte { return l.content.Bytes() }

// FileName returns the name of the file that the list is in, wherever it is published.
func (l *List) FileName() string { return l.Kind.FileName(l.Issuer) }

// FileName returns the name of the file that an issuer's list is in, wherever it is published: "issuing.crl",
// "issuing.delta.crl", "issuing.3.crl", "issuing.3.delta.crl". An issuer's name has no dots.
func (k Kind) FileName(issuer string) string {
	name := issuer
	if k.Partition > 0 {
		name += "." + strconv.Itoa(k.Partition)
	}
	if k.Delta {
		name += ".delta"
	}
	return name + ".crl"
}

// ParseFileName reads the name of a list's file.
func ParseFileName(name string) (issuer string, k Kind, ok bool) {
	rest, ok := strings.CutSuffix(name, ".crl")
	if !ok {
		return "", k, false
	}
	rest, k.Delta = strings.CutSuffix(rest, ".delta")
	issuer, number, partitioned := strings.Cut(rest, ".")
	if partitioned {
		k.Partition, _ = strconv.Atoi(number)
	}
	return issuer, k, k.FileName(issuer) == name
}
