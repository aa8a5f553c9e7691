// Package crl makes revocation lists and brings them to where relying parties look: it numbers, builds, keeps, serves and
// delivers them, and reads back what it delivered.
//
// It owns the lists and their numbers. What is revoked, and the key that signs, are package ca's; how a directory is
// written is package directory's.
//
// A list is made in one transaction that holds its issuer's row: the number is the last one's plus one, the entries are
// the authority's of that moment, and the deliveries are enqueued with it. So a number is never used twice, with any
// number of servers, and a list that exists is delivered.
package crl

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrNoList = fault.New(fault.NotFound, "no-crl", "This issuer has no revocation list yet.")
	// ErrWrong is a list that is not what it should be, before it is signed or at a distribution point.
	ErrWrong = fault.New(fault.Unavailable, "crl-wrong", "The revocation list is not what it should be.")
)

const (
	// keepExpired is how long a revoked certificate stays on the list after its end. RFC 5280, 3.3, asks for one list
	// beyond it; a month leaves room for mail that is read late.
	keepExpired = 30 * 24 * time.Hour
	// keepLists is how many lists of an issuer are kept.
	keepLists = 100

	buildTimeout   = 2 * time.Minute
	deliverTimeout = time.Minute
	// checkEvery is how often it is looked whether a list is due.
	checkEvery = time.Minute
)

// Config is what a Publisher is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Directory *directory.Directory // nil where no point is an LDAP entry
	Jobs      *jobs.Queue

	Points   []Point
	Period   time.Duration // between lists when nothing is revoked
	Lifetime time.Duration // until nextUpdate

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Point is a distribution point beside this server's own HTTP.
type Point struct {
	Issuer string
	Name   string // in status and jobs: "ldap"
	DN     string // of the directory entry
}

// Publisher makes and publishes revocation lists. It is safe for concurrent use.
type Publisher struct {
	Config
	newest *newest
}

// New returns a publisher.
func New(c Config) (*Publisher, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Period <= 0 || c.Lifetime <= c.Period {
		return nil, errors.New("crl: the lifetime must be longer than the period")
	}
	for _, p := range c.Points {
		if c.Directory == nil {
			return nil, fmt.Errorf("crl: point %s of %s needs a directory", p.Name, p.Issuer)
		}
	}
	p := &Publisher{Config: c}
	p.newest = &newest{publisher: p, lists: map[string]cached{}}
	return p, nil
}

// Register makes the queue's jobs build and deliver lists, and looks every minute whether one is due.
func (p *Publisher) Register(q *jobs.Queue) {
	jobs.Handle(q, buildTimeout, func(ctx context.Context, j jobs.BuildCRL) error {
		_, err := p.Build(ctx, j.Issuer, j.AtLeast)
		return err
	})
	jobs.Handle(q, deliverTimeout, p.deliver)
	for _, i := range p.Authority.Issuers() {
		if i.CanSign() {
			q.Every(checkEvery, jobs.BuildCRL{Issuer: i.ID()})
		}
	}
}

// List is a revocation list.
type List struct {
	Issuer     string
	Number     int64
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// Renew makes the issuer's next list now, whether or not one is due.
func (p *Publisher) Renew(ctx context.Context, issuer string) (*List, error) {
	return p.build(ctx, issuer, func(lastList, time.Time) bool { return true })
}

// Build makes the issuer's next list unless the newest holds at least so many changes and is not yet due, and returns
// the newest.
func (p *Publisher) Build(ctx context.Context, issuer string, atLeast int64) (*List, error) {
	return p.build(ctx, issuer, func(last lastList, now time.Time) bool {
		return last.number == 0 || last.changes < atLeast || !now.Before(last.thisUpdate.Add(p.Period))
	})
}

func (p *Publisher) build(ctx context.Context, issuer string, due func(lastList, time.Time) bool) (*List, error) {
	i, err := p.Authority.Issuer(issuer)
	if err != nil {
		return nil, err
	}
	var list *List
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		last, err := lockIssuer(ctx, tx, issuer)
		if err != nil {
			return err
		}
		now := p.Now()
		if !due(last, now) {
			list, err = selectNewest(ctx, tx, issuer)
			return err
		}
		next, err := p.next(ctx, i, last, now)
		if err != nil {
			return err
		}
		list = next.list
		return p.store(ctx, tx, next)
	})
	if err != nil {
		return nil, err
	}
	p.newest.keep(list)
	return list, nil
}

// built is a list with the count of changes that it holds.
type built struct {
	list    *List
	changes int64
	entries int
}

// next makes the list that follows the last one.
func (p *Publisher) next(ctx context.Context, i *ca.Issuer, last lastList, now time.Time) (*built, error) {
	b := &built{changes: last.changes}
	entries, err := p.entries(ctx, i.ID(), now, &b.changes)
	if err != nil {
		return nil, err
	}
	thisUpdate := now.UTC().Truncate(time.Second)
	if thisUpdate.Before(last.thisUpdate) { // a clock went back; relying parties' notion of the newest must not
		thisUpdate = last.thisUpdate.UTC()
	}
	template := &x509.RevocationList{Number: big.NewInt(last.number + 1), ThisUpdate: thisUpdate, NextUpdate: thisUpdate.Add(p.Lifetime), RevokedCertificateEntries: entries}
	der, err := i.CreateCRL(template)
	if err != nil {
		return nil, err
	}
	b.entries = len(entries)
	b.list = &List{Issuer: i.ID(), Number: last.number + 1, ThisUpdate: thisUpdate, NextUpdate: template.NextUpdate, DER: der}
	return b, b.list.check(i.Certificate(), len(entries))
}

// entries returns what is revoked now, and the count of changes that it takes in. The last change of a serial holds.
func (p *Publisher) entries(ctx context.Context, issuer string, now time.Time, changes *int64) ([]x509.RevocationListEntry, error) {
	place := map[ca.Serial]int{}
	var entries []x509.RevocationListEntry
	for c, err := range p.Authority.Revoked(ctx, issuer, 0) {
		if err != nil {
			return nil, err
		}
		*changes = c.Count
		if c.NotAfter.Add(keepExpired).Before(now) {
			continue
		}
		at, listed := place[c.Serial]
		if !listed {
			at = len(entries)
			place[c.Serial] = at
			entries = append(entries, x509.RevocationListEntry{})
		}
		if c.Released {
			entries[at] = x509.RevocationListEntry{}
			continue
		}
		entry, err := entryOf(c)
		if err != nil {
			return nil, err
		}
		entries[at] = entry
	}
	out := entries[:0]
	for _, e := range entries {
		if e.SerialNumber != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// check reads the list as an outsider would: it parses, the issuer signed it, and it says what it should.
func (l *List) check(issuer *x509.Certificate, entries int) error {
	parsed, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		return ErrWrong.Because(err)
	}
	if err := parsed.CheckSignatureFrom(issuer); err != nil {
		return ErrWrong.Withf("The revocation list's signature does not verify.").Because(err)
	}
	if parsed.Number.Cmp(big.NewInt(l.Number)) != 0 || len(parsed.RevokedCertificateEntries) != entries || !parsed.NextUpdate.After(parsed.ThisUpdate) {
		return ErrWrong
	}
	return nil
}

// store keeps a list and enqueues its deliveries.
func (p *Publisher) store(ctx context.Context, tx pgx.Tx, b *built) error {
	l := b.list
	if err := insertList(ctx, tx, l, b.changes); err != nil {
		return err
	}
	_, err := audit.Append(ctx, tx, p.Now(), audit.System("crl"), audit.Event{Kind: "crl.issued", Subject: fmt.Sprintf("crl:%s/%d", l.Issuer, l.Number),
		Data: map[string]any{"entries": b.entries, "next_update": l.NextUpdate}})
	if err != nil {
		return err
	}
	for _, point := range p.Points {
		if point.Issuer == l.Issuer {
			if err := p.Jobs.Insert(ctx, tx, jobs.DeliverCRL{Issuer: l.Issuer, Number: l.Number, Point: point.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Newest returns the issuer's newest list, or ErrNoList.
func (p *Publisher) Newest(ctx context.Context, issuer string) (*List, error) {
	var l *List
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		l, err = selectNewest(ctx, tx, issuer)
		return err
	})
	return l, err
}
