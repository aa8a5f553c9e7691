package directory

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Bounds of a search.
const (
	MinSearch   = 2   // characters that it needs
	maxSearch   = 100 // bytes that it has
	maxWords    = 5
	mostFound   = 50
	searchLimit = 8 // seconds that the server may take
)

// Search returns people in whose name, login or addresses every word of a text is, in any case, ordered by name: at most
// limit (at most 50), and whether there are more. Their roles are not looked up. It asks the directory itself. It returns
// ErrSearch for a text that is too short, too long or none.
func (d *Directory) Search(ctx context.Context, text string, limit int) (people []Person, more bool, err error) {
	filter, err := d.searchFilter(text)
	if err != nil {
		return nil, false, err
	}
	limit = min(max(limit, 1), mostFound)
	var sources []source
	err = d.lookup.do(ctx, func(l *ldap.Conn) (err error) {
		sources, more, err = d.searchPeople(l, filter, limit)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(sources, func(a, b source) int {
		if c := strings.Compare(strings.ToLower(a.person.Name), strings.ToLower(b.person.Name)); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	ids, err := d.identifyAll(ctx, sources)
	if err != nil {
		return nil, false, err
	}
	for i, s := range sources {
		s.person.ID = ids[i]
		people = append(people, s.person)
	}
	return people, more, nil
}

// searchFilter matches those in whom every word is found somewhere.
func (d *Directory) searchFilter(text string) (string, error) {
	words := strings.Fields(text)
	if n := utf8.RuneCountInString(strings.Join(words, "")); n < MinSearch || len(text) > maxSearch || len(words) > maxWords || !utf8.ValidString(text) ||
		strings.ContainsFunc(text, unicode.IsControl) {
		return "", ErrSearch
	}
	t := d.dialect
	var all []string
	for _, w := range words {
		w = ldap.EscapeFilter(w)
		var any []string
		for _, a := range slices.Concat(t.name, t.givenName, t.surname, t.logins, []string{t.mail}) {
			any = append(any, "("+a+"=*"+w+"*)")
		}
		all = append(all, anyOf(append(any, "("+t.proxies+"=smtp:*"+w+"*)")...))
	}
	return allOf(all...), nil
}

// searchPeople returns at most limit entries of people, and whether there are more.
func (d *Directory) searchPeople(l *ldap.Conn, filter string, limit int) (out []source, more bool, err error) {
	result, err := l.Search(ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit+1, searchLimit, false,
		allOf(d.peopleFilter(), filter), d.attributes(), nil))
	switch c := code(err); {
	case err == nil:
	case c == ldap.LDAPResultSizeLimitExceeded || c == ldap.LDAPResultAdminLimitExceeded && result != nil && len(result.Entries) > 0: // what came is good
		more = true
	case c == ldap.LDAPResultTimeLimitExceeded || c == ldap.LDAPResultAdminLimitExceeded:
		return nil, false, ErrSearch.Withf("The directory cannot search for that in time. Give more of the name, or a whole address.").Because(err)
	case c == ldap.LDAPResultNoSuchObject:
		return nil, false, ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", d.People.Base).Because(err)
	default:
		return nil, false, err
	}
	for _, e := range result.Entries {
		if len(out) == limit {
			return out, true, nil
		}
		if err := d.readOn(l, e); err != nil {
			return nil, false, err
		}
		s, err := d.read(e)
		if err != nil {
			return nil, false, err
		}
		out = append(out, s)
	}
	return out, more, nil
}

// identifyAll is identify for several, in one look and one transaction for those who are new.
func (d *Directory) identifyAll(ctx context.Context, sources []source) ([]uuid.UUID, error) {
	out := make([]uuid.UUID, len(sources))
	var unknown []int
	var names []string
	for i, s := range sources {
		if id, ok := d.identities.person(s.id); ok {
			out[i] = id
			continue
		}
		unknown, names = append(unknown, i), append(names, s.id)
	}
	if len(unknown) == 0 {
		return out, nil
	}
	slices.SortFunc(unknown, func(a, b int) int { return strings.Compare(sources[a].id, sources[b].id) }) // two at once wait for each other in one order
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		known, err := selectPeople(ctx, tx, d.Name, names)
		if err != nil {
			return err
		}
		for _, i := range unknown {
			id, ok := known[sources[i].id]
			if !ok {
				if id, err = d.mint(ctx, tx, sources[i], false); err != nil {
					return err
				}
			}
			out[i] = id
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, i := range unknown {
		d.identities.add(out[i], sources[i].id)
	}
	return out, nil
}
