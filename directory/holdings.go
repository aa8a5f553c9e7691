package directory

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Holding is what an entry holds of some attributes.
type Holding struct {
	Person  uuid.UUID // uuid.Nil: nobody's whom we know
	Entry   string    // the directory's own id of the entry; "" if the person was never one of this directory's
	DN      string    // where the entry is; "" if there is none
	Entries int       // how many have the id; 1 is right
	Values  Values
	// Mailboxes are the addresses by which a Finder finds the entry, in lower case. They are known only where one did.
	Mailboxes []string
	// TooLarge says that the entry holds more than is read in one answer. Values are not known then.
	TooLarge bool
}

// scanPage is how many entries one page of Scan has.
const scanPage = 500

// ErrScan is a directory that does not show all its entries.
var ErrScan = ErrRefused.Withf("The directory does not show the lookup account all entries, page by page. An operator must raise that limit " +
	"(OpenLDAP: limits with size.prtotal=unlimited).")

// Holdings reads attributes of the entries of at most MaxStandings people, in few searches, and returns them in their
// order. After an error nothing is known of anybody.
func (d *Directory) Holdings(ctx context.Context, people []uuid.UUID, attrs ...Attribute) ([]Holding, error) {
	people = people[:min(len(people), MaxStandings)]
	sources, err := d.sourcesOf(ctx, people)
	if err != nil {
		return nil, err
	}
	entries := make([]string, 0, len(sources))
	for _, id := range people {
		if s, ok := sources[id]; ok {
			entries = append(entries, s)
		}
	}
	held, err := d.HoldingsOf(ctx, entries, attrs...)
	if err != nil {
		return nil, err
	}
	out := make([]Holding, len(people))
	for i, id := range people {
		out[i] = held[sources[id]]
		out[i].Person, out[i].Entry = id, sources[id]
	}
	return out, nil
}

// HoldingsOf is Holdings for entries by the directory's own ids. Those that are not there have no DN.
func (d *Directory) HoldingsOf(ctx context.Context, entries []string, attrs ...Attribute) (map[string]Holding, error) {
	return d.holdingsOf(ctx, nil, entries, attrs)
}

func (d *Directory) holdingsOf(ctx context.Context, f *Finder, entries []string, attrs []Attribute) (map[string]Holding, error) {
	out := make(map[string]Holding, len(entries))
	q := holdings{keys: entries, finder: f, filter: func(s string) (string, error) {
		value, err := d.dialect.idValue(s)
		return equals(d.dialect.id, value), err
	}}
	return out, d.readHoldings(ctx, q, attrs, out)
}

// holdings says which entries are read.
type holdings struct {
	keys    []string // of which each leads to an entry
	filter  func(key string) (string, error)
	finder  *Finder         // nil: addresses are not wanted
	tooMany map[string]bool // gets the keys that lead to more entries than the server shows; nil: that is an error
}

// readHoldings reads entries in one search; when the server or our own limit finds that too much, in two of half of them.
func (d *Directory) readHoldings(ctx context.Context, q holdings, attrs []Attribute, out map[string]Holding) error {
	if len(q.keys) == 0 {
		return nil
	}
	found := map[string]Holding{}
	err := d.searchHoldings(ctx, q, attrs, found)
	limited := code(err) == ldap.LDAPResultSizeLimitExceeded || code(err) == ldap.LDAPResultAdminLimitExceeded
	tooLarge := errors.Is(err, errTooLarge)
	switch {
	case (limited || tooLarge) && len(q.keys) > 1:
		half := len(q.keys) / 2
		first, second := q, q
		first.keys, second.keys = q.keys[:half], q.keys[half:]
		if err := d.readHoldings(ctx, first, attrs, out); err != nil {
			return err
		}
		return d.readHoldings(ctx, second, attrs, out)
	case limited && q.tooMany != nil:
		q.tooMany[q.keys[0]] = true
		return nil
	case tooLarge:
		if err := d.searchHoldings(ctx, q, nil, found); err != nil {
			return err
		}
		for s, h := range found {
			h.TooLarge = true
			found[s] = h
		}
	case err != nil:
		return err
	}
	for s, h := range found {
		out[s] = h
	}
	return nil
}

func (d *Directory) searchHoldings(ctx context.Context, q holdings, attrs []Attribute, found map[string]Holding) error {
	names := []string{d.dialect.id}
	for _, a := range attrs {
		name, err := d.wireName(a)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	if q.finder != nil {
		names = append(names, q.finder.attributes()...)
	}
	filters := make([]string, len(q.keys))
	for i, key := range q.keys {
		var err error
		if filters[i], err = q.filter(key); err != nil {
			return err
		}
	}
	return d.lookup.do(ctx, func(l *ldap.Conn) error {
		clear(found)
		result, err := l.Search(ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			allOf(d.peopleFilter(), anyOf(filters...)), names, nil))
		if code(err) == ldap.LDAPResultNoSuchObject {
			return ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", d.People.Base).Because(err)
		}
		if err != nil {
			return err
		}
		for _, e := range result.Entries {
			s, err := d.entryID(e)
			if err != nil {
				return err
			}
			if err := d.readOn(l, e); err != nil {
				return err
			}
			h := Holding{Entry: s, DN: e.DN, Entries: found[s].Entries + 1, Values: d.valuesOf(e, attrs)}
			if q.finder != nil {
				h.Mailboxes = q.finder.mailboxes(e)
			}
			found[s] = h
		}
		return nil
	})
}

// entryID returns the directory's own id of an entry.
func (d *Directory) entryID(e *ldap.Entry) (string, error) {
	s, err := d.dialect.parseID(e.GetEqualFoldRawAttributeValue(d.dialect.id))
	if err != nil || e.DN == "" {
		return "", ErrRefused.Withf("The directory does not show the attribute %s of a person. "+
			"An operator must let Sealpost's lookup account read it.", d.dialect.id).Because(err)
	}
	return s, nil
}

// Listed is an entry as Scan finds it.
type Listed struct {
	Entry     string // the directory's own id
	DN        string
	Mailboxes []string
}

// Scan goes through the entries of people that hold any values of the attributes, a page at a time, until fn returns an
// error. It reads no values, and keeps one page in memory. Of entries that come, go or move meanwhile it may see some twice
// or not at all. A server that ends the list early is ErrScan.
func (d *Directory) Scan(ctx context.Context, attrs []Attribute, fn func([]Listed) error) error {
	return d.scan(ctx, nil, attrs, fn)
}

func (d *Directory) scan(ctx context.Context, f *Finder, attrs []Attribute, fn func([]Listed) error) error {
	var present []string
	for _, a := range attrs {
		name, err := d.wireName(a)
		if err != nil {
			return err
		}
		name, _, _ = strings.Cut(name, ";") // values with options are found by the name alone
		present = append(present, "("+name+"=*)")
	}
	names := []string{d.dialect.id, d.dialect.mail, d.dialect.proxies}
	if f != nil {
		names = append(names, f.attributes()...)
	}
	request := ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		allOf(d.peopleFilter(), anyOf(present...)), names, nil)
	return d.lookup.hold(ctx, func(step func(func(*ldap.Conn) error) error) error {
		return eachPage(step, request, func(entries []*ldap.Entry) error {
			list, err := d.listed(f, entries)
			if err != nil {
				return err
			}
			return fn(list)
		})
	})
}

// eachPage searches page by page (RFC 2696), on the connection of step.
func eachPage(step func(func(*ldap.Conn) error) error, request *ldap.SearchRequest, fn func([]*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(scanPage)
	request.Controls = append(request.Controls, paging)
	for {
		var result *ldap.SearchResult
		err := step(func(l *ldap.Conn) (err error) {
			result, err = l.Search(request)
			return err
		})
		if c := code(err); c == ldap.LDAPResultSizeLimitExceeded || c == ldap.LDAPResultAdminLimitExceeded {
			return ErrScan.Because(err)
		}
		if err != nil {
			return err
		}
		if err := fn(result.Entries); err != nil {
			return err
		}
		answer, _ := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if answer == nil || len(answer.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(answer.Cookie)
	}
}

func (d *Directory) listed(f *Finder, entries []*ldap.Entry) ([]Listed, error) {
	quiet := slog.New(slog.DiscardHandler) // what is no mailbox is told when the person is looked up
	out := make([]Listed, len(entries))
	for i, e := range entries {
		s, err := d.entryID(e)
		if err != nil {
			return nil, err
		}
		if f != nil {
			out[i] = Listed{s, e.DN, f.mailboxes(e)}
			continue
		}
		out[i] = Listed{s, e.DN, mailboxes(quiet, e.GetEqualFoldAttributeValues(d.dialect.mail), e.GetEqualFoldAttributeValues(d.dialect.proxies))}
	}
	return out, nil
}

// Known returns who the entries are for us, by the directory's own ids; nothing of those that were never looked up.
func (d *Directory) Known(ctx context.Context, entries []string) (map[string]uuid.UUID, error) {
	out := make(map[string]uuid.UUID, len(entries))
	var unknown []string
	for _, s := range entries {
		if id, ok := d.identities.person(s); ok {
			out[s] = id
		} else {
			unknown = append(unknown, s)
		}
	}
	if len(unknown) == 0 {
		return out, nil
	}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select id, source_id from directory.person where target = $1 and source_id = any($2)`, d.Name, unknown)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var source string
		_, err = pgx.ForEachRow(rows, []any{&id, &source}, func() error {
			out[source] = id
			d.identities.add(id, source)
			return nil
		})
		return err
	})
	return out, err
}

// ByEntry returns the person whose entry has one of the directory's own ids, and mints their id if need be.
func (d *Directory) ByEntry(ctx context.Context, entry string) (Person, error) {
	value, err := d.dialect.idValue(entry)
	if err != nil {
		return Person{}, ErrUnknownPerson.Because(err)
	}
	return d.find(ctx, equals(d.dialect.id, value), nil)
}
