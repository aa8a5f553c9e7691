package ca

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
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
func (a *Authority) Sign(ctx context.Context, by audit.Actor, prepared []Prepared) ([]Certificate, error) {
	out := make([]Certificate, len(prepared))
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		return a.sign(ctx, tx, by, prepared, out)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (a *Authority) sign(ctx context.Context, tx pgx.Tx, by audit.Actor, prepared []Prepared, out []Certificate) error {
	rows, err := lockPrepared(ctx, tx, prepared)
	if err != nil {
		return err
	}
	now := a.now().UTC().Truncate(time.Microsecond)
	var made []Certificate
	var events []audit.Event
	place := make(map[string]int, len(prepared)) // of each new certificate, in made
	for _, p := range prepared {
		key := subjectOf(p.Issuer, p.Serial)
		row, ok := rows[key]
		if !ok {
			return ErrNotFound.Withf("Nothing was prepared with the serial number %s.", p.Serial)
		}
		if _, twice := place[key]; twice || row.State == stateIssued {
			continue
		}
		c, err := a.signRow(ctx, now, row)
		if err != nil {
			return err
		}
		place[key] = len(made)
		made = append(made, c)
		events = append(events, audit.Event{Kind: "certificate.issued", Subject: key, Person: c.Person, Data: struct {
			Request uuid.UUID `json:"request"`
			Profile string    `json:"profile"`
			SHA256  string    `json:"sha256"`
		}{c.Request, c.Profile, fmt.Sprintf("%x", sha256.Sum256(c.DER))}})
	}
	b := &pgx.Batch{}
	queueCertificates(b, now, made)
	if _, err := audit.Queue(b, now, by, events...); err != nil {
		return err
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	for n, p := range prepared {
		if m, ok := place[subjectOf(p.Issuer, p.Serial)]; ok {
			out[n] = made[m]
		} else if out[n], err = certificate(ctx, tx, p.Issuer, p.Serial); err != nil {
			return err
		}
	}
	return nil
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
