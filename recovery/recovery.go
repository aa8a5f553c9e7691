// Package recovery is where archived keys are asked for: it puts package archive's cases together with what the archive
// knows nothing of. It owns who is meant by an address and which of their keys were in use when (a query), and whose
// certificates count: that a requester or auditor signs with one of theirs that is in force, and that an agent's or
// recipient's has not been revoked.
//
// It does not own the cases and their states (package archive), nor the cryptography (archive/record).
package recovery

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Faults that callers test for, beside those of archive.Cases.
var (
	ErrCertificate = fault.New(fault.Denied, "case-certificate", "A certificate that this case depends on does not count.")
	ErrSubject     = fault.New(fault.NotFound, "case-subject", "Nobody is known by this address.")
)

// expireEvery is how often cases are looked at whose deadline may have passed, and parcelsEvery parcels whose time may be
// over; expireTimeout is how long that may take.
const (
	expireEvery   = time.Minute
	parcelsEvery  = 10 * time.Minute
	expireTimeout = time.Minute
)

// Config is what a Desk is made of. Every field without "nil" or a default in its comment is required.
type Config struct {
	Archive   *archive.Archive
	Authority *ca.Authority
	Directory *directory.Directory
	Jobs      *jobs.Queue
	Audit     *audit.Log
	Longest   time.Duration     // from a case's opening to its deadline; 0 means 30 days
	Silence   time.Duration     // the longest that a legal case's subjects are not told; 0 means 180 days
	After     func(step string) // see archive.CasesConfig; nil does nothing
	Now       func() time.Time  // nil means time.Now
	Log       *slog.Logger      // nil discards
}

// Desk is where people ask for keys, and bring and fetch what belongs to a case. It is safe for concurrent use.
type Desk struct {
	*archive.Cases
	authority *ca.Authority
	directory *directory.Directory
	now       func() time.Time
}

// New returns a desk.
func New(c Config) (*Desk, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Desk{authority: c.Authority, directory: c.Directory, now: c.Now}
	var err error
	d.Cases, err = archive.NewCases(archive.CasesConfig{Archive: c.Archive, Jobs: c.Jobs, Audit: c.Audit, Signs: d.signs, InForce: d.inForce,
		Longest: c.Longest, Silence: c.Silence, After: c.After, Now: c.Now, Log: c.Log})
	return d, err
}

// Register makes the queue's jobs end cases in time, and remove parcels that nobody fetched in theirs.
func (d *Desk) Register(q *jobs.Queue) {
	jobs.Handle(q, expireTimeout, func(ctx context.Context, _ jobs.ExpireCases) error { return d.Expire(ctx) })
	q.Every(expireEvery, jobs.ExpireCases{})
	jobs.Handle(q, expireTimeout, func(ctx context.Context, _ jobs.EndParcels) error { return d.Archive.EndParcels(ctx) })
	q.Every(parcelsEvery, jobs.EndParcels{})
}

// Query says whose keys are asked for, and which.
type Query struct {
	Kind      record.CaseKind
	Mailboxes []string      // of the subjects, in any case; none in a restore: the asker
	People    []uuid.UUID   // subjects by id, for those who are not in the directory any more
	Keys      []keyuse.Hash // only these; nil means all
	From, To  time.Time     // only keys with a certificate that was valid at some time in between; zero does not limit
}

// Ask resolves a query to what a case would have to name. Beside what archive.Cases.Draft returns it may return
// ErrSubject and the directory's faults.
func (d *Desk) Ask(ctx context.Context, by audit.Actor, q Query) ([]archive.Draft, error) {
	ask := archive.Ask{Kind: q.Kind, Keys: q.Keys, Subjects: slices.Clone(q.People)}
	for _, m := range q.Mailboxes {
		person, err := d.Whose(ctx, m)
		if err != nil {
			return nil, err
		}
		ask.Subjects = append(ask.Subjects, person)
	}
	if len(ask.Subjects) == 0 && q.Kind == record.CaseRestore {
		ask.Subjects = []uuid.UUID{by.Person}
	}
	if !q.From.IsZero() || !q.To.IsZero() {
		keys, err := d.validBetween(ctx, ask.Subjects, q.From, q.To)
		if err != nil {
			return nil, err
		}
		if ask.Keys != nil {
			keys = slices.DeleteFunc(keys, func(k keyuse.Hash) bool { return !slices.Contains(ask.Keys, k) })
		}
		ask.Keys = append([]keyuse.Hash{}, keys...) // never nil: that would mean all
	}
	return d.Draft(ctx, by, ask)
}

// Whose finds whose an address is, or was: of somebody who left, the certificates still tell. It returns ErrSubject if
// nobody had it, or several had, and the directory's faults.
func (d *Desk) Whose(ctx context.Context, mailbox string) (uuid.UUID, error) {
	p, err := d.directory.ByMailbox(ctx, mailbox)
	if err == nil {
		return p.ID, nil
	}
	if !errors.Is(err, directory.ErrUnknownPerson) {
		return uuid.Nil, err
	}
	found, err := d.authority.Find(ctx, ca.Query{Mailbox: mailbox})
	if err != nil {
		return uuid.Nil, err
	}
	people, err := d.Archive.PeopleWith(ctx, mailbox) // whose keys were imported
	if err != nil {
		return uuid.Nil, err
	}
	for _, c := range found {
		if c.Person != uuid.Nil && !slices.Contains(people, c.Person) {
			people = append(people, c.Person)
		}
	}
	switch len(people) {
	case 0:
		return uuid.Nil, ErrSubject.Withf("Nobody has the address %q, and nobody had it before.", record.Line(mailbox, record.MaxMail))
	case 1:
		return people[0], nil
	}
	var ids []string
	for _, p := range people {
		ids = append(ids, p.String())
	}
	return uuid.Nil, ErrSubject.Withf("Several people had this address. Name the one you mean by id: %s.", strings.Join(ids, ", "))
}

// validBetween returns the keys of people's encryption certificates that were valid at some time in a period.
func (d *Desk) validBetween(ctx context.Context, people []uuid.UUID, from, to time.Time) ([]keyuse.Hash, error) {
	var out []keyuse.Hash
	within := func(notBefore, notAfter time.Time) bool {
		return (to.IsZero() || !notBefore.After(to)) && (from.IsZero() || !notAfter.Before(from))
	}
	for _, p := range people {
		imported, err := d.importedBetween(ctx, p, within)
		if err != nil {
			return nil, err
		}
		out = append(out, imported...)
		q := ca.Query{Person: &p, Limit: 1000}
		for {
			found, err := d.authority.Find(ctx, q)
			if err != nil {
				return nil, err
			}
			for _, c := range found {
				if within(c.NotBefore, c.NotAfter) && !slices.Contains(out, c.Key) {
					out = append(out, c.Key)
				}
			}
			if len(found) < q.Limit {
				break
			}
			q.Before = found[len(found)-1].Number
		}
	}
	return out, nil
}

// importedBetween is validBetween for the keys that came with another authority's certificate.
func (d *Desk) importedBetween(ctx context.Context, person uuid.UUID, within func(notBefore, notAfter time.Time) bool) ([]keyuse.Hash, error) {
	const page = 1000
	var out []keyuse.Hash
	for after := int64(0); ; {
		found, err := d.Archive.ForeignOf(ctx, person, after, page)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			after = f.Number
			c, err := x509.ParseCertificate(f.Certificate)
			if err != nil {
				return nil, fmt.Errorf("imported certificate %d: %w", f.Number, err)
			}
			if within(c.NotBefore, c.NotAfter) && !slices.Contains(out, f.Key) {
				out = append(out, f.Key)
			}
		}
		if len(found) < page {
			return out, nil
		}
	}
}

// signs returns the person's roles if the certificate is one with which they sign.
func (d *Desk) signs(ctx context.Context, leaf *x509.Certificate, person uuid.UUID) ([]audit.Role, error) {
	c, err := d.known(ctx, leaf)
	if err != nil {
		return nil, err
	}
	if c.Person != person {
		return nil, ErrCertificate.Withf("The certificate that signs is another person's.")
	}
	profile, err := d.authority.Profile(c.Profile)
	if err != nil {
		return nil, ErrCertificate.Withf("The certificate that signs is of a profile that is no longer used.").Because(err)
	}
	if !slices.Contains([]keyuse.Use{keyuse.Signing, keyuse.Single}, profile.Use()) || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, ErrCertificate.Withf("The certificate is not one that a person signs with.")
	}
	p, err := d.directory.Person(ctx, person)
	if err != nil {
		return nil, err
	}
	if p.Disabled {
		return nil, directory.ErrDisabled
	}
	return p.Roles, nil
}

// inForce returns nil if the certificate is ours, valid and not revoked.
func (d *Desk) inForce(ctx context.Context, leaf *x509.Certificate) error {
	_, err := d.known(ctx, leaf)
	return err
}

// known returns our own record of a certificate that is in force.
func (d *Desk) known(ctx context.Context, leaf *x509.Certificate) (ca.Certificate, error) {
	name := record.Line(leaf.Subject.CommonName, record.MaxName)
	c, err := d.authority.Known(ctx, leaf)
	if errors.Is(err, ca.ErrNotFound) {
		return c, ErrCertificate.Withf("This authority has no record of the certificate of %s.", name)
	}
	if err != nil {
		return c, err
	}
	now := d.now()
	switch {
	case c.Status.State != ca.Good:
		return c, ErrCertificate.Withf("The certificate of %s is revoked.", name)
	case now.After(c.NotAfter) || now.Before(c.NotBefore):
		return c, ErrCertificate.Withf("The certificate of %s is valid from %s to %s.", name, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	}
	return c, nil
}
