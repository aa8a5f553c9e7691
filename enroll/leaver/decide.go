package leaver

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// maxReason bounds a decision's reason, in characters.
const maxReason = 500

// List returns leavers in some states (none: all), in the order of their notice: those after a number, at most limit.
// Registrars, operators and auditors may see them.
func (d *Desk) List(ctx context.Context, by audit.Actor, states []State, after int64, limit int) ([]*Leaver, error) {
	if !decides(by) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars, operators and auditors see who left.")
	}
	if len(states) == 0 {
		states = []State{Noticed, Waiting, Leaving, Left, Kept}
	}
	var out []*Leaver
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectLeavers(ctx, tx, states, after, min(max(limit, 1), 500))
		return err
	})
	return out, err
}

// Get returns somebody on the list, to those who may see it; ErrUnknown if they are not there.
func (d *Desk) Get(ctx context.Context, by audit.Actor, person uuid.UUID) (*Leaver, error) {
	if !decides(by) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars, operators and auditors see who left.")
	}
	return d.get(ctx, person)
}

// Next is what the policy will do about somebody who is noticed, and from when on, if nobody decides before: Revoke or Ask.
// Of all others it is "".
func (d *Desk) Next(l *Leaver) (Action, time.Time) {
	if l.State != Noticed {
		return "", time.Time{}
	}
	return d.Policy.action(l.Standing), l.Noticed.Add(d.Policy.Grace)
}

// Waiting returns how many people wait for a registrar.
func (d *Desk) Waiting(ctx context.Context) (n int, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		n, err = countWaiting(ctx, tx)
		return err
	})
	return n, err
}

func decides(by audit.Actor) bool { return by.Has(audit.Registrar) || by.Has(audit.Operator) }

// Revoke is a registrar's or operator's word that somebody has left: it is done at once, without waiting for the grace's
// end, after a last look at the directory. ErrReturned says that it shows them as active again.
func (d *Desk) Revoke(ctx context.Context, by audit.Actor, person uuid.UUID, reason string) (*Leaver, error) {
	l, err := d.decide(ctx, by, person, reason, Leaving)
	if err != nil || l.State == Left {
		return l, err
	}
	d.After("leaver.decided")
	if err := d.leave(ctx, l); err != nil || l.State == Left {
		return l, err
	}
	return d.still(d.get(ctx, person))
}

// Keep is a registrar's or operator's word that somebody's certificates stay as they are, until the directory says
// something else about them.
func (d *Desk) Keep(ctx context.Context, by audit.Actor, person uuid.UUID, reason string) (*Leaver, error) {
	return d.decide(ctx, by, person, reason, Kept)
}

// still makes ErrReturned of somebody's having gone off the list.
func (d *Desk) still(l *Leaver, err error) (*Leaver, error) {
	if errors.Is(err, ErrUnknown) {
		err = ErrReturned
	}
	return l, err
}

// decide moves somebody to a state. The directory is asked first: there may be nothing to decide any more.
func (d *Desk) decide(ctx context.Context, by audit.Actor, person uuid.UUID, reason string, to State) (*Leaver, error) {
	if err := d.mayDecide(ctx, by, person, to); err != nil {
		return nil, err
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return nil, ErrReason
	}
	if _, err := d.get(ctx, person); err != nil {
		return nil, err
	}
	list, err := d.ask(ctx, []uuid.UUID{person})
	if err != nil {
		return nil, err
	}
	now := d.now()
	var l *Leaver
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		err := d.note(ctx, tx, now, now, list, nil)
		if err == nil {
			l, err = lockLeaver(ctx, tx, person)
		}
		if errors.Is(err, ErrUnknown) {
			l = nil // off the list by now, and that is kept
			return nil
		}
		if err != nil || l.State == to || to == Leaving && l.State == Left { // a repetition
			return err
		}
		if l.State == Left || l.State == Leaving {
			return ErrState
		}
		l.State, l.Why, l.Changed, l.By, l.Reason = to, "", now, &by, reason
		if err := updateLeaver(ctx, tx, l); err != nil {
			return err
		}
		if l.Standing == Moved {
			if err := publish(ctx, tx, now, l.Person); err != nil {
				return err
			}
		}
		return d.record(ctx, tx, now, by, l, "leaver."+string(to), map[string]any{"standing": l.Standing, "reason": reason})
	})
	if err == nil && l == nil {
		err = ErrReturned
	}
	return l, err
}

// mayDecide refuses, and records that.
func (d *Desk) mayDecide(ctx context.Context, by audit.Actor, person uuid.UUID, to State) error {
	var refused *fault.Error
	switch {
	case !decides(by):
		refused = ErrNotAllowed
	case by.Person == person:
		refused = ErrOwn
	default:
		return nil
	}
	_, err := d.Audit.Record(ctx, by, event("leaver.decision-refused", person, map[string]any{"decision": to, "code": refused.Code}))
	return errors.Join(refused, err)
}
