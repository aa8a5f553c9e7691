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

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// publishTimeout bounds one person's publication.
const publishTimeout = time.Minute

// Config is what a Publisher is made of. Every field without "nil" in its comment is required.
type Config struct {
	Authority *ca.Authority
	Directory *directory.Directory
	Audit     *audit.Log
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil discards
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

// Register makes the queue's jobs publish.
func (p *Publisher) Register(q *jobs.Queue) {
	jobs.Handle(q, publishTimeout, func(ctx context.Context, j jobs.PublishPerson) error {
		_, err := p.Publish(ctx, j.Person)
		if errors.Is(err, directory.ErrUnknownPerson) {
			p.Log.Info("person is no longer in the directory", "person", j.Person)
			return jobs.Cancel(err)
		}
		return err
	})
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
	desired, err := p.desired(ctx, person)
	if err != nil {
		return Difference{}, err
	}
	actual, err := p.Directory.Values(ctx, person, directory.UserCertificate)
	if err != nil {
		return Difference{}, err
	}
	return p.compare(desired, actual), nil
}

// Publish compares a person's entry and repairs it, and records what it changed.
func (p *Publisher) Publish(ctx context.Context, person uuid.UUID) (Difference, error) {
	d, err := p.Compare(ctx, person)
	if err != nil || d.Empty() {
		return d, err
	}
	if err := p.Directory.Change(ctx, person, directory.UserCertificate, d.Missing, d.Stale); err != nil {
		return d, err
	}
	_, err = p.Audit.Record(ctx, audit.System("gal"), audit.Event{Kind: "gal.published", Subject: "person:" + person.String(), Person: person,
		Data: map[string]any{"added": names(d.Missing), "removed": names(d.Stale)}})
	return d, err
}

// desired returns the certificates that a person's entry should show: the newest that is valid, not revoked, and reads
// mail. The ones before it stay usable to their owner, but nobody should encrypt to them any more.
func (p *Publisher) desired(ctx context.Context, person uuid.UUID) ([][]byte, error) {
	found, err := p.Authority.Find(ctx, ca.Query{Person: &person, ValidAt: p.Now(), State: ca.Good})
	if err != nil {
		return nil, err
	}
	for _, c := range found { // newest first
		profile, err := p.Authority.Profile(c.Profile)
		if err == nil && profile.Encrypts() && profile.Mail() {
			return [][]byte{c.DER}, nil
		}
	}
	return nil, nil
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
