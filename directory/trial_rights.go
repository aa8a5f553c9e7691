package directory

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// rights tries what both accounts may do with a person's entry.
func (t *trial) rights(server string, reader, writer *conn, p people) {
	e := t.read1(writer, p.sample, t.ownNames())
	if e == nil {
		t.say(Fault, "account publisher", "%s does not find %s by %s, which the lookup account does. Give it the same rights to read and search.", t.Publisher.String(), p.sample, t.peopleFilter())
		return
	}
	if t.dialect.version == "" {
		t.rightsTold(server, reader, writer, p)
	} else if t.mayWrite(server, writer, p.sample, t.dialect.wire[UserCertificate], UserCertificate) {
		t.further(server, writer, e, p)
		t.tooMuch(server, reader, writer, p.sample)
	}
	t.cleanUp(server, writer, p.sample)
	t.seen(reader, writer)
}

// cleanUp takes out what a server kept that had to refuse it.
func (t *trial) cleanUp(server string, c *conn, dn string) {
	e := t.read1(c, dn, t.ownNames())
	if e == nil {
		return
	}
	m := t.modify(e)
	for a, have := range t.valuesOf(e, t.Attributes) {
		if contains(have, t.Probe[a]) {
			m.values(a, nil, [][]byte{t.Probe[a]})
		}
	}
	if len(m.request.Changes) == 0 {
		return
	}
	err := t.run(c, func(l *ldap.Conn) error { return m.send(l, "what was tried") })
	if err == nil {
		t.say(Fault, "no trace", "%s made a change of %s that it had to refuse as a whole. It was undone. Do not publish to this server.", server, dn)
	} else {
		t.say(Fault, "no trace", "%s made a change of %s that it had to refuse as a whole. Take out the certificate of \"Sealpost trial\"; undoing it failed: %v.", server, dn, rootOf(err))
	}
}

func (t *trial) ownNames() []string {
	names := []string{"objectClass", t.dialect.version}
	for _, a := range t.Attributes {
		names = append(names, t.dialect.wire[a])
	}
	return names
}

// read1 reads an entry; nil if it is not shown.
func (t *trial) read1(c *conn, dn string, names []string) (e *ldap.Entry) {
	_ = t.run(c, func(l *ldap.Conn) error { // what fails is not shown
		result, err := l.Search(entryOnly(dn, t.peopleFilter(), names))
		if err == nil && len(result.Entries) == 1 {
			e = result.Entries[0]
		}
		return err
	})
	return e
}

// probe sends a modification that the server must refuse as a whole: it begins with the removal of a value that is not there.
// 16 (noSuchAttribute) says that all that is in it would have been allowed.
func (t *trial) probe(c *conn, dn, wire string, add func(*ldap.ModifyRequest)) error {
	r := ldap.NewModifyRequest(dn, nil)
	r.Delete(wire, []string{string(t.Probe[UserCertificate])})
	add(r)
	return t.run(c, func(l *ldap.Conn) error { return l.Modify(r) })
}

// mayWrite tries whether the publishing account may write an attribute, by the name that is configured.
func (t *trial) mayWrite(server string, c *conn, dn, wire string, attr Attribute) bool {
	try := func(name string) error {
		remove := wire
		if attr == UserCertificate {
			remove = name
		}
		return t.probe(c, dn, remove, func(r *ldap.ModifyRequest) { r.Add(name, []string{string(t.Probe[attr])}) })
	}
	name := t.dialect.wire[attr]
	err := try(name)
	thing := "writing " + string(attr)
	switch code(err) {
	case ldap.LDAPResultNoSuchAttribute:
		return t.say(Good, thing, "%s may, at %s, as %s.", t.Publisher.String(), server, name)
	case ldap.LDAPResultUndefinedAttributeType:
		other := toggled(name)
		if code(try(other)) != ldap.LDAPResultUndefinedAttributeType {
			return t.say(Fault, thing, "%s calls the attribute %s. Set attribute_names: [%s].", server, other, other)
		}
		return t.say(Fault, thing, "%s does not know the attribute %s: %v.", server, name, rootOf(err))
	case ldap.LDAPResultInsufficientAccessRights:
		return t.say(Fault, thing, "%s may not write %s of %s at %s. Give it that right (docs/gal.md has the rules).", t.Publisher.String(), attr, dn, server)
	case ldap.LDAPResultInvalidAttributeSyntax, ldap.LDAPResultConstraintViolation:
		return t.say(Fault, thing, "%s takes no certificate as a value of %s: %v. Look at the attribute's syntax in its schema.", server, name, rootOf(err))
	case ldap.LDAPResultReferral, ldap.LDAPResultUnwillingToPerform:
		return t.say(Fault, thing, "%s takes no changes: it is a copy that may only be read (%v). Put a server into urls that may be written.", server, rootOf(err))
	default:
		return t.say(Fault, thing, "%s answered in another way than LDAP demands: %v.", server, errOrNone(err))
	}
}

func errOrNone(err error) error {
	if err == nil {
		return fmt.Errorf("it said that it made the change")
	}
	return rootOf(err)
}

// toggled is an attribute's name with ;binary if it has none, and the reverse.
func toggled(name string) string {
	if base, ok := strings.CutSuffix(name, ";binary"); ok {
		return base
	}
	return name + ";binary"
}

// further tries the rest of what a publication needs.
func (t *trial) further(server string, c *conn, e *ldap.Entry, p people) {
	wire := t.dialect.wire[UserCertificate]
	if slices.Contains(t.Attributes, UserSMIMECertificate) && t.mayWrite(server, c, p.sample, wire, UserSMIMECertificate) && slices.Contains(t.dialect.whole, UserSMIMECertificate) {
		t.versions(server, c, e)
	}
	if p.other == "" {
		return
	}
	class := t.dialect.holderClass
	err := t.probe(c, p.other, wire, func(r *ldap.ModifyRequest) { r.Add("objectClass", []string{class}) })
	switch code(err) {
	case ldap.LDAPResultNoSuchAttribute:
		t.say(Good, "class "+class, "%s may add it to entries whose classes allow no certificate, such as %s.", t.Publisher.String(), p.other)
	case ldap.LDAPResultInsufficientAccessRights:
		t.say(Fault, "class "+class, "%s has no class that allows a certificate, and %s may not add %s to it. Give it that right: to write objectClass, this value alone.", p.other, t.Publisher.String(), class)
	default:
		t.say(Fault, "class "+class, "%s has no class that allows a certificate, and %s cannot be added to it: %v.", p.other, class, errOrNone(err))
	}
}

// versions tries whether a change can be made on condition that the entry is as it was read (RFC 4528).
func (t *trial) versions(server string, c *conn, e *ldap.Entry) {
	name := t.dialect.version
	version := e.GetEqualFoldAttributeValue(name)
	thing := "attribute " + name
	if version == "" {
		t.say(Warning, thing, "%s does not show it to %s. OpenLDAP cannot take single values of userSMIMECertificate out without it: let the account read it. Servers that do not have it do not need it.", server, t.Publisher.String())
		return
	}
	m := t.modify(e)
	m.request.Delete(t.dialect.wire[UserCertificate], []string{string(t.Probe[UserCertificate])})
	m.onlyIf(name, version)
	switch err := t.run(c, func(l *ldap.Conn) error { return l.Modify(m.request) }); code(err) {
	case ldap.LDAPResultNoSuchAttribute:
		t.say(Good, thing, "Changes can be made on condition that the entry is as it was read.")
	case ldap.LDAPResultAssertionFailed:
		t.say(Warning, thing, "The entry was changed meanwhile, or %s may not compare it. Try again, or let the account read and search for it.", t.Publisher.String())
	default:
		t.say(Fault, thing, "Changes cannot be made on condition that the entry is as it was read (RFC 4528): %v.", errOrNone(err))
	}
}

// tooMuch tries whether the accounts may do what they should not. That the server refuses as it must has been seen by then, with
// what does no harm.
func (t *trial) tooMuch(server string, reader, writer *conn, dn string) {
	wire := t.dialect.wire[UserCertificate]
	var also []string
	for _, a := range [][2]string{{"mail", "trial@sealpost.invalid"}, {"userPassword", rand.Text()}, {"cn", "trial"}} {
		if code(t.probe(writer, dn, wire, func(r *ldap.ModifyRequest) { r.Add(a[0], []string{a[1]}) })) == ldap.LDAPResultNoSuchAttribute {
			also = append(also, a[0])
		}
	}
	t.narrow("account publisher", t.Publisher.String(), also)
	also = nil
	if code(t.probe(reader, dn, wire, func(*ldap.ModifyRequest) {})) == ldap.LDAPResultNoSuchAttribute {
		also = append(also, "userCertificate")
	}
	t.narrow("account lookup", t.Lookup.String(), also)
}

func (t *trial) narrow(thing, dn string, also []string) {
	if len(also) == 0 {
		t.say(Good, thing, "%s may not write what it need not, as far as was tried.", dn)
		return
	}
	t.say(Warning, thing, "%s may also write %s of people. Take that right away: whoever gets at its password has it too.", dn, strings.Join(also, ", "))
}

// rightsTold asks a server that tells an account's rights (MS-ADTS §3.1.1.4.5.20).
func (t *trial) rightsTold(server string, reader, writer *conn, p people) {
	const told = "allowedAttributesEffective"
	rights := func(c *conn) []string {
		if e := t.read1(c, p.sample, []string{told}); e != nil {
			return e.GetEqualFoldAttributeValues(told)
		}
		return nil
	}
	has := func(list []string, a Attribute) bool {
		return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, string(a)) })
	}
	may := rights(writer)
	for _, a := range t.Attributes {
		switch name := t.dialect.wire[a]; {
		case strings.Contains(name, ";"):
			t.say(Fault, "writing "+string(a), "Active Directory takes no ;binary. Set attribute_names: [%s].", a)
		case !has(may, a):
			t.say(Fault, "writing "+string(a), "%s may not write %s of %s at %s. Give it that right (docs/gal.md has the command).", t.Publisher.String(), a, p.sample, server)
		default:
			t.say(Good, "writing "+string(a), "%s may, at %s, as %s.", t.Publisher.String(), server, name)
		}
	}
	also := slices.DeleteFunc(may, func(a string) bool {
		return has([]string{a}, UserCertificate) || has([]string{a}, UserSMIMECertificate)
	})
	t.narrow("account publisher", t.Publisher.String(), also[:min(len(also), 5)])
	also = nil
	if list := rights(reader); has(list, UserCertificate) {
		also = append(also, string(UserCertificate))
	}
	t.narrow("account lookup", t.Lookup.String(), also)
}

// seen tries whether the lookup account sees values that the publishing account sees.
func (t *trial) seen(reader, writer *conn) {
	for _, a := range t.Attributes {
		if t.any(writer, a) && !t.any(reader, a) {
			t.say(Fault, "reading "+string(a), "%s does not see it, though it is there. Let the account read and search for it: otherwise nothing can be compared.", t.Lookup.String())
		}
	}
}

// any reports whether an account sees any value of an attribute.
func (t *trial) any(c *conn, a Attribute) (there bool) {
	wire := t.dialect.wire[a]
	name, _, _ := strings.Cut(wire, ";")
	_ = t.run(c, func(l *ldap.Conn) error { // what fails is not seen
		result, err := l.Search(ldap.NewSearchRequest(t.People.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false,
			allOf(t.peopleFilter(), "("+name+"=*)"), []string{wire}, nil))
		if result != nil {
			there = slices.ContainsFunc(result.Entries, func(e *ldap.Entry) bool { return len(values(e, wire)) > 0 })
		}
		return err
	})
	return there
}
