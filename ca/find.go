package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/keyuse"
)

// Limits of one answer of Find.
const (
	defaultFound = 100
	maxFound     = 1000
)

// Query says which certificates to find; what is left zero does not restrict.
type Query struct {
	Person  *uuid.UUID
	Mailbox string // in any case
	Profile string
	Issuer  string
	Key     *keyuse.Hash
	Request *uuid.UUID
	ValidAt time.Time // within the validity, both ends included; says nothing about revocation
	State   State     // Good or Revoked
	Serial  Serial    // of any issuer
	From    int64     // only certificates with this number or a larger one, so that no more than those are looked at
	Before  int64     // only certificates with a smaller number: the last number of the page before
	Limit   int       // 0 means 100; at most 1000
}

// Find returns certificates, the newest first.
func (a *Authority) Find(ctx context.Context, q Query) ([]Certificate, error) {
	var c condition
	if q.Person != nil {
		c.add("c.person = $", *q.Person)
	}
	if q.Mailbox != "" {
		c.add("c.mailboxes @> array[$]", mailboxKey(q.Mailbox))
	}
	if q.Profile != "" {
		c.add("c.profile = $", q.Profile)
	}
	if q.Issuer != "" {
		c.add("c.issuer = $", q.Issuer)
	}
	if q.Key != nil {
		c.add("c.spki_sha256 = $", q.Key[:])
	}
	if q.Request != nil {
		c.add("c.request = $", *q.Request)
	}
	if !q.ValidAt.IsZero() {
		c.add("$ between c.not_before and c.not_after + interval '1 second' - interval '1 microsecond'", q.ValidAt.UTC().Truncate(time.Microsecond))
	}
	switch q.State {
	case Good:
		c.where = append(c.where, "coalesce(r.standing, 'released') = 'released'")
	case Revoked:
		c.where = append(c.where, "r.standing in ('revoked', 'held')")
	}
	if q.Serial != "" {
		c.add("c.serial = $ and c.issuer in (select id from ca.issuer)", []byte(q.Serial)) // the key begins with the issuer
	}
	if q.Before > 0 {
		c.add("c.number < $", q.Before)
	}
	if q.From > 0 {
		c.add("c.number >= $", q.From)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultFound
	}
	c.args = append(c.args, min(limit, maxFound))
	var out []Certificate
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = certificates(ctx, tx, c.String()+limitClause(len(c.args)), c.args...)
		return err
	})
	return out, err
}

// Certificate returns the certificate with a serial, or ErrNotFound.
func (a *Authority) Certificate(ctx context.Context, issuer string, serial Serial) (Certificate, error) {
	var out Certificate
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = certificate(ctx, tx, issuer, serial)
		return err
	})
	return out, err
}

// Known returns this authority's own record of a certificate: of exactly these bytes. It returns ErrNotFound when there is
// none. Whether the certificate is valid and not revoked, the record says.
func (a *Authority) Known(ctx context.Context, leaf *x509.Certificate) (Certificate, error) {
	for _, i := range a.issuers {
		if !bytes.Equal(i.Certificate().RawSubject, leaf.RawIssuer) {
			continue
		}
		c, err := a.Certificate(ctx, i.ID(), SerialOf(leaf.SerialNumber))
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return c, err
		case bytes.Equal(c.DER, leaf.Raw):
			return c, nil
		}
	}
	return Certificate{}, ErrNotFound.Withf("This authority has no record of the certificate.")
}

// Current returns a person's newest certificate of a profile that is valid now and not revoked, or ErrNotFound.
func (a *Authority) Current(ctx context.Context, person uuid.UUID, profile string) (Certificate, error) {
	list, err := a.Find(ctx, Query{Person: &person, Profile: profile, ValidAt: a.now(), State: Good, Limit: 1})
	if err != nil {
		return Certificate{}, err
	}
	if len(list) == 0 {
		return Certificate{}, ErrNotFound.Withf("There is no valid certificate of the profile %s.", profile)
	}
	return list[0], nil
}

// Newest returns of each of these people the newest certificates of any of these profiles that are valid now and not
// revoked, at most each of them and the newest first; nothing of those who have none.
func (a *Authority) Newest(ctx context.Context, people []uuid.UUID, profiles []string, each int) ([]Certificate, error) {
	var out []Certificate
	b := &pgx.Batch{}
	b.Queue(`select f.* from unnest($1::uuid[]) as p (person) cross join lateral (`+selectCertificates+`
			where c.person = p.person and c.profile = any($2) and coalesce(r.standing, 'released') = 'released'
				and $3 between c.not_before and c.not_after + interval '1 second' - interval '1 microsecond'
			order by c.number desc limit $4) f`,
		people, profiles, a.now().UTC().Truncate(time.Microsecond), each).Query(func(rows pgx.Rows) (err error) {
		out, err = collectCertificates(rows)
		return err
	})
	if err := a.db.Batch(ctx, role, b); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return out, nil
}

// Holders returns those who ever had a certificate of any of these profiles, whatever became of it, in the order of their
// ids: at most limit that come after one.
func (a *Authority) Holders(ctx context.Context, profiles []string, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return a.people(ctx, `select distinct person from ca.certificate where person > $1 and profile = any($2) order by person limit $3`, after, profiles, limit)
}

// AmongHolders returns those of the people who ever had a certificate of any of these profiles.
func (a *Authority) AmongHolders(ctx context.Context, profiles []string, people []uuid.UUID) ([]uuid.UUID, error) {
	return a.people(ctx, `select p from unnest($1::uuid[]) as p where exists (select from ca.certificate where person = p and profile = any($2))`, people, profiles)
}

func (a *Authority) people(ctx context.Context, sql string, args ...any) (out []uuid.UUID, err error) {
	err = a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	return out, nil
}

// Progress is how far the certificates of one request have come.
type Progress struct {
	Prepared  []Prepared    // written down and not signed; Sign or Abandon settles them
	Issued    []Certificate // signed
	Abandoned []Prepared    // given up; their serials are revoked
}

// ByRequest returns how far a request has come, for whoever resumes it after a crash.
func (a *Authority) ByRequest(ctx context.Context, request uuid.UUID) (Progress, error) {
	var out Progress
	err := a.db.Snapshot(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select `+preparedColumns+` from ca.prepared where request = $1 and state <> 'issued' order by prepared_at, profile`, request)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[preparedRow])
		if err != nil {
			return err
		}
		out = Progress{}
		for _, r := range list {
			if r.State == statePrepared {
				out.Prepared = append(out.Prepared, r.prepared())
			} else {
				out.Abandoned = append(out.Abandoned, r.prepared())
			}
		}
		out.Issued, err = certificates(ctx, tx, `where c.request = $1 order by c.number`, request)
		return err
	})
	return out, err
}

// People returns those who have a certificate that is valid now and not revoked, in the order of their ids: at most limit
// that come after one.
func (a *Authority) People(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return a.people(ctx, `
		select distinct c.person from ca.certificate c left join lateral (
			select standing from ca.revocation where issuer = c.issuer and serial = c.serial order by change desc limit 1) r on true
		where c.person > $1 and $2 between c.not_before and c.not_after + interval '1 second' - interval '1 microsecond'
			and coalesce(r.standing, 'released') = 'released'
		order by c.person limit $3`, after, a.now().UTC().Truncate(time.Microsecond), limit)
}
