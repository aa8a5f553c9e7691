package directory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// HoldingsAt reads attributes of the entries that mail addresses lead to, in few searches, and returns them by the address in
// lower case, with A-labels: nothing where there is no entry, and where there are several, their number. After an error nothing is known of
// any.
func (d *Directory) HoldingsAt(ctx context.Context, f *Finder, mailboxes []string, attrs ...Attribute) (map[string]Holding, error) {
	found := map[string]Holding{}
	asked := map[string]bool{}
	for _, m := range mailboxes {
		if m, err := ParseMailbox(m); err == nil {
			asked[strings.ToLower(m)] = true
		}
	}
	mailboxes = slices.Collect(maps.Keys(asked))
	tooMany := map[string]bool{}
	q := holdings{keys: mailboxes, finder: f, tooMany: tooMany, filter: func(m string) (string, error) { return f.filter(m), nil }}
	if err := d.readHoldings(ctx, q, attrs, found); err != nil {
		return nil, err
	}
	out := make(map[string]Holding, len(mailboxes))
	for _, h := range found {
		for _, m := range h.Mailboxes {
			if asked[m] {
				one := h
				one.Entries += out[m].Entries
				out[m] = one
			}
		}
	}
	for m := range tooMany {
		out[m] = Holding{Entries: 2}
	}
	return out, nil
}

// EntriesOf is HoldingsOf with the addresses that lead to the entries.
func (d *Directory) EntriesOf(ctx context.Context, f *Finder, entries []string, attrs ...Attribute) (map[string]Holding, error) {
	return d.holdingsOf(ctx, f, entries, attrs)
}

// ScanWith is Scan with the addresses that lead to the entries.
func (d *Directory) ScanWith(ctx context.Context, f *Finder, attrs []Attribute, fn func([]Listed) error) error {
	return d.scan(ctx, f, attrs, fn)
}

// ReviseAt is Revise for the one entry that a mail address leads to.
func (d *Directory) ReviseAt(ctx context.Context, f *Finder, mailbox string, attrs []Attribute, decide func(have Holding) map[Attribute]Change) error {
	m, err := ParseMailbox(mailbox)
	if err != nil {
		return ErrUnknownPerson.Withf("This is no mail address: %v.", err)
	}
	return d.change(ctx, f, f.filter(m), attrs, decide)
}

// ReviseEntry is Revise for the entry with one of the directory's own ids.
func (d *Directory) ReviseEntry(ctx context.Context, f *Finder, entry string, attrs []Attribute, decide func(have Holding) map[Attribute]Change) error {
	value, err := d.dialect.idValue(entry)
	if err != nil {
		return ErrUnknownPerson.Because(err)
	}
	return d.change(ctx, f, equals(d.dialect.id, value), attrs, decide)
}

// change changes the one entry that a filter matches.
func (d *Directory) change(ctx context.Context, f *Finder, filter string, attrs []Attribute, decide func(have Holding) map[Attribute]Change) error {
	for _, attr := range attrs {
		if _, err := d.wireName(attr); err != nil {
			return err
		}
	}
	if d.publisher == nil {
		return ErrReadOnly
	}
	// Read and written over one connection: a replica may not yet know what was written to its neighbour.
	return d.publisher.do(ctx, func(l *ldap.Conn) error {
		return repeat(func() error { return d.revise(l, f, filter, attrs, decide) })
	})
}
