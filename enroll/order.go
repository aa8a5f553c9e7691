package enroll

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults of renewal orders.
var (
	ErrOrder           = fault.New(fault.Malformed, "renewal-order", "The order to renew is not as it should be.")
	ErrOrderImpossible = fault.New(fault.Conflict, "renewal-order-impossible", "After this order there would be no kind of key left that an enrolment takes.")
	ErrOrders          = fault.New(fault.Conflict, "renewal-orders-full", "There are too many open orders to renew. Withdraw those that have done their work.")
	ErrUnknownOrder    = fault.New(fault.NotFound, "unknown-renewal-order", "There is no such order to renew.")
	ErrOrderWithdrawn  = fault.New(fault.Conflict, "renewal-order-withdrawn", "The order to renew was withdrawn before.")
	ErrOrderedAway     = fault.New(fault.Denied, "key-ordered-away", "A key of this kind, or this very key, is not taken any more. Fetch the policy again and make another key.")
)

// Bounds of orders.
const (
	maxOrders      = 100 // that are open
	maxOrderReason = 500 // characters
	maxOrderHours  = 90 * 24
	// ordersKept is how long open orders are kept in memory: so long other servers may not know of a new one.
	ordersKept = 5 * time.Second
)

// Order has certificates renewed before their time. It concerns those that meet every criterion that is given, of which there is at least one.
type Order struct {
	Number int64
	By     audit.Actor
	At     time.Time
	Reason string // people read it

	Algorithm    ca.KeyAlgorithm // of the certificate's key; "": any
	Key          *keyuse.Hash    // the very key; nil: any
	Issuer       string          // "": any
	Profile      string          // "": any
	Person       uuid.UUID       // uuid.Nil: anybody's
	IssuedBefore time.Time       // zero: those from before the order, and of a key or algorithm all there are

	Hours       int          // over which machines are spread from At on; 0: at once
	WithdrawnBy *audit.Actor // nil: the order is open
	WithdrawnAt *time.Time
}

// mayOrder reports whether somebody may have certificates renewed.
func mayOrder(by audit.Actor) bool { return by.Has(audit.Registrar) || by.Has(audit.Operator) }

// refuses reports whether a new key of the kind is refused for a profile. What an order says of certificates from before some moment says
// nothing of today's.
func (o *Order) refuses(algorithm ca.KeyAlgorithm, p *ca.Profile) bool {
	return o.Algorithm == algorithm && o.IssuedBefore.IsZero() && (o.Profile == "" || o.Profile == p.Name()) && (o.Issuer == "" || o.Issuer == p.Issuer().ID())
}

// concerns reports whether a certificate is to be renewed.
func (o *Order) concerns(c ca.Certificate) (bool, error) {
	switch {
	case o.Person != uuid.Nil && o.Person != c.Person, o.Profile != "" && o.Profile != c.Profile, o.Issuer != "" && o.Issuer != c.Issuer,
		o.Key != nil && *o.Key != c.Key, !o.IssuedBefore.IsZero() && !c.IssuedAt.Before(o.IssuedBefore):
		return false, nil
	case o.IssuedBefore.IsZero() && o.Algorithm == "" && o.Key == nil && !c.IssuedAt.Before(o.At): // what came of the order
		return false, nil
	case o.Algorithm == "":
		return true, nil
	}
	algorithm, err := c.Algorithm()
	return algorithm == o.Algorithm, err
}

// hasten changes when a certificate is to be renewed, if an open order concerns it. It is never later than without.
func hasten(orders []*Order, d *Due, machine uuid.UUID) error {
	for _, o := range orders {
		concerned, err := o.concerns(d.Certificate)
		if err != nil {
			return err
		}
		until := o.At.Add(time.Duration(o.Hours) * time.Hour)
		at := spread(o.At, until, machine, d.Certificate.Request)
		if !concerned || d.Why == DueOrdered && !at.Before(d.RenewAt) {
			continue
		}
		if at.Before(d.RenewAt) {
			d.RenewAt = at
		}
		if until.Before(d.LateAt) {
			d.LateAt = until
		}
		d.Why, d.Say = DueOrdered, "Your certificate is replaced before its time: "+o.Reason
	}
	return nil
}

// openOrders keeps the open orders for a moment, so that a policy costs no query for them.
type openOrders struct {
	mu    sync.Mutex
	until time.Time
	list  []*Order
}

// openOrders returns the open orders as they were at most five seconds ago.
func (r *Registry) openOrders(ctx context.Context) ([]*Order, error) {
	now := r.Now()
	r.orders.mu.Lock()
	list, fresh := r.orders.list, now.Before(r.orders.until) && r.orders.until.Sub(now) <= ordersKept
	r.orders.mu.Unlock()
	if fresh {
		return list, nil
	}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		list, err = selectOrders(ctx, tx, true, 0, maxOrders)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.orders.mu.Lock()
	r.orders.list, r.orders.until = list, now.Add(ordersKept)
	r.orders.mu.Unlock()
	return list, nil
}

// forgetOrders has the orders read at the next use.
func (r *Registry) forgetOrders() {
	r.orders.mu.Lock()
	r.orders.until = time.Time{}
	r.orders.mu.Unlock()
}

// keysOf returns the kinds of key that are taken for a profile while these orders are open, the preferred one first.
func keysOf(p *ca.Profile, orders []*Order) []ca.KeyAlgorithm {
	if p == nil {
		return nil
	}
	return slices.DeleteFunc(p.Keys(), func(k ca.KeyAlgorithm) bool {
		return slices.ContainsFunc(orders, func(o *Order) bool { return o.refuses(k, p) })
	})
}

// OrderRenewal has certificates renewed: agents are told so with the policy, each machine at a moment of its own within the order's hours. What the
// order says of a kind of key holds for new ones, too: they are not taken any more. Nothing is revoked. Registrars and operators may. It returns
// ErrNotAllowed, ErrOrder, ErrOrderImpossible and ErrOrders.
func (r *Registry) OrderRenewal(ctx context.Context, by audit.Actor, o Order) (*Order, error) {
	if err := r.checkOrder(by, &o); err != nil {
		return nil, err
	}
	o.By, o.At = by, r.Now().UTC().Truncate(time.Microsecond)
	if o.IssuedBefore.After(o.At) {
		return nil, ErrOrder.Withf("issued_before lies in the future. Leave it out.")
	}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "renewal orders"); err != nil {
			return err
		}
		open, err := selectOrders(ctx, tx, true, 0, maxOrders)
		if err != nil {
			return err
		}
		if len(open) == maxOrders {
			return ErrOrders
		}
		if err := r.leavesKeys(append(open, &o)); err != nil {
			return err
		}
		if o.Number, err = insertOrder(ctx, tx, &o); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, o.At, by, audit.Event{Kind: "enrolment.renewal-ordered", Subject: fmt.Sprintf("renewal-order:%d", o.Number), Person: o.Person, Data: o.data()})
		return err
	})
	r.forgetOrders()
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// data is what the record of everything says of an order.
func (o *Order) data() map[string]any {
	out := map[string]any{"reason": o.Reason, "hours": o.Hours}
	for name, value := range map[string]string{"algorithm": string(o.Algorithm), "issuer": o.Issuer, "profile": o.Profile} {
		if value != "" {
			out[name] = value
		}
	}
	if o.Key != nil {
		out["spki_sha256"] = hex.EncodeToString(o.Key[:])
	}
	if !o.IssuedBefore.IsZero() {
		out["issued_before"] = o.IssuedBefore
	}
	return out
}

func (r *Registry) checkOrder(by audit.Actor, o *Order) error {
	o.Reason = strings.TrimSpace(o.Reason)
	o.IssuedBefore = o.IssuedBefore.UTC().Truncate(time.Microsecond)
	profile := func() error { _, err := r.Authority.Profile(o.Profile); return err }
	switch {
	case !mayOrder(by):
		return ErrNotAllowed.Withf("Only registrars and operators have certificates renewed.")
	case o.Reason == "" || !utf8.ValidString(o.Reason) || utf8.RuneCountInString(o.Reason) > maxOrderReason || strings.ContainsFunc(o.Reason, unseen):
		return ErrOrder.Withf("An order to renew needs a reason of at most %d characters, which people will read.", maxOrderReason)
	case o.Algorithm == "" && o.Key == nil && o.Issuer == "" && o.Profile == "" && o.Person == uuid.Nil:
		return ErrOrder.Withf("Say which certificates: by algorithm, key, issuer, profile or person.")
	case o.Algorithm != "" && !o.Algorithm.Known():
		return ErrOrder.Withf("There is no kind of key called %q.", o.Algorithm)
	case o.Algorithm != "" && (o.Key != nil || o.Person != uuid.Nil):
		return ErrOrder.Withf("An algorithm is ordered away for everybody. It goes together with issuer and profile, not with a key or a person.")
	case o.Profile != "" && (profile() != nil || !r.planned(o.Profile)):
		return ErrOrder.Withf("No enrolment yields certificates of the profile %q.", o.Profile)
	case o.Issuer != "" && !slices.ContainsFunc(r.Authority.Issuers(), func(i *ca.Issuer) bool { return i.ID() == o.Issuer }):
		return ErrOrder.Withf("There is no issuer %q.", o.Issuer)
	case o.Hours < 0 || o.Hours > maxOrderHours:
		return ErrOrder.Withf("Machines are spread over 0 to %d hours.", maxOrderHours)
	}
	return nil
}

// leavesKeys returns ErrOrderImpossible if for some enrolment no kind of key is left.
func (r *Registry) leavesKeys(orders []*Order) error {
	for name, p := range r.plans {
		for _, profile := range []*ca.Profile{p.signing, p.encryption} {
			if profile != nil && len(keysOf(profile, orders)) == 0 {
				return ErrOrderImpossible.Withf("After this order there would be no kind of key left for the enrolment %q, profile %q. Have the profile take another kind first.",
					name, profile.Name())
			}
		}
	}
	return nil
}

// RenewalOrders returns orders, the newest first: with numbers below before, if that is not 0. Registrars, operators and auditors may.
func (r *Registry) RenewalOrders(ctx context.Context, by audit.Actor, open bool, before int64, limit int) (out []*Order, err error) {
	if !mayOrder(by) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars, operators and auditors see orders to renew.")
	}
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectOrders(ctx, tx, open, before, limit)
		return err
	})
	return out, err
}

// RenewalOrder returns one order. Registrars, operators and auditors may.
func (r *Registry) RenewalOrder(ctx context.Context, by audit.Actor, number int64) (*Order, error) {
	found, err := r.RenewalOrders(ctx, by, false, number+1, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].Number != number {
		return nil, ErrUnknownOrder
	}
	return found[0], nil
}

// WithdrawRenewalOrder ends an order: what was not renewed by then has its usual moment, and a kind of key is taken again. Registrars and operators
// may. It returns ErrNotAllowed, ErrUnknownOrder and ErrOrderWithdrawn.
func (r *Registry) WithdrawRenewalOrder(ctx context.Context, by audit.Actor, number int64) (out *Order, err error) {
	if !mayOrder(by) {
		return nil, ErrNotAllowed.Withf("Only registrars and operators withdraw orders to renew.")
	}
	now := r.Now().UTC().Truncate(time.Microsecond)
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = withdrawOrder(ctx, tx, number, by, now); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.renewal-withdrawn", Subject: fmt.Sprintf("renewal-order:%d", number), Person: out.Person})
		return err
	})
	r.forgetOrders()
	return out, err
}
