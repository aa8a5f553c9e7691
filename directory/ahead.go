package directory

import (
	"context"
	"errors"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// Ahead is what entries of people held a moment ago, read in one search: so that changing many costs one operation each, not two.
// The zero Ahead knows nobody.
type Ahead struct{ entries map[uuid.UUID]*ldap.Entry }

// ReadAhead reads attributes of the entries of at most MaxStandings people, for ReviseFrom soon afterwards. It returns an error
// when the directory does not answer; whatever else is wrong, ReviseFrom finds out.
func (d *Directory) ReadAhead(ctx context.Context, people []uuid.UUID, attrs []Attribute) (Ahead, error) {
	people = people[:min(len(people), MaxStandings)]
	sources, err := d.sourcesOf(ctx, people)
	if err != nil {
		return Ahead{}, err
	}
	names := d.toChange()
	for _, a := range attrs {
		name, err := d.wireName(a)
		if err != nil {
			return Ahead{}, err
		}
		names = append(names, name)
	}
	var filters []string
	owner := make(map[string]uuid.UUID, len(sources))
	for id, source := range sources {
		value, err := d.dialect.idValue(source)
		if err != nil {
			return Ahead{}, err
		}
		filters, owner[source] = append(filters, equals(d.dialect.id, value)), id
	}
	if len(filters) == 0 {
		return Ahead{}, nil
	}
	var result *ldap.SearchResult
	err = d.lookup.do(ctx, func(l *ldap.Conn) (err error) {
		result, err = l.Search(ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			allOf(d.peopleFilter(), anyOf(filters...)), names, nil))
		return err
	})
	switch {
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, errTooLarge), ctx.Err() != nil:
		return Ahead{}, err
	case err != nil:
		return Ahead{}, nil
	}
	return Ahead{d.only(result.Entries, owner)}, nil
}

// only returns the entries from which a change may start: the one of its person, with the version on which a change may depend.
func (d *Directory) only(entries []*ldap.Entry, owner map[string]uuid.UUID) map[uuid.UUID]*ldap.Entry {
	out := make(map[uuid.UUID]*ldap.Entry, len(entries))
	for _, e := range entries {
		source, err := d.entryID(e)
		if err != nil {
			continue
		}
		id := owner[source]
		if _, several := out[id]; several || d.dialect.version != "" && e.GetEqualFoldAttributeValue(d.dialect.version) == "" || inPart(e) {
			e = nil
		}
		out[id] = e
	}
	return out
}

// ReviseFrom is Revise that starts from what was read ahead. It reads the entry only if that is not known, or no longer so.
func (d *Directory) ReviseFrom(ctx context.Context, a Ahead, person uuid.UUID, attrs []Attribute, decide func(have Values) map[Attribute]Change) error {
	e := a.entries[person]
	if e == nil {
		return d.Revise(ctx, person, attrs, decide)
	}
	if d.publisher == nil {
		return ErrReadOnly
	}
	m, what, err := d.modification(e, attrs, decide(d.valuesOf(e, attrs)))
	if err != nil || len(m.request.Changes) == 0 {
		return err
	}
	if d.dialect.version != "" && len(m.request.Controls) == 0 { // another entry may have the name by now
		m.onlyIf(d.dialect.id, e.GetEqualFoldAttributeValue(d.dialect.id))
	}
	crossed := false
	err = d.publisher.do(ctx, func(l *ldap.Conn) error {
		err := m.send(l, what)
		if crossed = errors.Is(err, errCrossed); crossed {
			return nil
		}
		return err
	})
	if crossed {
		return d.Revise(ctx, person, attrs, decide)
	}
	return err
}
