package directory

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
)

// maxText bounds a name or number of a person, in bytes.
const maxText = 256

// Person is what the directory says about somebody.
type Person struct {
	ID        uuid.UUID // minted once; see the package's comment
	Login     string
	DN        string // where the entry is now; a person may move
	Name      string // for display
	GivenName string
	Surname   string
	Employee  string   // number
	Mailboxes []string // the primary one first; as ParseMailbox writes them
	Roles     []audit.Role
	Disabled  bool // has no roles then
}

// Actor returns the person as one who acts, having shown who they are by method.
func (p Person) Actor(method audit.Method, strength audit.Strength) audit.Actor {
	return audit.Actor{Person: p.ID, Name: p.Name, Roles: slices.Clone(p.Roles), Method: method, Strength: strength}
}

// clone returns a copy that shares no memory with p.
func (p Person) clone() Person {
	p.Mailboxes, p.Roles = slices.Clone(p.Mailboxes), slices.Clone(p.Roles)
	return p
}

// source is a person's entry as it was read: everything but who it is for us, and the roles.
type source struct {
	id     string // the directory's own
	person Person
	groups []string // names of groups, where people's entries have them

	created map[string]string // what the entry shows of when it was made, by attribute
}

// attributes are the attributes of people that a look-up asks for.
func (d *Directory) attributes() []string {
	t := d.dialect
	list := slices.Concat([]string{t.id, t.mail, t.proxies}, t.logins, t.name, t.givenName, t.surname, t.employee)
	for _, m := range slices.Concat(t.disabled, d.Disabled) {
		list = append(list, m.Attribute)
	}
	if t.shown != "" {
		list = append(list, t.shown, "objectClass")
	}
	if t.expires != "" {
		list = append(list, t.expires)
	}
	if d.Membership == "memberOf" {
		list = append(list, t.memberOf)
	}
	for _, r := range t.changes {
		list = append(list, r.created)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// read reads a person's entry. What it cannot make sense of it leaves out and logs, except the entry's id.
func (d *Directory) read(e *ldap.Entry) (source, error) {
	t := d.dialect
	id, err := t.parseID(e.GetEqualFoldRawAttributeValue(t.id))
	if err != nil || e.DN == "" {
		return source{}, ErrRefused.Withf("The directory does not show the attribute %s of a person. "+
			"An operator must let Sealpost's lookup account read it.", t.id).Because(err)
	}
	if t.shown != "" && hasClass(e, t.accounts) && len(e.GetEqualFoldAttributeValues(t.shown)) == 0 {
		return source{}, ErrRefused.Withf("The directory does not show the attribute %s of a person, so that a disabled account looks like any other. "+
			"An operator must let Sealpost's lookup account read it.", t.shown)
	}
	log := d.Log.With("entry", id)
	text := func(attributes ...string) string {
		for _, a := range attributes {
			v := strings.TrimSpace(e.GetEqualFoldAttributeValue(a))
			if v != "" && isText(v) {
				return v
			}
			if v != "" {
				log.Warn("directory: value is no text and is left out", "attribute", a, "bytes", len(v))
			}
		}
		return ""
	}
	p := Person{DN: e.DN, Login: text(t.logins...), Name: text(t.name...), GivenName: text(t.givenName...),
		Surname: text(t.surname...), Employee: text(t.employee...)}
	p.Mailboxes = mailboxes(log, e.GetEqualFoldAttributeValues(t.mail), e.GetEqualFoldAttributeValues(t.proxies))
	for _, m := range slices.Concat(t.disabled, d.Disabled) {
		p.Disabled = p.Disabled || m.in(e.GetEqualFoldAttributeValues(m.Attribute))
	}
	if t.expires != "" {
		p.Disabled = p.Disabled || expired(e.GetEqualFoldAttributeValue(t.expires), d.Now())
	}
	s := source{id: id, person: p}
	for _, r := range t.changes {
		if v, err := r.mark(e.GetEqualFoldAttributeValue(r.created)); err == nil {
			if s.created == nil {
				s.created = map[string]string{}
			}
			s.created[r.created] = v
		}
	}
	if d.Membership == "memberOf" {
		s.groups = e.GetEqualFoldAttributeValues(t.memberOf)
	}
	return s, nil
}

// isText reports whether v is one short line of text.
func isText(v string) bool {
	return len(v) <= maxText && utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}
