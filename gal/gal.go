// Package gal decides which certificates belong where in the directory (the GAL, where senders' mail programs find a
// recipient's certificate), compares that with what is there, and repairs it.
//
// It owns the rule: a person's entry shows their current encryption certificate of this authority in userCertificate, and
// no other certificate of this authority. Certificates of other authorities, and everything that is no certificate, are
// never touched. How the directory is written is package directory's; what is issued and revoked, package ca's.
package gal

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

const (
	publishTimeout   = 10 * time.Second // of one person
	publishersAtOnce = 4
)

// Config is what a Publisher is made of. Every field without "nil" in its comment is required.
type Config struct {
	Authority *ca.Authority
	Directory *directory.Directory
	Audit     *audit.Log
	// Left returns those of the people who have left, whose entries show nothing of ours; nil: nobody has.
	Left func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error)
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger     // nil discards
}

// Publisher keeps the directory as it should be. It is safe for concurrent use, and any number of servers may publish.
type Publisher struct{ Config }

// New returns a publisher.
func New(c Config) *Publisher {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{c}
}

// Register makes the queue publish whoever is due.
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
}

// Difference is what separates a person's entry from what it should show.
type Difference struct {
	Missing [][]byte // certificates (DER) that should be there and are not
	Stale   [][]byte // certificates of ours that are there and should not be
	Foreign int      // values that are not ours
}

// Empty reports whether nothing is to be done.
func (d Difference) Empty() bool { return len(d.Missing) == 0 && len(d.Stale) == 0 }

// Compare returns how a person's entry differs from what it should show.
func (p *Publisher) Compare(ctx context.Context, person uuid.UUID) (Difference, error) {
	desired, err := p.desired(ctx, []uuid.UUID{person})
	if err != nil {
		return Difference{}, err
	}
	actual, err := p.Directory.Values(ctx, person, directory.UserCertificate)
	if err != nil {
		return Difference{}, err
	}
	return p.compare(desired[person], actual), nil
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
	var g errgroup.Group
	g.SetLimit(publishersAtOnce)
	for n, person := range people {
		g.Go(func() error {
			found[n], failed[n] = p.repair(ctx, person, desired[person])
			return nil
		})
	}
	_ = g.Wait() // what failed is in failed
	return found, p.record(ctx, people, found, failed)
}

// repair makes a person's entry show what it should.
func (p *Publisher) repair(ctx context.Context, person uuid.UUID, desired [][]byte) (d Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = p.Directory.Adjust(ctx, person, directory.UserCertificate, func(actual [][]byte) (add, remove [][]byte) {
		d = p.compare(desired, actual)
		return d.Missing, d.Stale
	})
	return d, err
}

// record records what was changed, all at once. It returns what failed, its own failure included.
func (p *Publisher) record(ctx context.Context, people []uuid.UUID, found []Difference, failed []error) []error {
	var events []audit.Event
	var places []int
	for n, d := range found {
		if failed[n] == nil && !d.Empty() {
			places = append(places, n)
			events = append(events, audit.Event{Kind: "gal.published", Subject: "person:" + people[n].String(), Person: people[n],
				Data: map[string]any{"added": names(d.Missing), "removed": names(d.Stale)}})
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

// desired returns the certificates that people's entries should show: of each the newest that is valid, not revoked, and
// reads mail, unless they have left. The ones before it stay usable to their owner, but nobody should encrypt to them any more.
func (p *Publisher) desired(ctx context.Context, people []uuid.UUID) (map[uuid.UUID][][]byte, error) {
	var profiles []string
	for _, name := range p.Authority.Profiles() {
		if profile, err := p.Authority.Profile(name); err == nil && profile.Encrypts() && profile.Mail() {
			profiles = append(profiles, name)
		}
	}
	found, err := p.Authority.Newest(ctx, people, profiles)
	if err != nil {
		return nil, err
	}
	var left map[uuid.UUID]bool
	if p.Left != nil {
		if left, err = p.Left(ctx, people); err != nil {
			return nil, err
		}
	}
	out := make(map[uuid.UUID][][]byte, len(found))
	for _, c := range found {
		if !left[c.Person] {
			out[c.Person] = [][]byte{c.DER}
		}
	}
	return out, nil
}

func (p *Publisher) compare(desired, actual [][]byte) Difference {
	var d Difference
	for _, want := range desired {
		if !contains(actual, want) {
			d.Missing = append(d.Missing, want)
		}
	}
	for _, have := range actual {
		switch {
		case contains(desired, have):
		case p.ours(have):
			d.Stale = append(d.Stale, have)
		default:
			d.Foreign++
		}
	}
	return d
}

// ours reports whether a value is a certificate that one of our issuers signed. Its name alone proves nothing: another
// authority may have the same one.
func (p *Publisher) ours(der []byte) bool {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	for _, issuer := range p.Authority.Issuers() {
		if bytes.Equal(c.RawIssuer, issuer.Certificate().RawSubject) && c.CheckSignatureFrom(issuer.Certificate()) == nil {
			return true
		}
	}
	return false
}

func contains(list [][]byte, der []byte) bool {
	for _, l := range list {
		if bytes.Equal(l, der) {
			return true
		}
	}
	return false
}

// names returns the serials of certificates, for the log.
func names(list [][]byte) []string {
	out := make([]string, len(list))
	for i, der := range list {
		if c, err := x509.ParseCertificate(der); err == nil {
			out[i] = fmt.Sprintf("%x", c.SerialNumber)
		}
	}
	return out
}
