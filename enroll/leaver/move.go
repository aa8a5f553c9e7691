package leaver

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Moved is the standing of somebody who is there, and whose certificates name a mail address that is no longer theirs. It may be
// another person's by now.
const Moved directory.Standing = "moved"

// alwaysHidden is how many people's certificates are hidden because of an address that was lost, whatever part of all they are.
const alwaysHidden = 10

// seen is how somebody stands.
type seen struct {
	person   uuid.UUID
	standing directory.Standing
	lost     []string // of Moved: the addresses, in lower case
}

// missing reports whether something is to be done about them.
func (s seen) missing() bool {
	return s.standing == directory.StandingDisabled || s.standing == directory.StandingGone || s.standing == Moved
}

// ask asks the directory itself how at most MaxStandings people stand.
func (d *Desk) ask(ctx context.Context, people []uuid.UUID) ([]seen, error) {
	looks, err := d.Directory.Looks(ctx, people)
	if err != nil {
		return nil, err
	}
	return d.judge(ctx, looks)
}

// judge compares the addresses that the directory has for people with those that their certificates name.
func (d *Desk) judge(ctx context.Context, looks []directory.Look) ([]seen, error) {
	out := make([]seen, len(looks))
	places := map[uuid.UUID]int{}
	var active []uuid.UUID
	for i, l := range looks {
		out[i] = seen{person: l.Person, standing: l.Standing}
		if l.Standing == directory.StandingActive {
			places[l.Person] = i
			active = append(active, l.Person)
		}
	}
	if len(active) == 0 || d.Policy.Moved == Ignore {
		return out, nil
	}
	named, err := d.Authority.ValidAddresses(ctx, active)
	if err != nil {
		return nil, err
	}
	for _, a := range named {
		i := places[a.Person]
		has := func(m string) bool { return strings.EqualFold(m, a.Mailbox) }
		if d.usesMail(a.Profile) && !slices.ContainsFunc(looks[i].Mailboxes, has) && !slices.Contains(out[i].lost, a.Mailbox) {
			out[i].standing, out[i].lost = Moved, append(out[i].lost, a.Mailbox)
		}
	}
	return out, nil
}

// usesMail reports whether certificates of a profile are for a person's mail. Officers' are not. Of one that is no longer
// configured nobody knows.
func (d *Desk) usesMail(profile string) bool {
	p, err := d.Authority.Profile(profile)
	return err != nil || p.Use() == keyuse.Signing || p.Use() == keyuse.Encryption || p.Use() == keyuse.Single
}

// naming returns what reports whether a certificate names one of the addresses.
func (d *Desk) naming(lost []string) func(ca.Certificate) bool {
	return func(c ca.Certificate) bool {
		return d.usesMail(c.Profile) && slices.ContainsFunc(c.Mailboxes, func(m string) bool { return slices.Contains(lost, m) })
	}
}

// Heard is for who was told by the directory (Directory.Watch) that people have changed: it does for each what Observe does, with
// what was heard. It may be told the same again.
func (d *Desk) Heard(ctx context.Context, changes []directory.Changed) error {
	looks := make([]directory.Look, len(changes))
	people := make([]uuid.UUID, len(changes))
	for i, c := range changes {
		looks[i], people[i] = c.Look, c.Person
	}
	list, err := d.judge(ctx, looks)
	if err != nil {
		return err
	}
	if _, err := d.settled(ctx, list); err != nil {
		return err
	}
	// A certificate may have been on its way when its owner was revoked.
	var gone []uuid.UUID
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		gone, err = left(ctx, tx, people)
		return err
	})
	if err != nil {
		return err
	}
	return d.again(ctx, gone)
}

// Lost returns the addresses that people have lost, in lower case: certificates that name them are shown to nobody. If so many
// have lost one at once that the directory may be wrong, those count who were decided about.
func (d *Desk) Lost(ctx context.Context, people []uuid.UUID) (map[uuid.UUID][]string, error) {
	out := map[uuid.UUID][]string{}
	if len(people) == 0 {
		return out, nil
	}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select person, lost from enroll.leaver where person = any($1) and standing = 'moved'
			and (state = 'leaving' or state = 'waiting' and why = 'policy' or (state = 'noticed' or state = 'waiting') and
				(select count(*) from enroll.leaver where standing = 'moved' and (state = 'noticed' or state = 'waiting' and why = 'limit')) <=
				greatest($2, $3 * (select coalesce(max(total), 0) from enroll.leaver_sweep)))`, people, alwaysHidden, d.Policy.Limit)
		if err != nil {
			return err
		}
		var person uuid.UUID
		var lost []string
		_, err = pgx.ForEachRow(rows, []any{&person, &lost}, func() error {
			out[person] = slices.Clone(lost)
			return nil
		})
		return err
	})
	return out, err
}

// stays reports whether a mover with whom nothing is wrong any more is still listed: while their certificates are being revoked,
// and, if nobody decided that, for as long as they count towards the limit.
func stays(l *Leaver, now time.Time) bool {
	return l.Standing == Moved && (l.State == Leaving || l.State == Left && l.By == nil && now.Sub(l.Changed).Abs() < revokedLately)
}
