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

// Look is how somebody stands and what they are called, as the directory itself says, not what is remembered.
type Look struct {
	Person    uuid.UUID
	Standing  Standing
	Name      string
	Mailboxes []string
}

// look is what an entry says of a person, if it is there.
func (s source) look(person uuid.UUID, there bool) Look {
	l := Look{Person: person, Standing: StandingGone, Name: s.person.Name, Mailboxes: s.person.Mailboxes}
	switch {
	case there && s.person.Disabled:
		l.Standing = StandingDisabled
	case there:
		l.Standing = StandingActive
	}
	return l
}

// MaxStandings bounds what Standings is asked at once: an answer must fit the smallest limit that servers have.
const MaxStandings = 100

// Standings is Looks for who wants to know no more than that.
func (d *Directory) Standings(ctx context.Context, people []uuid.UUID) ([]Standing, error) {
	looks, err := d.Looks(ctx, people)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(looks))
	for i, l := range looks {
		out[i] = l.Standing
	}
	return out, nil
}

// Looks asks the directory itself, not what is remembered, how at most MaxStandings people stand, in one search, and returns
// that in their order. It looks at no groups. After an error nothing is known of anybody.
func (d *Directory) Looks(ctx context.Context, people []uuid.UUID) ([]Look, error) {
	people = people[:min(len(people), MaxStandings)]
	sources, err := d.sourcesOf(ctx, people)
	if err != nil {
		return nil, err
	}
	entries := make([]string, 0, len(sources))
	for _, id := range people {
		if entry, ok := sources[id]; ok {
			entries = append(entries, entry)
		}
	}
	read := map[string]source{}
	if len(entries) > 0 {
		err = d.lookup.do(ctx, func(l *ldap.Conn) error { return d.readEntries(l, entries, read) })
	}
	if err != nil {
		return nil, err
	}
	out := make([]Look, len(people))
	for i, id := range people {
		entry, known := sources[id]
		s, there := read[entry]
		if out[i] = s.look(id, there); !known {
			out[i].Standing = StandingUnknown
		}
	}
	return out, nil
}

// readEntries reads those of the entries that are people's, by the directory's own ids.
func (d *Directory) readEntries(l *ldap.Conn, entries []string, read map[string]source) error {
	clear(read)
	filters := make([]string, len(entries))
	for i, entry := range entries {
		value, err := d.dialect.idValue(entry)
		if err != nil {
			return err
		}
		filters[i] = equals(d.dialect.id, value)
	}
	result, err := l.Search(ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		allOf(d.peopleFilter(), anyOf(filters...)), d.attributes(), nil))
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
		read[s.id] = s
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
