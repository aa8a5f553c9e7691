package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
)

// maxLogin bounds a login, in bytes.
const maxLogin = 256

// Person returns the person with that id, as Config.Cache allows from memory. It returns ErrUnknownPerson when no such
// id was ever minted for this directory, or the entry is gone.
func (d *Directory) Person(ctx context.Context, id uuid.UUID) (Person, error) {
	if p, ok := d.persons.get(id, d.Now()); ok {
		return p, nil
	}
	filter, err := d.idFilter(ctx, id)
	if err != nil {
		return Person{}, err
	}
	return d.find(ctx, filter, nil)
}

// ByLogin returns the person with that login.
func (d *Directory) ByLogin(ctx context.Context, login string) (Person, error) {
	if !isLogin(login) {
		return Person{}, ErrUnknownPerson
	}
	return d.find(ctx, d.loginFilter(login), nil)
}

// ByMailbox returns the person whose mailbox it is, primary or further. The local part is compared as directories do,
// without regard to case.
func (d *Directory) ByMailbox(ctx context.Context, mailbox string) (Person, error) {
	m, err := ParseMailbox(mailbox)
	if err != nil {
		return Person{}, ErrUnknownPerson.Withf("This is no mail address: %v.", err)
	}
	// An entry may match by a value that is no mailbox by our reading.
	return d.find(ctx, d.mailboxFilter(m), func(p Person) bool {
		return slices.ContainsFunc(p.Mailboxes, func(have string) bool { return strings.EqualFold(have, m) })
	})
}

// find returns the one person that the filter matches. It asks the directory, and then remembers.
func (d *Directory) find(ctx context.Context, filter string, accept func(Person) bool) (Person, error) {
	s, err := d.search(ctx, filter)
	if err != nil {
		return Person{}, err
	}
	if accept != nil && !accept(s.person) {
		return Person{}, ErrUnknownPerson
	}
	return d.complete(ctx, s)
}

// search returns the one entry of a person that the filter matches.
func (d *Directory) search(ctx context.Context, filter string) (source, error) {
	var s source
	err := d.lookup.do(ctx, func(l *ldap.Conn) error {
		e, err := d.onePerson(l, filter, d.attributes())
		if err == nil {
			s, err = d.read(e)
		}
		return err
	})
	return s, err
}

// onePerson searches the one entry of a person that the filter matches.
func (d *Directory) onePerson(l *ldap.Conn, filter string, attributes []string) (*ldap.Entry, error) {
	request := ldap.NewSearchRequest(d.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		allOf(d.peopleFilter(), filter), attributes, nil)
	request.EnforceSizeLimit = true
	result, err := l.Search(request)
	if errors.Is(err, ldap.ErrSizeLimitExceeded) {
		return nil, ErrSeveral.Because(err)
	}
	if code(err) == ldap.LDAPResultNoSuchObject {
		return nil, ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", d.People.Base).Because(err)
	}
	if err != nil {
		return nil, err
	}
	switch len(result.Entries) {
	case 0:
		return nil, ErrUnknownPerson
	case 1:
		return result.Entries[0], d.readOn(l, result.Entries[0])
	default:
		return nil, ErrSeveral
	}
}

// complete makes a Person of an entry: who it is for us, and its roles.
func (d *Directory) complete(ctx context.Context, s source) (Person, error) {
	p := s.person
	var err error
	if p.ID, err = d.identify(ctx, s); err != nil {
		return Person{}, err
	}
	if p.Roles, err = d.roles(ctx, s); err != nil {
		return Person{}, err
	}
	d.persons.put(p, d.Now())
	return p, nil
}

// roles returns the roles of the person whose entry it is.
func (d *Directory) roles(ctx context.Context, s source) ([]audit.Role, error) {
	if s.person.Disabled {
		return nil, nil
	}
	member := make([]bool, len(d.groups))
	if d.Membership == "memberOf" {
		d.compareGroups(s.groups, member)
	} else if len(d.groups) > 0 {
		err := d.lookup.do(ctx, func(l *ldap.Conn) error { return d.askGroups(l, s.person.DN, member) })
		if err != nil {
			return nil, err
		}
	}
	roles := []audit.Role{audit.Subscriber}
	for i, g := range d.groups {
		if member[i] && !slices.Contains(roles, g.role) {
			roles = append(roles, g.role)
		}
	}
	return roles, nil
}

// askGroups asks each group whether it has the member, all at the same time on one connection. A group that is absent
// has no members; Check reports it.
func (d *Directory) askGroups(l *ldap.Conn, dn string, member []bool) error {
	var filters []string
	for _, a := range d.dialect.members {
		filters = append(filters, equals(a, dn))
	}
	filter := anyOf(filters...)
	errs := make([]error, len(d.groups))
	var wg sync.WaitGroup
	for i, g := range d.groups {
		wg.Go(func() {
			member[i] = false
			result, err := l.Search(entryOnly(g.name, filter, []string{"1.1"}))
			if code(err) == ldap.LDAPResultNoSuchObject {
				d.Log.Warn("directory: group is absent, or the lookup account may not see it", "group", g.name, "role", string(g.role))
				return
			}
			errs[i], member[i] = err, err == nil && len(result.Entries) == 1
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // one of them, so that its code is seen
		}
	}
	return nil
}

// compareGroups finds the groups among the names of groups that a person's entry has.
func (d *Directory) compareGroups(names []string, member []bool) {
	for _, name := range names {
		dn, err := ldap.ParseDN(name)
		if err != nil {
			d.Log.Warn("directory: group's name cannot be read", "group", name, "error", err)
			continue
		}
		for i, g := range d.groups {
			member[i] = member[i] || g.dn.EqualFold(dn)
		}
	}
}

// idFilter is the filter that an entry is the person's.
func (d *Directory) idFilter(ctx context.Context, id uuid.UUID) (string, error) {
	source, err := d.sourceOf(ctx, id)
	if err != nil {
		return "", err
	}
	value, err := d.dialect.idValue(source)
	if err != nil {
		return "", err
	}
	return equals(d.dialect.id, value), nil
}

func (d *Directory) loginFilter(login string) string {
	var filters []string
	for _, a := range d.dialect.logins {
		filters = append(filters, equals(a, login))
	}
	return anyOf(filters...)
}

// isLogin reports whether s can be a login at all.
func isLogin(s string) bool {
	return s != "" && len(s) <= maxLogin && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) &&
		strings.TrimSpace(s) == s
}
