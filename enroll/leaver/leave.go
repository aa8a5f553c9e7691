package leaver

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// leave revokes what somebody signs with, and has their encryption certificate taken out of the directory; or revokes what
// names an address that they lost. It may be repeated after a crash at any point. The directory is asked once more before: who is back loses nothing.
func (d *Desk) leave(ctx context.Context, l *Leaver) error {
	list, err := d.ask(ctx, []uuid.UUID{l.Person})
	if err != nil {
		return err
	}
	s := list[0]
	if s.standing == directory.StandingActive && l.Standing == Moved {
		begun, err := d.begun(ctx, l)
		if err != nil {
			return err
		}
		if !begun {
			return d.keepsAll(ctx, l)
		}
		s = seen{person: l.Person, standing: Moved} // all that is left to do is to say so
	}
	if !s.missing() || (s.standing == Moved) != (l.Standing == Moved) {
		now := d.now()
		return d.DB.InTx(ctx, role, func(tx pgx.Tx) error { return d.note(ctx, tx, now, now, list, nil) })
	}
	by, why, which := system(), "The directory shows the person as "+string(s.standing)+".", d.signs
	if s.standing == Moved {
		why, which = "The directory no longer has an address for the person that this names.", d.naming(s.lost)
	}
	if l.By != nil {
		by, why = *l.By, l.Reason
	}
	r := ca.Revocation{Reason: ca.AffiliationChanged, Note: why}
	revoked, err := d.Authority.RevokeAll(ctx, by, ca.Query{Person: &l.Person, State: ca.Good}, r, which)
	if err != nil {
		return err
	}
	d.After("leaver.revoked")
	now := d.now()
	var as *Leaver
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		as, err = lockLeaver(ctx, tx, l.Person)
		if errors.Is(err, ErrUnknown) || err == nil && as.State != Leaving { // another was faster, or they are back
			as = l
			return nil
		}
		if err != nil {
			return err
		}
		as.State, as.Changed = Left, now
		if err := updateLeaver(ctx, tx, as); err != nil {
			return err
		}
		if err := publish(ctx, tx, now, as.Person); err != nil {
			return err
		}
		return d.record(ctx, tx, now, by, as, "leaver.left", map[string]any{"standing": as.Standing, "revoked": len(revoked)})
	})
	if err != nil {
		return err
	}
	*l = *as
	d.After("leaver.left")
	return nil
}

// begun reports whether something of a mover's was revoked since that was decided: then that, and not the address's return, is why
// nothing is wrong any more.
func (d *Desk) begun(ctx context.Context, l *Leaver) (bool, error) {
	found, err := d.Authority.Find(ctx, ca.Query{Person: &l.Person, State: ca.Revoked})
	naming := d.naming(l.Lost)
	return slices.ContainsFunc(found, func(c ca.Certificate) bool { return naming(c) && !c.Status.At.Before(l.Changed) }), err
}

// keepsAll takes a mover off the list whose address is back.
func (d *Desk) keepsAll(ctx context.Context, l *Leaver) error {
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		is, err := lockLeaver(ctx, tx, l.Person)
		if errors.Is(err, ErrUnknown) || err == nil && (is.State != Leaving || is.Standing != Moved) {
			return nil
		}
		if err != nil {
			return err
		}
		return d.takeOff(ctx, tx, d.now(), is, "leaver.returned")
	})
}

// signs reports whether a person signs with a certificate, or signs in. Officers' are not among these: who takes their
// place is the officers' to settle (docs/runbooks/replace-an-officer.md). Of a profile that is no longer configured, what
// the certificate itself says of its key would not tell; it is revoked.
func (d *Desk) signs(c ca.Certificate) bool {
	p, err := d.Authority.Profile(c.Profile)
	return err != nil || p.Use() == keyuse.Signing || p.Use() == keyuse.Single
}

// leaveAll works on everybody who is to be revoked, also what another process left half done.
func (d *Desk) leaveAll(ctx context.Context) error {
	var errs []error
	after := int64(0)
	for {
		var list []*Leaver
		err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			list, err = selectLeavers(ctx, tx, []State{Leaving}, after, pageSize)
			return err
		})
		if err != nil || len(list) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for _, l := range list {
			after = l.Number
			if err := d.leave(ctx, l); err != nil {
				if ctx.Err() != nil || errors.Is(err, fault.Unavailable) {
					return err
				}
				d.Log.Warn("somebody who left was not revoked yet", "person", l.Person, "error", err)
				errs = append(errs, err)
			}
		}
	}
}

// again revokes what somebody signs with who was revoked already: a certificate may have been on its way then.
func (d *Desk) again(ctx context.Context, people []uuid.UUID) error {
	for _, p := range people {
		_, err := d.Authority.RevokeAll(ctx, system(), ca.Query{Person: &p, State: ca.Good},
			ca.Revocation{Reason: ca.AffiliationChanged, Note: "The person had left when this was issued."}, d.signs)
		if err != nil {
			return err
		}
	}
	return nil
}

// Left returns those of the people who have left: nothing of theirs is shown to who wants to write to them.
func (d *Desk) Left(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]bool, error) {
	out := map[uuid.UUID]bool{}
	if len(people) == 0 {
		return out, nil
	}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := left(ctx, tx, people)
		for _, p := range found {
			out[p] = true
		}
		return err
	})
	return out, err
}
