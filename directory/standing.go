package directory

import (
	"context"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Standing is what the directory says about whether somebody belongs to the company.
type Standing string

// The standings. The zero Standing is none of them.
const (
	StandingActive   Standing = "active"
	StandingDisabled Standing = "disabled" // Person.Disabled
	StandingGone     Standing = "gone"     // no entry that is a person's
	StandingUnknown  Standing = "unknown"  // not a person of this directory: the id was minted for none, or for another one
)

// MaxStandings bounds what Standings is asked at once: an answer must fit the smallest limit that servers have.
const MaxStandings = 100

// Standings asks the directory itself, not what is remembered, for the standings of at most MaxStandings people, in one
// search, and returns them in their order. It looks at no groups. After an error nothing is known of anybody.
func (d *Directory) Standings(ctx context.Context, people []uuid.UUID) ([]Standing, error) {
	people = people[:min(len(people), MaxStandings)]
	sources, err := d.sourcesOf(ctx, people)
	if err != nil {
		return nil, err
	}
	filters := make([]string, 0, len(sources))
	for _, id := range people {
		if source, ok := sources[id]; ok {
			value, err := d.dialect.idValue(source)
			if err != nil {
				return nil, err
			}
			filters = append(filters, equals(d.dialect.id, value))
		}
	}
	found := map[string]Standing{}
	if len(filters) > 0 {
		err = d.lookup.do(ctx, func(l *ldap.Conn) error { return d.readStandings(l, anyOf(filters...), found) })
	}
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(people))
	for i, id := range people {
		source, known := sources[id]
		switch {
		case !known:
			out[i] = StandingUnknown
		case found[source] == "":
			out[i] = StandingGone
		default:
			out[i] = found[source]
		}
	}
	return out, nil
}

// readStandings reads the entries that the filter matches.
func (d *Directory) readStandings(l *ldap.Conn, filter string, found map[string]Standing) error {
	clear(found)
	result, err := l.Search(ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		allOf(d.peopleFilter(), filter), d.attributes(), nil))
	switch {
	case code(err) == ldap.LDAPResultNoSuchObject:
		return ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", d.People.Base).Because(err)
	case code(err) == ldap.LDAPResultSizeLimitExceeded:
		return ErrRefused.Withf("The directory shows the lookup account fewer than %d entries at once. An operator must raise that limit.", MaxStandings).Because(err)
	case err != nil:
		return err
	}
	for _, e := range result.Entries {
		s, err := d.read(e)
		if err != nil {
			return err
		}
		found[s.id] = StandingActive
		if s.person.Disabled {
			found[s.id] = StandingDisabled
		}
	}
	return nil
}

// sourcesOf returns the directory's own ids of people's entries; none of those who are not this directory's.
func (d *Directory) sourcesOf(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]string, error) {
	out := make(map[uuid.UUID]string, len(people))
	var unknown []uuid.UUID
	for _, id := range people {
		if s, ok := d.identities.source(id); ok {
			out[id] = s
		} else {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return out, nil
	}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select id, source_id from directory.person where target = $1 and id = any($2)`, d.Name, unknown)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var source string
		_, err = pgx.ForEachRow(rows, []any{&id, &source}, func() error {
			out[id] = source
			d.identities.add(id, source)
			return nil
		})
		return err
	})
	return out, err
}
