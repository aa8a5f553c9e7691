package gal

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/directory"
)

// byMailbox finds entries by mail address. An entry shows the certificates with which the addresses are written to that lead to
// it, whoever's they are: who has two entries there gets into each what belongs to it, and an entry that two people's addresses
// lead to shows both's.
type byMailbox struct{ *Target }

// rounds is how often entries are looked at again that ought to show another thing after they were changed.
const rounds = 5

// desired returns what entries should show to which these addresses lead; nothing of addresses that do not belong there.
func (t byMailbox) desired(ctx context.Context, mailboxes []string) (map[string]wanted, error) {
	out := map[string]wanted{}
	mailboxes = slices.DeleteFunc(slices.Clone(mailboxes), func(m string) bool { return !t.belongs(m) })
	if len(mailboxes) == 0 {
		return out, nil
	}
	people, err := t.p.Authority.Addressees(ctx, t.p.profiles.all(), mailboxes)
	if err != nil {
		return nil, err
	}
	shown, err := t.p.shown(ctx, people, t.Policy.Overlap)
	if err != nil {
		return nil, err
	}
	kept, err := t.advertisements(ctx, shown)
	if err != nil {
		return nil, err
	}
	for _, c := range shown {
		for _, m := range c.Mailboxes {
			if slices.Contains(mailboxes, m) {
				if out[m], err = t.with(out[m], c, kept); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// together is what an entry should show to which several addresses lead, always in the same order.
func together(want map[string]wanted, mailboxes []string) (w wanted) {
	for _, m := range slices.Sorted(slices.Values(mailboxes)) {
		w.certificates = append(w.certificates, lacking(w.certificates, want[m].certificates)...)
		w.smime = append(w.smime, lacking(w.smime, want[m].smime)...)
		w.signed = w.signed || want[m].signed
		w.withdrawn = append(w.withdrawn, want[m].withdrawn...)
	}
	return w
}

// look reads the entries that addresses lead to, and what they should show.
func (t byMailbox) look(ctx context.Context, mailboxes []string) (map[string]directory.Holding, map[string]wanted, error) {
	held := map[string]directory.Holding{}
	all := slices.Clone(mailboxes)
	for part := range slices.Chunk(mailboxes, pageSize) {
		found, err := t.Directory.HoldingsAt(ctx, t.Find, part, t.attributes()...)
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(held, found)
	}
	for _, h := range held {
		all = append(all, h.Mailboxes...)
	}
	slices.Sort(all)
	want, err := t.desired(ctx, slices.Compact(all)) // read after the directory: what is published meanwhile must not look stale
	return held, want, err
}

// addresses returns the addresses of people that belong there.
func (t byMailbox) addresses(ctx context.Context, people []uuid.UUID) (all []string, of map[uuid.UUID][]string, err error) {
	of, err = t.p.Authority.Addresses(ctx, t.p.profiles.all(), people)
	for person, list := range of {
		list = slices.DeleteFunc(list, func(m string) bool { return !t.belongs(m) })
		of[person] = list
		all = append(all, list...)
	}
	slices.Sort(all)
	return slices.Compact(all), of, err
}

// state returns what there is to say of an address: how its entry differs, or that there is no one entry.
func (t byMailbox) state(h directory.Holding, want wanted) (Difference, error) {
	switch {
	case h.Entries > 1:
		return Difference{}, directory.ErrSeveral
	case h.DN == "" && len(want.certificates) > 0:
		return Difference{}, directory.ErrUnknownPerson
	case h.TooLarge:
		return Difference{}, ErrTooLarge
	}
	return t.Target.compare(want, h.Values), nil
}

func (t byMailbox) difference(ctx context.Context, person uuid.UUID) (d Difference, err error) {
	all, _, err := t.addresses(ctx, []uuid.UUID{person})
	if err != nil {
		return d, err
	}
	held, want, err := t.look(ctx, all)
	if err != nil {
		return d, err
	}
	var missing error
	seen := map[string]bool{}
	for _, m := range all {
		h := held[m]
		if h.DN != "" {
			if seen[h.DN] {
				continue
			}
			seen[h.DN] = true
		}
		one, err := t.state(h, together(want, append([]string{m}, h.Mailboxes...)))
		if errors.Is(err, directory.ErrUnknownPerson) {
			missing = err
			continue
		}
		if err != nil {
			return d, err
		}
		d.add(one)
	}
	if len(seen) == 0 {
		return d, missing
	}
	return d, nil
}

// add makes one difference of those of two entries.
func (d *Difference) add(o Difference) {
	d.Missing, d.Stale = append(d.Missing, o.Missing...), append(d.Stale, o.Stale...)
	d.SMIMEMissing, d.SMIMEStale = append(d.SMIMEMissing, o.SMIMEMissing...), append(d.SMIMEStale, o.SMIMEStale...)
	d.Foreign, d.Undecodable, d.Held = d.Foreign+o.Foreign, d.Undecodable+o.Undecodable, max(d.Held, o.Held)
	d.Full, d.Near = d.Full || o.Full, d.Near || o.Near
}

func (t byMailbox) publish(ctx context.Context, people []uuid.UUID) ([]Difference, []error) {
	found, failed := make([]Difference, len(people)), make([]error, len(people))
	all, of, err := t.addresses(ctx, people)
	owners := map[string]uuid.UUID{}
	for person, list := range of {
		for _, m := range list {
			owners[m] = person
		}
	}
	results := map[string]done{}
	if err == nil {
		results, err = t.repair(ctx, all, owners)
	}
	for n, person := range people {
		failed[n] = err
		entries := 0
		for _, m := range of[person] {
			r := results[m]
			found[n].add(r.found)
			if r.dn != "" {
				entries++
			}
			if failed[n] == nil || errors.Is(failed[n], directory.ErrUnknownPerson) && r.failed != nil {
				failed[n] = r.failed
			}
		}
		if entries > 0 && errors.Is(failed[n], directory.ErrUnknownPerson) { // an address of several has none
			failed[n] = nil
		}
	}
	return found, failed
}

// repair makes the entries that addresses lead to show what they should. It looks again at those that it changed until they are
// right: what is right may have become another thing since it was read, and another server have written that before us.
func (t byMailbox) repair(ctx context.Context, mailboxes []string, owners map[string]uuid.UUID) (map[string]done, error) {
	out := map[string]done{}
	for range rounds {
		held, want, err := t.look(ctx, mailboxes)
		if err != nil {
			return nil, err
		}
		list := t.revise(ctx, mailboxes, held, want, owners)
		t.record(ctx, list)
		var changed []string
		for n, e := range list {
			m := mailboxes[n]
			before := out[m].found
			before.add(e.found)
			out[m] = done{e.person, e.dn, before, e.failed}
			if e.changed() || errors.Is(e.failed, errMoved) {
				changed = append(changed, m)
			}
		}
		if mailboxes = changed; len(mailboxes) == 0 {
			break
		}
	}
	return out, nil
}

// errMoved says that an entry has other addresses than when it was read.
var errMoved = directory.ErrUnavailable.Withf("The entry in the directory is being changed by others. Try again later.")

// revise changes the entries that addresses lead to, each once, and returns what became of them in the addresses' order.
func (t byMailbox) revise(ctx context.Context, mailboxes []string, held map[string]directory.Holding, want map[string]wanted, owners map[string]uuid.UUID) []done {
	list := make([]done, len(mailboxes))
	first := map[string]int{} // by the entry's id
	var g errgroup.Group
	g.SetLimit(publishersAtOnce)
	for n, m := range mailboxes {
		h := held[m]
		list[n] = done{person: owners[m], dn: h.DN}
		one := h.Entries == 1 && !h.TooLarge
		if !one {
			_, list[n].failed = t.state(h, want[m])
		}
		if _, again := first[h.Entry]; !one || again {
			continue
		}
		first[h.Entry] = n
		g.Go(func() error {
			list[n].found, list[n].failed = t.reviseOne(ctx, m, want, h.Mailboxes)
			return nil
		})
	}
	_ = g.Wait() // what failed is in list
	for n, m := range mailboxes {
		if f, ok := first[held[m].Entry]; ok && f != n {
			list[n].failed = list[f].failed
		}
	}
	return list
}

// reviseOne changes the entry that an address leads to.
func (t byMailbox) reviseOne(ctx context.Context, m string, want map[string]wanted, known []string) (d Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	moved := false
	err = t.Directory.ReviseAt(ctx, t.Find, m, t.attributes(), func(have directory.Holding) map[directory.Attribute]directory.Change {
		d = Difference{}
		if moved = len(lackingText(known, have.Mailboxes)) > 0 || !slices.Contains(have.Mailboxes, m); moved {
			return nil
		}
		d = t.Target.compare(together(want, have.Mailboxes), have.Values)
		return d.changes()
	})
	switch {
	case err == nil && moved:
		err = errMoved
	case err == nil && d.Full:
		err = t.full(d)
	}
	return d, err
}

func lackingText(have, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(have, w) })
}

func (t byMailbox) compare(ctx context.Context, people []uuid.UUID) (c compared, err error) {
	shown, err := t.p.shown(ctx, people, t.Policy.Overlap)
	if err != nil {
		return c, err
	}
	owners := map[string]uuid.UUID{}
	belong := map[uuid.UUID]bool{}
	for _, s := range shown {
		for _, m := range s.Mailboxes {
			if t.belongs(m) {
				owners[m], belong[s.Person] = s.Person, true
			}
		}
	}
	c.people = len(belong)
	mailboxes := slices.Sorted(maps.Keys(owners))
	held, want, err := t.look(ctx, mailboxes)
	if err != nil {
		return c, err
	}
	seen := map[string]bool{}
	for _, m := range mailboxes {
		h := held[m]
		h.Person = owners[m]
		key := mailboxKey(m)
		if h.Entries == 1 {
			if key = entryKey(h.Entry); seen[key] {
				continue
			}
			seen[key] = true
		}
		c.add(t.finding(h, together(want, append([]string{m}, h.Mailboxes...)), key))
	}
	return c, nil
}

func (t byMailbox) scan(ctx context.Context, fn func([]directory.Listed) error) error {
	return t.Directory.ScanWith(ctx, t.Find, t.attributes(), fn)
}

// doubles are found by compare, where they are of our people.
func (t byMailbox) doubles([]directory.Listed, map[string]string) []Finding { return nil }

// strangers returns findings of entries with certificates of ours whose addresses are nobody's who has one now.
func (t byMailbox) strangers(ctx context.Context, page []directory.Listed) ([]Finding, error) {
	var all []string
	for _, e := range page {
		all = append(all, e.Mailboxes...)
	}
	want, err := t.desired(ctx, all)
	if err != nil {
		return nil, err
	}
	var strange []string
	for _, e := range page {
		if len(together(want, e.Mailboxes).certificates) == 0 {
			strange = append(strange, e.Entry)
		}
	}
	return t.stale(ctx, strange, nil)
}

func (t byMailbox) mend(ctx context.Context, list []Finding) ([]error, error) {
	entries := make([]string, len(list))
	for i, f := range list {
		entries[i] = entryOf(f.entry)
	}
	held, err := t.Directory.EntriesOf(ctx, t.Find, entries, t.attributes()...)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, h := range held {
		all = append(all, h.Mailboxes...)
	}
	want, err := t.desired(ctx, all)
	if err != nil {
		return nil, err
	}
	owners := map[string]uuid.UUID{}
	for i, f := range list {
		for _, m := range held[entries[i]].Mailboxes {
			if len(want[m].certificates) > 0 {
				owners[m] = f.Person
			}
		}
	}
	results, err := t.repair(ctx, slices.Sorted(maps.Keys(owners)), owners)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	for i := range list {
		h := held[entries[i]]
		if h.DN == "" {
			errs[i] = directory.ErrUnknownPerson
		} else if len(together(want, h.Mailboxes).certificates) == 0 {
			errs[i] = t.clear(ctx, entries[i], h.DN)
		} else {
			errs[i] = anyOf(results, h.Mailboxes)
		}
	}
	return errs, nil
}

// anyOf returns what failed of an entry to which these addresses lead: nothing if one of them led to it.
func anyOf(results map[string]done, mailboxes []string) (failed error) {
	for _, m := range mailboxes {
		if r, ok := results[m]; ok {
			if r.failed == nil {
				return nil
			}
			failed = r.failed
		}
	}
	return failed
}

// clear takes out what is ours of an entry that should show none of it.
func (t byMailbox) clear(ctx context.Context, entry, dn string) error {
	list := []done{{dn: dn}}
	list[0].failed = t.Directory.ReviseEntry(ctx, t.Find, entry, t.attributes(), func(have directory.Holding) map[directory.Attribute]directory.Change {
		list[0].found = t.Target.compare(wanted{}, have.Values)
		return list[0].found.changes()
	})
	t.record(ctx, list)
	return list[0].failed
}
