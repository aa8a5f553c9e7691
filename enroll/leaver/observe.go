package leaver

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// system is who acts when nobody does.
func system() audit.Actor { return audit.System("leavers") }

// Observe asks the directory about one person and does what is to be done now: it puts them on the list or takes them
// off, and after the grace what the policy says. It returns nil for somebody who is not on the list. It is safe to be
// called at any time, any number of times; when the directory does not answer, it changes nothing.
func (d *Desk) Observe(ctx context.Context, person uuid.UUID) (*Leaver, error) {
	list, err := d.ask(ctx, []uuid.UUID{person})
	if err != nil {
		return nil, err
	}
	failed, err := d.settled(ctx, list)
	if err != nil {
		return nil, err
	}
	l, err := d.get(ctx, person)
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	}
	return l, errors.Join(err, failed[person])
}

// settled brings the list up to date, and does about those who are on it what is to be done now. It returns who could not be
// revoked, and why; the sweep tries again.
func (d *Desk) settled(ctx context.Context, list []seen) (failed map[uuid.UUID]error, err error) {
	now := d.now()
	fresh, err := d.fresh(ctx, list)
	if err != nil {
		return nil, err
	}
	var on map[uuid.UUID]*Leaver
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := d.note(ctx, tx, now, now, list, fresh); err != nil {
			return err
		}
		on, err = lockLeavers(ctx, tx, peopleOf(list))
		return err
	})
	if err != nil {
		return nil, err
	}
	failed = map[uuid.UUID]error{}
	for _, l := range on {
		if l.State == Noticed && !l.Noticed.Add(d.Policy.Grace).After(d.now()) {
			if err := d.settle(ctx, []*Leaver{l}); err != nil {
				return nil, err
			}
			if l, err = d.get(ctx, l.Person); errors.Is(err, ErrUnknown) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if l.State != Leaving {
			continue
		}
		if err := d.leave(ctx, l); err != nil {
			if ctx.Err() != nil || errors.Is(err, fault.Unavailable) {
				return nil, err
			}
			d.Log.Warn("somebody who left was not revoked yet", "person", l.Person, "error", err)
			failed[l.Person] = err
		}
	}
	return failed, nil
}

func peopleOf(list []seen) []uuid.UUID {
	out := make([]uuid.UUID, len(list))
	for i, s := range list {
		out[i] = s.person
	}
	return out
}

func (d *Desk) get(ctx context.Context, person uuid.UUID) (l *Leaver, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		l, err = selectLeaver(ctx, tx, person)
		return err
	})
	return l, err
}

// fresh returns those of the people who are missing and not on the list, as their newest certificate names them. Somebody
// without any is nobody's concern.
func (d *Desk) fresh(ctx context.Context, list []seen) (map[uuid.UUID]*Leaver, error) {
	var missing []uuid.UUID
	for _, s := range list {
		if d.Policy.action(s.standing) != Ignore {
			missing = append(missing, s.person)
		}
	}
	out := map[uuid.UUID]*Leaver{}
	if len(missing) == 0 {
		return out, nil
	}
	known, err := d.among(ctx, missing)
	if err != nil {
		return nil, err
	}
	for _, p := range missing {
		if known[p] {
			continue
		}
		list, err := d.Authority.Find(ctx, ca.Query{Person: &p, ValidAt: d.now(), State: ca.Good, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			out[p] = named(list[0])
		}
	}
	return out, nil
}

func named(c ca.Certificate) *Leaver {
	l := &Leaver{Person: c.Person}
	if len(c.Mailboxes) > 0 {
		l.Mailbox = c.Mailboxes[0]
	}
	if parsed, err := x509.ParseCertificate(c.DER); err == nil { // our own: it can be parsed
		l.Name = parsed.Subject.CommonName
	}
	return l
}

// among returns who of the people is on the list.
func (d *Desk) among(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]bool, error) {
	out := map[uuid.UUID]bool{}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select person from enroll.leaver where person = any($1)`, people)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, p := range found {
			out[p] = true
		}
		return err
	})
	return out, err
}

// note brings the list up to date with what the directory said, at a time that counts as seen.
func (d *Desk) note(ctx context.Context, tx pgx.Tx, now, seenAt time.Time, list []seen, fresh map[uuid.UUID]*Leaver) error {
	people := peopleOf(list)
	have, err := lockLeavers(ctx, tx, people)
	if err != nil {
		return err
	}
	for _, is := range list {
		p, s := is.person, is.standing
		l := have[p]
		switch {
		case s == directory.StandingUnknown:
			if l != nil {
				d.Log.Warn("somebody who left is of no directory that is configured", "person", p)
			}
		case s == directory.StandingActive && l != nil && stays(l, now):
		case s == directory.StandingActive && l != nil && l.Standing == Moved && l.State == Left:
			err = d.takeOff(ctx, tx, now, l, "leaver.settled") // what named the address is revoked
		case s == directory.StandingActive && l != nil:
			err = d.takeOff(ctx, tx, now, l, "leaver.returned")
		case s == directory.StandingActive:
		case l != nil && d.Policy.action(s) == Ignore && (l.State == Noticed || l.State == Waiting):
			err = d.takeOff(ctx, tx, now, l, "leaver.ignored")
		case l != nil:
			err = d.noteAgain(ctx, tx, now, l, is)
		case fresh[p] != nil:
			err = d.putOn(ctx, tx, now, fresh[p], is)
		}
		if err != nil {
			return err
		}
	}
	return touchLeavers(ctx, tx, people, seenAt)
}

func (d *Desk) putOn(ctx context.Context, tx pgx.Tx, now time.Time, l *Leaver, s seen) error {
	l.Standing, l.Lost, l.State, l.Noticed = s.standing, s.lost, Noticed, now
	added, err := insertLeaver(ctx, tx, l)
	if err != nil || !added {
		return err
	}
	return d.noticed(ctx, tx, now, l)
}

// noticed records that somebody was noticed. What they lost is hidden at once.
func (d *Desk) noticed(ctx context.Context, tx pgx.Tx, now time.Time, l *Leaver) error {
	data := map[string]any{"standing": l.Standing}
	if l.Standing == Moved {
		data["lost"] = l.Lost
		if err := publish(ctx, tx, now, l.Person); err != nil {
			return err
		}
	}
	return d.record(ctx, tx, now, system(), l, "leaver.noticed", data)
}

// publish has somebody's directory entry brought up to date.
func publish(ctx context.Context, tx pgx.Tx, now time.Time, person uuid.UUID) error {
	b := &pgx.Batch{}
	jobs.QueuePublication(b, now, person)
	return tx.SendBatch(ctx, b).Close()
}

// noteAgain is for who was disabled and is gone now, or the like: what was decided of the one says nothing of the other. Who
// has left stays so, be they disabled or gone; who lost an address, or another one, is another matter.
func (d *Desk) noteAgain(ctx context.Context, tx pgx.Tx, now time.Time, l *Leaver, s seen) error {
	late := s.standing == Moved && l.State == Left // a certificate was on its way when the others were revoked
	if l.Standing == s.standing && slices.Equal(l.Lost, s.lost) && !late {
		return nil
	}
	moved := l.Standing == Moved || s.standing == Moved
	was := l.State
	hidden := was == Leaving || was == Left
	if l.Standing, l.Lost = s.standing, s.lost; moved || was == Kept {
		l.Noticed = now
	}
	if moved || was == Kept || was == Waiting {
		l.State, l.Why, l.Changed, l.By, l.Reason = Noticed, "", now, nil, ""
	}
	if err := updateLeaver(ctx, tx, l); err != nil {
		return err
	}
	if moved && hidden {
		if err := publish(ctx, tx, now, l.Person); err != nil {
			return err
		}
	}
	return d.noticed(ctx, tx, now, l)
}

// takeOff forgets a leaver. Whom the directory did not show any more, it shows again.
func (d *Desk) takeOff(ctx context.Context, tx pgx.Tx, now time.Time, l *Leaver, kind string) error {
	if err := deleteLeaver(ctx, tx, l.Person); err != nil {
		return err
	}
	if l.State == Leaving || l.State == Left || l.Standing == Moved {
		if err := publish(ctx, tx, now, l.Person); err != nil {
			return err
		}
	}
	return d.record(ctx, tx, now, system(), l, kind, map[string]any{"standing": l.Standing, "state": l.State})
}

func (d *Desk) record(ctx context.Context, tx pgx.Tx, now time.Time, by audit.Actor, l *Leaver, kind string, data map[string]any) error {
	_, err := audit.Append(ctx, tx, now, by, event(kind, l.Person, data))
	return err
}

// revokedLately is how far back those count towards the limit who were revoked without a word.
const revokedLately = 24 * time.Hour

// settle does what the policy says about people whose grace is over: they are to be revoked, or wait for a registrar.
func (d *Desk) settle(ctx context.Context, due []*Leaver) error {
	now := d.now()
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "leavers"); err != nil { // others must not count at the same time
			return err
		}
		p, err := lockPass(ctx, tx)
		if err != nil {
			return err
		}
		missing, err := countMissing(ctx, tx, now.Add(-revokedLately))
		if err != nil {
			return err
		}
		for _, l := range due {
			l, err := lockLeaver(ctx, tx, l.Person)
			if errors.Is(err, ErrUnknown) || err == nil && l.State != Noticed { // another was faster
				continue
			}
			if err == nil {
				err = d.settleOne(ctx, tx, now, l, missing, p.Total)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Desk) settleOne(ctx context.Context, tx pgx.Tx, now time.Time, l *Leaver, missing, people int) error {
	l.Changed, l.State, l.Why = now, Waiting, WhyPolicy
	data := map[string]any{"standing": l.Standing}
	if d.Policy.action(l.Standing) == Revoke {
		data["missing"], data["people"] = missing, people
		if missing <= d.allowed(people) {
			l.State, l.Why = Leaving, ""
		} else {
			l.Why = WhyLimit
			d.Log.Warn("too many people are missing in the directory: a registrar must decide", "person", l.Person, "missing", missing, "people", people)
		}
	}
	if l.State == Waiting {
		data["why"] = l.Why
	}
	if err := updateLeaver(ctx, tx, l); err != nil {
		return err
	}
	return d.record(ctx, tx, now, system(), l, "leaver."+string(l.State), data)
}

// allowed returns how many of so many people may be missing. Before everybody was counted once it is nobody.
func (d *Desk) allowed(people int) int {
	if people == 0 {
		return 0
	}
	return max(1, int(d.Policy.Limit*float64(people)))
}
