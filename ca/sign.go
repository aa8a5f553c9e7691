package ca

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Certificate is a certificate that was issued.
type Certificate struct {
	Number    int64 // order of issue
	Issuer    string
	Serial    Serial
	Request   uuid.UUID
	Profile   string
	Person    uuid.UUID
	Key       keyuse.Hash
	Mailboxes []string // in lower case; the certificate has them as they are
	NotBefore time.Time
	NotAfter  time.Time // the last second that belongs to it
	IssuedAt  time.Time
	DER       []byte
	Status    Status // as it was when read
}

// Sign signs what Prepare wrote down, for all or for none, in one transaction: stored certificate, state and event are
// there together or not at all, and the certificates are returned after the commit only. What is signed already is
// returned as it is, so that several may try. It returns ErrStale for what was prepared too long ago, which is to be
// given to Abandon, and ErrAbandoned for what was given up.
//
// What is signed is what was stored: the bytes that Prepare returned after their commit, or those that are read now. The
// transaction settles a row only if it still holds them; when it does not, everything is read and done again.
func (a *Authority) Sign(ctx context.Context, by audit.Actor, prepared []Prepared) ([]Certificate, error) {
	rows, err := a.remembered(ctx, prepared)
	for n := 0; err == nil && n < signAttempts; n++ {
		var out []Certificate
		if out, err = a.sign(ctx, by, prepared, rows); !errors.Is(err, errSettled) {
			return out, err
		}
		rows, err = a.readPrepared(ctx, prepared)
	}
	return nil, err
}

// signAttempts is how often Sign tries what others settle at the same moment. Each can do so only once.
const signAttempts = 4

// errSettled says that a prepared row is not, or no longer, what was signed.
var errSettled = fault.New(fault.Unavailable, "certificate-settled", "The certificate was issued or given up by another process at the same time. Try again.")

// remembered returns the rows of what was prepared, by the audit log's name for them.
func (a *Authority) remembered(ctx context.Context, prepared []Prepared) (map[string]preparedRow, error) {
	rows := make(map[string]preparedRow, len(prepared))
	for _, p := range prepared {
		if p.stored == nil || p.stored.State != statePrepared || a.now().Sub(p.At) > prepareLasts { // it may be known to be given up
			return a.readPrepared(ctx, prepared)
		}
		rows[subjectOf(p.Issuer, p.Serial)] = *p.stored
	}
	return rows, nil
}

func (a *Authority) readPrepared(ctx context.Context, prepared []Prepared) (map[string]preparedRow, error) {
	rows := make(map[string]preparedRow, len(prepared))
	b := &pgx.Batch{}
	queueRead(b, prepared, rows)
	if err := a.db.Batch(ctx, role, b); err != nil {
		return nil, fmt.Errorf("read prepared certificates: %w", err)
	}
	return rows, nil
}

func (a *Authority) sign(ctx context.Context, by audit.Actor, prepared []Prepared, rows map[string]preparedRow) ([]Certificate, error) {
	now := a.now().UTC().Truncate(time.Microsecond)
	var made []*Certificate
	bySubject := make(map[string]*Certificate, len(prepared))
	for _, p := range prepared {
		key := subjectOf(p.Issuer, p.Serial)
		row, ok := rows[key]
		if !ok {
			return nil, ErrNotFound.Withf("Nothing was prepared with the serial number %s.", p.Serial)
		}
		if bySubject[key] != nil || row.State == stateIssued {
			continue
		}
		c, err := a.signRow(ctx, now, row)
		if err != nil {
			return nil, err
		}
		made, bySubject[key] = append(made, &c), &c
	}
	if err := a.settle(ctx, by, now, made, rows); err != nil {
		return nil, err
	}
	out := make([]Certificate, len(prepared))
	for n, p := range prepared {
		if c := bySubject[subjectOf(p.Issuer, p.Serial)]; c != nil {
			out[n] = *c
			continue
		}
		var err error
		if out[n], err = a.Certificate(ctx, p.Issuer, p.Serial); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// settle stores what was signed, with its events.
func (a *Authority) settle(ctx context.Context, by audit.Actor, now time.Time, made []*Certificate, rows map[string]preparedRow) error {
	if len(made) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	events := make([]audit.Event, len(made))
	for n, c := range made {
		key := subjectOf(c.Issuer, c.Serial)
		queueCertificate(b, now, c, rows[key])
		events[n] = audit.Event{Kind: "certificate.issued", Subject: key, Person: c.Person, Data: struct {
			Request uuid.UUID `json:"request"`
			Profile string    `json:"profile"`
			SHA256  string    `json:"sha256"`
		}{c.Request, c.Profile, fmt.Sprintf("%x", sha256.Sum256(c.DER))}}
	}
	if _, err := audit.Queue(b, now, by, events...); err != nil {
		return err
	}
	return a.db.Batch(ctx, role, b)
}

func (a *Authority) signRow(ctx context.Context, now time.Time, row preparedRow) (Certificate, error) {
	switch {
	case row.State == stateAbandoned:
		return Certificate{}, ErrAbandoned
	case now.Sub(row.PreparedAt) > prepareLasts:
		return Certificate{}, ErrStale
	}
	i, err := a.Issuer(row.Issuer)
	if err != nil {
		return Certificate{}, err
	}
	if now.After(i.cert.NotAfter) {
		return Certificate{}, ErrIssuerEnd
	}
	der, err := i.sign(ctx, row.TBS, row.Digest)
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate %s: %w", Serial(row.Serial), err)
	}
	return Certificate{Issuer: row.Issuer, Serial: Serial(row.Serial), Request: row.Request, Profile: row.Profile, Person: row.Person,
		Key: keyuse.Hash(row.SPKI), Mailboxes: row.Mailboxes, NotBefore: row.NotBefore.UTC(), NotAfter: row.NotAfter.UTC(), IssuedAt: now, DER: der,
		Status: Status{State: Good}}, nil
}
