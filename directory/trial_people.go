package directory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// people is what was seen of them.
type people struct {
	sample   string // name of an entry that belongs there, if any does
	id       string // the directory's own
	other    string // name of one that has no class which allows certificates
	count    int
	noID     string // name of one that does not show its id
	veiled   string // name of one of which nobody knows whether it is disabled
	unmarked string // name of one that does not show when it was changed
	noMail   int
	belong   int
	mailbox  string // of the sample
	stopped  error  // the list was not shown to its end
}

// people counts those who are there, page by page, and picks one to try things out with.
func (t *trial) people(c *conn) *people {
	p := t.list(c, false)
	at := fmt.Sprintf("below %s by %s", t.People.Base, t.peopleFilter())
	if p.stopped != nil && !errors.Is(p.stopped, ErrScan) {
		t.say(Fault, "people", "Searching %s failed: %v.", at, rootOf(p.stopped))
		return nil
	}
	if p.stopped != nil {
		t.say(Fault, "people", "Only %d entries are shown to %s, page by page. Raise its limit: in OpenLDAP limits dn.exact=%q size.prtotal=unlimited; in Active Directory and 389 Directory Server the limit for this account.",
			p.count, t.Lookup.String(), t.Lookup.String())
	}
	if p.count == 0 {
		if p.stopped == nil {
			t.say(Fault, "people", "No entry is found %s. Correct people.base or people.filter, or let %s search for and read the attributes in the filter, and the entries.", at, t.Lookup.String())
		}
		return nil
	}
	if p.stopped == nil {
		t.say(Good, "people", "%d entries are found %s, for example %s.", p.count, at, p.sample)
	}
	if p.noID != "" {
		t.say(Fault, "attribute "+t.dialect.id, "%s does not see it, for example of %s. Let the account read and search for it.", t.Lookup.String(), p.noID)
	} else {
		t.say(Good, "attribute "+t.dialect.id, "It is shown.")
	}
	t.sayState(p)
	t.addresses(c, p)
	return &p
}

// first returns the one person that rights are tried with.
func (t *trial) first(c *conn) *people {
	p := t.list(c, true)
	if p.sample == "" {
		return nil
	}
	return &p
}

var errEnough = errors.New("enough")

// list goes through the people, or only through the first page.
func (t *trial) list(c *conn, short bool) (p people) {
	names := []string{t.dialect.id, "objectClass", t.dialect.mail, t.dialect.proxies}
	if t.Finder != nil {
		names = append(names, t.Finder.attributes()...)
	} else {
		if t.dialect.shown != "" {
			names = append(names, t.dialect.shown)
		}
		for _, r := range t.dialect.changes {
			names = append(names, r.attribute)
		}
	}
	request := ldap.NewSearchRequest(t.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, t.peopleFilter(), names, nil)
	p.stopped = eachPage(func(op func(*ldap.Conn) error) error { return t.run(c, op) }, request, func(page []*ldap.Entry) error {
		for _, e := range page {
			t.see(&p, e)
		}
		if short && p.sample != "" {
			return errEnough
		}
		return nil
	})
	if errors.Is(p.stopped, errEnough) {
		p.stopped = nil
	}
	return p
}

// see takes an entry up.
func (t *trial) see(p *people, e *ldap.Entry) {
	p.count++
	id, err := t.entryID(e)
	if err != nil && p.noID == "" {
		p.noID = e.DN
	}
	if t.dialect.holderClass != "" && p.other == "" && len(e.GetEqualFoldAttributeValues("objectClass")) > 0 && !hasClass(e, t.dialect.holderClasses...) {
		p.other = e.DN
	}
	if t.Finder == nil {
		t.seeState(p, e)
	}
	mailboxes := t.mailboxesOf(e)
	if len(mailboxes) == 0 {
		p.noMail++
	}
	fits := slices.IndexFunc(mailboxes, func(m string) bool { return t.Belongs == nil || t.Belongs(m) })
	if fits >= 0 {
		p.belong++
	}
	if p.sample == "" || fits >= 0 && p.mailbox == "" {
		p.sample, p.id = e.DN, id
		if fits >= 0 {
			p.mailbox = mailboxes[fits]
		}
	}
}

// seeState looks at what must be known of people where they are looked up, and need not of entries elsewhere.
func (t *trial) seeState(p *people, e *ldap.Entry) {
	if t.dialect.shown != "" && hasClass(e, t.dialect.accounts) && e.GetEqualFoldAttributeValue(t.dialect.shown) == "" {
		p.veiled = e.DN
	}
	if !slices.ContainsFunc(t.dialect.changes, func(r rising) bool { return e.GetEqualFoldAttributeValue(r.attribute) != "" }) {
		p.unmarked = e.DN
	}
}

// sayState says what seeState found.
func (t *trial) sayState(p people) {
	if p.veiled != "" {
		t.say(Fault, "attribute "+t.dialect.shown, "%s does not see it of %s, so that a disabled account looks like any other. Let the account read it.", t.Lookup.String(), p.veiled)
	}
	if p.unmarked != "" {
		var names []string
		for _, r := range t.dialect.changes {
			names = append(names, r.attribute)
		}
		t.say(Warning, "noticing changes", "%s sees no %s, for example of %s: who joins, moves or leaves is noticed late. Let the account read it.", t.Lookup.String(), strings.Join(names, " and no "), p.unmarked)
	}
}

func (t *trial) mailboxesOf(e *ldap.Entry) []string {
	f := t.Finder
	if f == nil {
		f = &Finder{forms: []form{{attribute: t.dialect.mail}, {attribute: t.dialect.proxies, before: "smtp:"}}}
	}
	return f.mailboxes(e)
}

// addresses tries whether people are found by their addresses, and by their ids.
func (t *trial) addresses(c *conn, p people) {
	switch {
	case p.noMail == p.count:
		t.say(Fault, "mail addresses", "%s sees no address of anybody. Let the account read and search for %s.", t.Lookup.String(), strings.Join(t.addressAttributes(), " and "))
		return
	case p.belong == 0:
		t.say(Fault, "mail addresses", "None of the %d entries has an address in the configured domains. Correct domains, or people.base and people.filter.", p.count)
		return
	default:
		t.say(Good, "mail addresses", "%d entries have one that belongs there, %d have none.", p.belong, p.noMail)
	}
	thing, filter := "finding by mail address", ""
	if t.Finder != nil {
		filter = t.Finder.filter(p.mailbox)
	} else {
		filter = t.mailboxFilter(p.mailbox)
	}
	t.finds(c, thing, filter, p)
	if t.Finder == nil && p.noID == "" {
		value, err := t.dialect.idValue(p.id)
		if err == nil {
			t.finds(c, "finding by "+t.dialect.id, equals(t.dialect.id, value), p)
		}
	}
}

func (t *trial) addressAttributes() []string {
	if t.Finder != nil {
		return t.Finder.attributes()
	}
	return []string{t.dialect.mail}
}

// finds tries whether a filter finds the sample, and it alone.
func (t *trial) finds(c *conn, thing, filter string, p people) {
	var n int
	err := t.run(c, func(l *ldap.Conn) error {
		result, err := l.Search(ldap.NewSearchRequest(t.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			allOf(t.peopleFilter(), filter), []string{"1.1"}, nil))
		if err == nil {
			n = len(result.Entries)
		}
		return err
	})
	switch {
	case err != nil:
		t.say(Fault, thing, "The search %s failed: %v.", filter, rootOf(err))
	case n == 0:
		t.say(Fault, thing, "%s finds nothing, though %s is such an entry. Let %s search for these attributes.", filter, p.sample, t.Lookup.String())
	case n > 1:
		t.say(Warning, thing, "%s finds %d entries. Leave one: where there are several, nothing is written, or programs take either.", filter, n)
	default:
		t.say(Good, thing, "%s finds %s.", filter, p.sample)
	}
}

var typeNames = regexp.MustCompile(`NAME\s+(?:'([^']+)'|\(([^)]*)\))`)

// schema looks up the attributes and the class in the schema, and what the server can do.
func (t *trial) schema(c *conn) {
	var root, schema *ldap.Entry
	err := t.run(c, func(l *ldap.Conn) error {
		result, err := l.Search(entryOnly("", "(objectClass=*)", []string{"supportedControl", "subschemaSubentry"}))
		if err != nil || len(result.Entries) == 0 {
			return err
		}
		root = result.Entries[0]
		result, err = l.Search(entryOnly(root.GetEqualFoldAttributeValue("subschemaSubentry"), "(objectClass=*)", []string{"attributeTypes", "objectClasses"}))
		if err == nil && len(result.Entries) > 0 {
			schema = result.Entries[0]
		}
		return err
	})
	if root == nil {
		t.say(Warning, "schema", "The server does not tell what it can do: %v. What follows shows it.", err)
		return
	}
	if !slices.Contains(root.GetEqualFoldAttributeValues("supportedControl"), ldap.ControlTypePaging) {
		t.say(Fault, "paging", "The server does not offer results in pages (RFC 2696), without which not all entries can be seen. Turn that on (in OpenLDAP the limits of the account).")
	}
	if schema == nil || len(schema.GetEqualFoldAttributeValues("attributeTypes")) == 0 {
		t.say(Warning, "schema", "The server does not show its schema to %s; what follows shows whether attributes are known.", t.Lookup.String())
		return
	}
	attributes, classes := known(schema.GetEqualFoldAttributeValues("attributeTypes")), known(schema.GetEqualFoldAttributeValues("objectClasses"))
	var missing []string
	for _, a := range t.Attributes {
		if !attributes[strings.ToLower(string(a))] {
			missing = append(missing, string(a))
		}
	}
	if len(missing) > 0 {
		t.say(Fault, "schema", "The server knows no %s. Load the schema that has it (in OpenLDAP core and inetorgperson).", strings.Join(missing, " and "))
		return
	}
	if class := t.dialect.holderClass; class != "" && !classes[strings.ToLower(class)] {
		t.say(Fault, "schema", "The server knows no class %s, which entries get that cannot hold certificates. Load its schema, or set holder_class.", class)
		return
	}
	t.say(Good, "schema", "The server knows what is written.")
}

// known returns the names of definitions (RFC 4512 §4.1), in lower case.
func known(definitions []string) map[string]bool {
	out := map[string]bool{}
	for _, d := range definitions {
		if m := typeNames.FindStringSubmatch(d); m != nil {
			for _, name := range strings.Fields(strings.ReplaceAll(m[1]+" "+m[2], "'", "")) {
				out[strings.ToLower(name)] = true
			}
		}
	}
	return out
}
