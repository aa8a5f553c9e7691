package directory

import (
	"context"

	"github.com/go-ldap/ldap/v3"
)

// What black-box tests look at beyond the API.
var (
	Equals    = equals
	AnyOf     = anyOf
	ParseDN   = parseDN
	ParseGUID = parseGUID
	GUIDValue = guidValue
	Expired   = expired
	Mailboxes = mailboxes
)

// Within reports whether one name lies at or below another.
func Within(dn, base string) bool {
	a, err1 := ldap.ParseDN(dn)
	b, err2 := ldap.ParseDN(base)
	return err1 == nil && err2 == nil && within(a, b)
}

// CompiledValue returns the value that an equality filter asserts, or false when the filter is something else.
func CompiledValue(filter string) (attribute, value string, ok bool) {
	p, err := ldap.CompileFilter(filter)
	if err != nil || uint64(p.Tag) != ldap.FilterEqualityMatch || len(p.Children) != 2 {
		return "", "", false
	}
	return p.Children[0].Data.String(), p.Children[1].Data.String(), true
}

// NormalDN is the name as it is sent.
func NormalDN(s string) (string, error) {
	dn, err := parseDN(s)
	if err != nil {
		return "", err
	}
	return dn.String(), nil
}

// ReadEntry reads an entry as one of a person, from attributes given as they come from the server.
func (d *Directory) ReadEntry(dn string, attributes map[string][]string) (id string, p Person, groups []string, err error) {
	s, err := d.read(ldap.NewEntry(dn, attributes))
	return s.id, s.person, s.groups, err
}

// PersonFilter is the filter that finds a person's entry.
func (d *Directory) PersonFilter(ctx context.Context, p Person) (string, error) {
	return d.idFilter(ctx, p.ID)
}

// LoginFilter is the filter that finds a login.
func (d *Directory) LoginFilter(login string) string { return d.loginFilter(login) }

// MailboxFilter is the filter that finds a mailbox.
func (d *Directory) MailboxFilter(mailbox string) string { return d.mailboxFilter(mailbox) }

// ParseAttributeURL reads an LDAP URL of an attribute.
func ParseAttributeURL(s string) (address, dn, attribute, filter string, err error) {
	u, err := World{}.parse(s)
	return u.server.address, u.dn, u.attribute, u.filter, err
}

// ReadOn reads an attribute of an entry from a range of its values on, as if the server had shown that range of itself.
func (d *Directory) ReadOn(ctx context.Context, dn, attribute string) (list [][]byte, err error) {
	err = d.lookup.do(ctx, func(l *ldap.Conn) error {
		result, err := l.Search(entryOnly(dn, "(objectClass=*)", []string{d.dialect.id, attribute}))
		if err == nil {
			err = d.readOn(l, result.Entries[0])
			list = values(result.Entries[0], attribute)
		}
		return err
	})
	return list, err
}

// Unfinished reads what an attribute is called that is shown in part.
var Unfinished = unfinished
