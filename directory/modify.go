package directory

import (
	"errors"
	"slices"

	"github.com/go-ldap/ldap/v3"
)

// attempts is how often a change is tried that others cross.
const attempts = 10

// errCrossed says that an entry changed between our reading and our writing.
var errCrossed = errors.New("the entry was changed by others at the same time")

// modification is a change of an entry from what was read of it. It fails with errCrossed, and changes nothing, when
// the entry is no longer as it was read where that matters.
type modification struct {
	directory *Directory
	entry     *ldap.Entry
	request   *ldap.ModifyRequest
	err       error
}

func (d *Directory) modify(e *ldap.Entry) *modification {
	return &modification{directory: d, entry: e, request: ldap.NewModifyRequest(d.target(e), nil)}
}

// toChange are the attributes that are read of each entry that is to be changed.
func (d *Directory) toChange() []string {
	names := []string{"objectClass", d.dialect.id}
	if d.dialect.version != "" {
		names = append(names, d.dialect.version)
	}
	return names
}

// target is the name by which an entry is met again: one that does not change, where the server has such names.
func (d *Directory) target(e *ldap.Entry) string {
	id, err := d.dialect.parseID(e.GetEqualFoldRawAttributeValue(d.dialect.id))
	if err != nil || d.dialect.byID == nil {
		return e.DN
	}
	return d.dialect.byID(id)
}

// values takes the values remove out of an attribute and puts add in, as far as they are there or not yet there. It
// reports whether there are any to put in. A value in both lists is put in.
func (m *modification) values(attr Attribute, add, remove [][]byte) bool {
	t := m.directory.dialect
	name := t.wire[attr]
	have := values(m.entry, name)
	gone, fresh := missingFrom(add, both(have, remove)), missingFrom(have, distinct(add))
	if len(gone)+len(fresh) == 0 {
		return false
	}
	version := m.entry.GetEqualFoldAttributeValue(t.version)
	if version != "" && slices.Contains(t.whole, attr) {
		m.request.Replace(name, texts(append(missingFrom(gone, have), fresh...)))
		m.onlyIf(t.version, version)
		return len(fresh) > 0
	}
	if len(gone) > 0 {
		m.request.Delete(name, texts(gone))
	}
	if len(fresh) > 0 {
		m.request.Add(name, texts(fresh))
	}
	return len(fresh) > 0
}

// onlyIf makes the modification depend on an attribute having a value when it takes place.
func (m *modification) onlyIf(attribute, value string) {
	const assertion = "1.3.6.1.1.12" // RFC 4528
	filter, err := ldap.CompileFilter(equals(attribute, value))
	if err != nil {
		m.err = err
		return
	}
	m.request.Controls = append(m.request.Controls, ldap.NewControlString(assertion, true, string(filter.Bytes())))
}

// send makes the change, if there is one. what names it in faults.
func (m *modification) send(l *ldap.Conn, what string) error {
	if m.err != nil || len(m.request.Changes) == 0 {
		return m.err
	}
	return m.directory.written(l.Modify(m.request), what)
}

// written makes something of the result of a change that was computed from what the entry held before: codes which say
// that it no longer holds that, or is no longer there, mean to look again.
func (d *Directory) written(err error, what string) error {
	switch code(err) {
	case ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultEntryAlreadyExists, ldap.LDAPResultAssertionFailed:
		return errors.Join(errCrossed, err)
	case ldap.LDAPResultInappropriateMatching:
		return ErrRefused.Withf("The directory can change single values of %s only where it shows Sealpost's publishing account (%s) "+
			"the attribute %s. An operator must let the account read it.", what, d.Publisher, d.dialect.version).Because(err)
	case ldap.LDAPResultInsufficientAccessRights:
		return ErrRefused.Withf("The directory does not let Sealpost's publishing account (%s) write %s. "+
			"An operator must give it that right.", d.Publisher, what).Because(err)
	}
	return err
}

// repeat tries again what others crossed, a few times.
func repeat(try func() error) error {
	var err error
	for range attempts {
		if err = try(); !errors.Is(err, errCrossed) {
			return err
		}
	}
	if code(err) == ldap.LDAPResultAttributeOrValueExists {
		// OpenLDAP compares certificates by issuer and serial number.
		return ErrValue.Withf("The entry holds another value that the directory takes for the same one.").Because(err)
	}
	return ErrUnavailable.Withf("The entry in the directory is being changed by others. Try again later.").Because(err)
}
