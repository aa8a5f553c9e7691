package enroll

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

const orderColumns = `number, made_by, made_at, reason, coalesce(algorithm, ''), spki_sha256, coalesce(issuer, ''), coalesce(profile, ''), person, issued_before, hours,
	withdrawn_by, withdrawn_at`

func collectOrders(rows pgx.Rows, err error) ([]*Order, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Order, error) {
		var o Order
		var key []byte
		var person *uuid.UUID
		var before *time.Time
		err := row.Scan(&o.Number, &o.By, &o.At, &o.Reason, &o.Algorithm, &key, &o.Issuer, &o.Profile, &person, &before, &o.Hours, &o.WithdrawnBy, &o.WithdrawnAt)
		if key != nil {
			h := keyuse.Hash(key)
			o.Key = &h
		}
		if person != nil {
			o.Person = *person
		}
		if before != nil {
			o.IssuedBefore = *before
		}
		return &o, err
	})
}

// selectOrders returns orders, the newest first; before 0 begins with the newest.
func selectOrders(ctx context.Context, tx pgx.Tx, open bool, before int64, limit int) ([]*Order, error) {
	const below = ` and ($1 = 0 or number < $1) order by number desc limit $2`
	if open {
		return collectOrders(tx.Query(ctx, `select `+orderColumns+` from enroll.renewal_order where withdrawn_at is null`+below, before, limit))
	}
	return collectOrders(tx.Query(ctx, `select `+orderColumns+` from enroll.renewal_order where true`+below, before, limit))
}

func insertOrder(ctx context.Context, tx pgx.Tx, o *Order) (number int64, err error) {
	var key []byte
	var person *uuid.UUID
	var before *time.Time
	if o.Key != nil {
		key = o.Key[:]
	}
	if o.Person != uuid.Nil {
		person = &o.Person
	}
	if !o.IssuedBefore.IsZero() {
		before = &o.IssuedBefore
	}
	err = tx.QueryRow(ctx, `
		insert into enroll.renewal_order (made_by, made_at, reason, algorithm, spki_sha256, issuer, profile, person, issued_before, hours)
		values ($1, $2, $3, nullif($4, ''), $5, nullif($6, ''), nullif($7, ''), $8, $9, $10) returning number`,
		o.By, o.At, o.Reason, string(o.Algorithm), key, o.Issuer, o.Profile, person, before, o.Hours).Scan(&number)
	return number, err
}

// withdrawOrder returns ErrUnknownOrder or ErrOrderWithdrawn if there is nothing to withdraw.
func withdrawOrder(ctx context.Context, tx pgx.Tx, number int64, by audit.Actor, at time.Time) (*Order, error) {
	found, err := collectOrders(tx.Query(ctx, `update enroll.renewal_order set withdrawn_by = $2, withdrawn_at = $3
		where number = $1 and withdrawn_at is null returning `+orderColumns, number, by, at))
	if err != nil {
		return nil, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	var known bool
	if err := tx.QueryRow(ctx, `select true from enroll.renewal_order where number = $1`, number).Scan(&known); errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownOrder
	} else if err != nil {
		return nil, err
	}
	return nil, ErrOrderWithdrawn
}

// What an order has done is counted among the newest certificates that it can concern.
const (
	orderPage  = 1000
	orderPages = 20
)

// Progress is how far an order has come. It is a count of certificates, not of machines: one of the person's machines may have a newer one and
// another not yet.
type Progress struct {
	Waiting  int  // certificates that it concerns, with no newer one of the person's and profile's
	Replaced int  // that it concerns, and there is a newer one
	Whole    bool // false: there are more certificates than were looked at
}

// RenewalProgress counts what an order concerns among the newest 20,000 valid certificates of its issuer, profile, person and key. It costs up to
// 20 queries of 1000 certificates each, and after each of them one for every profile among them.
func (r *Registry) RenewalProgress(ctx context.Context, o *Order) (out Progress, err error) {
	q := ca.Query{Key: o.Key, Issuer: o.Issuer, Profile: o.Profile, ValidAt: r.Now(), State: ca.Good, Limit: orderPage}
	if o.Person != uuid.Nil {
		q.Person = &o.Person
	}
	for range orderPages {
		found, err := r.Authority.Find(ctx, q)
		if err != nil {
			return out, err
		}
		if err := r.countOrdered(ctx, o, found, &out); err != nil {
			return out, err
		}
		if out.Whole = len(found) < orderPage; out.Whole {
			return out, nil
		}
		q.Before = found[len(found)-1].Number
	}
	return out, nil
}

// countOrdered adds what an order concerns of some certificates.
func (r *Registry) countOrdered(ctx context.Context, o *Order, found []ca.Certificate, out *Progress) error {
	concerned := map[string][]ca.Certificate{} // by profile
	for _, c := range found {
		yes, err := o.concerns(c)
		if err != nil {
			return err
		}
		if yes && r.planned(c.Profile) {
			concerned[c.Profile] = append(concerned[c.Profile], c)
		}
	}
	for profile, list := range concerned {
		people := map[uuid.UUID]bool{}
		var ids []uuid.UUID
		for _, c := range list {
			if !people[c.Person] {
				people[c.Person] = true
				ids = append(ids, c.Person)
			}
		}
		newest, err := r.Authority.Newest(ctx, ids, []string{profile}, 1)
		if err != nil {
			return err
		}
		replaced := map[uuid.UUID]bool{}
		for _, c := range newest {
			yes, err := o.concerns(c)
			if err != nil {
				return err
			}
			replaced[c.Person] = !yes
		}
		for _, c := range list {
			if replaced[c.Person] {
				out.Replaced++
			} else {
				out.Waiting++
			}
		}
	}
	return nil
}
