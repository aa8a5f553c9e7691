package gal

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
)

// byID finds entries by the directory's own ids of them: in the directory that people are looked up in.
type byID struct{ *Target }

func (t byID) difference(ctx context.Context, person uuid.UUID) (Difference, error) {
	people := []uuid.UUID{person}
	desired, err := t.desired(ctx, people)
	if err != nil {
		return Difference{}, err
	}
	held, err := t.Directory.Holdings(ctx, people, t.attributes()...)
	switch {
	case err != nil:
		return Difference{}, err
	case held[0].Entries > 1:
		return Difference{}, directory.ErrSeveral
	case held[0].DN == "":
		return Difference{}, directory.ErrUnknownPerson
	case held[0].TooLarge:
		return Difference{}, ErrTooLarge
	}
	return t.Target.compare(desired[person], held[0].Values), nil
}

func (t byID) publish(ctx context.Context, people []uuid.UUID) ([]Difference, []error) {
	found, failed := make([]Difference, len(people)), make([]error, len(people))
	desired, err := t.desired(ctx, people)
	if err != nil {
		for n := range failed {
			failed[n] = err
		}
		return found, failed
	}
	t.p.remember(ctx, desired)
	list := make([]done, len(people))
	var g errgroup.Group
	g.SetLimit(publishersAtOnce)
	each := min(readAhead, (len(people)+publishersAtOnce-1)/publishersAtOnce)
	for from := 0; from < len(people); from += each {
		to := min(from+each, len(people))
		g.Go(func() error {
			t.repair(ctx, people[from:to], desired, list[from:to])
			return nil
		})
	}
	_ = g.Wait() // what failed is in list
	t.record(ctx, list)
	for n, e := range list {
		found[n], failed[n] = e.found, e.failed
	}
	t.again(ctx, people, desired, found, failed)
	return found, failed
}

// again looks once more at those whose entries were changed: what is right for them may have become another thing since it
// was read, and another server have written that before us.
func (t byID) again(ctx context.Context, people []uuid.UUID, was map[uuid.UUID]wanted, found []Difference, failed []error) {
	var changed []uuid.UUID
	places := map[uuid.UUID]int{}
	for n, d := range found {
		if failed[n] == nil && !d.Empty() {
			changed = append(changed, people[n])
			places[people[n]] = n
		}
	}
	if len(changed) == 0 {
		return
	}
	desired, err := t.desired(ctx, changed)
	for _, person := range changed {
		n := places[person]
		if err == nil && desired[person].equal(was[person]) {
			continue
		}
		if failed[n] = err; err == nil {
			d, errs := t.publish(ctx, []uuid.UUID{person})
			found[n], failed[n] = d[0], errs[0]
		}
	}
}

// repair makes people's entries show what they should, one after the other.
func (t byID) repair(ctx context.Context, people []uuid.UUID, desired map[uuid.UUID]wanted, list []done) {
	var ahead directory.Ahead // for one, reading and writing over one connection is as good
	var err error
	if len(people) > 1 {
		ahead, err = t.Directory.ReadAhead(ctx, people, t.attributes())
	}
	for n, person := range people {
		list[n] = done{person: person, failed: err}
		if err == nil {
			list[n].found, list[n].failed = t.repairOne(ctx, ahead, person, desired[person])
		}
	}
}

// repairOne makes a person's entry show what it should.
func (t byID) repairOne(ctx context.Context, ahead directory.Ahead, person uuid.UUID, desired wanted) (d Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = t.Directory.ReviseFrom(ctx, ahead, person, t.attributes(), func(have directory.Values) map[directory.Attribute]directory.Change {
		d = t.Target.compare(desired, have)
		return d.changes()
	})
	if err == nil && d.Full {
		err = t.full(d)
	}
	return d, err
}

func (t byID) compare(ctx context.Context, people []uuid.UUID) (compared, error) {
	held, err := t.Directory.Holdings(ctx, people, t.attributes()...)
	if err != nil {
		return compared{}, err
	}
	// Read after the directory: what is published meanwhile must not look stale.
	desired, err := t.desired(ctx, people)
	if err != nil {
		return compared{}, err
	}
	t.p.remember(ctx, desired)
	c := compared{people: len(people)}
	for _, h := range held {
		c.add(t.finding(h, desired[h.Person], h.Person.String()))
	}
	return c, nil
}

// add takes up what was found of an entry.
func (c *compared) add(f Finding) {
	c.foreign += f.Foreign
	if len(f.Kinds) > 0 {
		c.findings = append(c.findings, f)
	} else {
		c.clean = append(c.clean, f.entry)
	}
}

func (t byID) scan(ctx context.Context, fn func([]directory.Listed) error) error {
	return t.Directory.Scan(ctx, t.attributes(), fn)
}

func (t byID) doubles(page []directory.Listed, addresses map[string]string) (out []Finding) {
	for _, e := range page {
		for _, m := range e.Mailboxes {
			key := foldMailbox(m)
			if first, ok := addresses[key]; ok && first != e.Entry {
				out = append(out, Finding{DN: e.DN, Kinds: []Kind{Several}, entry: doubleKey(e.Entry)})
				break
			}
			addresses[key] = e.Entry
		}
	}
	return out
}

// strangers returns findings of entries with certificates of ours that are nobody's who ever had one.
func (t byID) strangers(ctx context.Context, page []directory.Listed) ([]Finding, error) {
	entries := make([]string, len(page))
	for i, e := range page {
		entries[i] = e.Entry
	}
	known, err := t.Directory.Known(ctx, entries)
	if err != nil {
		return nil, err
	}
	people := make([]uuid.UUID, 0, len(known))
	for _, id := range known {
		people = append(people, id)
	}
	holders, err := t.p.Authority.AmongHolders(ctx, t.p.profiles.all(), people)
	if err != nil {
		return nil, err
	}
	compared := make(map[uuid.UUID]bool, len(holders))
	for _, id := range holders {
		compared[id] = true
	}
	var strange []string
	for _, e := range entries {
		if id, ok := known[e]; !ok || !compared[id] {
			strange = append(strange, e)
		}
	}
	return t.stale(ctx, strange, known)
}

// stale returns findings of entries that hold certificates of ours and should hold none.
func (t *Target) stale(ctx context.Context, entries []string, known map[string]uuid.UUID) (out []Finding, err error) {
	for len(entries) > 0 {
		n := min(len(entries), pageSize)
		held, err := t.Directory.HoldingsOf(ctx, entries[:n], t.attributes()...)
		if err != nil {
			return nil, err
		}
		for s, h := range held {
			h.Person = known[s]
			if f := t.finding(h, wanted{}, entryKey(s)); f.Stale > 0 {
				f.Kinds = []Kind{Stale} // the rest is not ours to say
				out = append(out, f)
			}
		}
		entries = entries[n:]
	}
	return out, nil
}

func (t byID) mend(ctx context.Context, list []Finding) ([]error, error) {
	errs := make([]error, len(list))
	people := make([]uuid.UUID, len(list))
	for i, f := range list {
		if people[i], errs[i] = t.owner(ctx, f); errs[i] != nil && errors.Is(errs[i], fault.Unavailable) {
			return nil, errs[i]
		}
	}
	_, failed := t.publish(ctx, people)
	for i, err := range failed {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs, nil
}

// owner returns whose the entry of a finding is. Somebody who is new to us gets their id now.
func (t byID) owner(ctx context.Context, f Finding) (uuid.UUID, error) {
	if f.Person != uuid.Nil {
		return f.Person, nil
	}
	person, err := t.Directory.ByEntry(ctx, entryOf(f.entry))
	return person.ID, err
}
