package directory

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// maxValue bounds a value that is written, in bytes: Active Directory takes 32768.
const maxValue = 32768

// Values returns the values of an attribute of a person's entry, in no order.
func (d *Directory) Values(ctx context.Context, person uuid.UUID, attr Attribute) ([][]byte, error) {
	name, err := d.wireName(attr)
	if err != nil {
		return nil, err
	}
	filter, err := d.idFilter(ctx, person)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	err = d.lookup.do(ctx, func(l *ldap.Conn) error {
		e, err := d.onePerson(l, filter, []string{name})
		if err == nil {
			list = values(e, name)
		}
		return err
	})
	return list, err
}

// AddValues puts values into an attribute of a person's entry. Those that are there already are fine.
func (d *Directory) AddValues(ctx context.Context, person uuid.UUID, attr Attribute, values [][]byte) error {
	return d.Change(ctx, person, attr, values, nil)
}

// RemoveValues takes exactly these values out of an attribute of a person's entry. Those that are not there are fine.
func (d *Directory) RemoveValues(ctx context.Context, person uuid.UUID, attr Attribute, values [][]byte) error {
	return d.Change(ctx, person, attr, nil, values)
}

// Change removes and adds values in one modification: readers see the entry before or after, nothing between, and no
// value is touched that is not named. It may be repeated: what is already as it should be is left alone. A value in
// both lists is added.
func (d *Directory) Change(ctx context.Context, person uuid.UUID, attr Attribute, add, remove [][]byte) error {
	return d.Adjust(ctx, person, attr, func([][]byte) (a, r [][]byte) { return add, remove })
}

// Adjust is Change where what is to be done depends on the values that are there: decide gets them, and is asked again
// when others change the entry at the same time.
func (d *Directory) Adjust(ctx context.Context, person uuid.UUID, attr Attribute, decide func(have [][]byte) (add, remove [][]byte)) error {
	return d.Revise(ctx, person, []Attribute{attr}, func(have Values) map[Attribute]Change {
		add, remove := decide(have[attr])
		return map[Attribute]Change{attr: {add, remove}}
	})
}

// Values are the values of an entry's attributes.
type Values map[Attribute][][]byte

// Change is what is to be done to the values of one attribute.
type Change struct{ Add, Remove [][]byte }

// Revise is Adjust for several attributes in one modification.
func (d *Directory) Revise(ctx context.Context, person uuid.UUID, attrs []Attribute, decide func(have Values) map[Attribute]Change) error {
	if d.publisher == nil {
		return ErrReadOnly
	}
	filter, err := d.idFilter(ctx, person)
	if err != nil {
		return err
	}
	return d.change(ctx, nil, filter, attrs, func(have Holding) map[Attribute]Change { return decide(have.Values) })
}

// revise reads the entry and changes what is not as it should be.
func (d *Directory) revise(l *ldap.Conn, f *Finder, filter string, attrs []Attribute, decide func(have Holding) map[Attribute]Change) error {
	names := d.toChange()
	if f != nil {
		names = append(names, f.attributes()...)
	}
	for _, attr := range attrs {
		names = append(names, d.dialect.wire[attr])
	}
	e, err := d.onePerson(l, filter, names)
	if err != nil {
		return err
	}
	have := Holding{DN: e.DN, Entries: 1, Values: d.valuesOf(e, attrs)}
	if f != nil {
		have.Mailboxes = f.mailboxes(e)
	}
	m, what, err := d.modification(e, attrs, decide(have))
	if err != nil {
		return err
	}
	return m.send(l, what)
}

// modification is what makes the changes of an entry. what names the attributes that it touches.
func (d *Directory) modification(e *ldap.Entry, attrs []Attribute, changes map[Attribute]Change) (m *modification, what string, err error) {
	m = d.modify(e)
	var changed []string
	var fresh bool
	for _, attr := range attrs {
		c := changes[attr]
		for _, v := range c.Add {
			if len(v) == 0 || len(v) > maxValue {
				return nil, "", ErrValue.Withf("A value must have 1 to %d bytes.", maxValue)
			}
		}
		before := len(m.request.Changes)
		fresh = m.values(attr, c.Add, c.Remove) || fresh
		if len(m.request.Changes) > before {
			changed = append(changed, string(attr))
		}
	}
	if fresh && d.dialect.holderClass != "" && !hasClass(e, d.dialect.holderClasses...) {
		m.request.Add("objectClass", []string{d.dialect.holderClass})
	}
	return m, strings.Join(changed, " and "), nil
}

// valuesOf returns the values of attributes of an entry.
func (d *Directory) valuesOf(e *ldap.Entry, attrs []Attribute) Values {
	out := make(Values, len(attrs))
	for _, attr := range attrs {
		out[attr] = values(e, d.dialect.wire[attr])
	}
	return out
}

// wireName returns what the server calls an attribute of people.
func (d *Directory) wireName(attr Attribute) (string, error) {
	if attr != UserCertificate && attr != UserSMIMECertificate {
		return "", ErrAttribute
	}
	return d.dialect.wire[attr], nil
}

// values returns the values of an attribute, whatever options the server gives it back with: some return
// userCertificate;binary to who asks for userCertificate, and the reverse.
func values(e *ldap.Entry, name string) [][]byte {
	base, _, _ := strings.Cut(name, ";")
	var list [][]byte
	for _, a := range e.Attributes {
		if have, _, _ := strings.Cut(a.Name, ";"); strings.EqualFold(have, base) {
			list = append(list, a.ByteValues...)
		}
	}
	return distinct(list)
}

// hasClass reports whether an entry has one of the classes.
func hasClass(e *ldap.Entry, classes ...string) bool {
	return slices.ContainsFunc(e.GetEqualFoldAttributeValues("objectClass"), func(have string) bool {
		return slices.ContainsFunc(classes, func(c string) bool { return strings.EqualFold(c, have) })
	})
}

func contains(list [][]byte, v []byte) bool {
	return slices.ContainsFunc(list, func(have []byte) bool { return bytes.Equal(have, v) })
}

// distinct returns a copy of the list with each value once.
func distinct(list [][]byte) [][]byte {
	var out [][]byte
	for _, v := range list {
		if !contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// missingFrom returns what of wanted is not in have.
func missingFrom(have, wanted [][]byte) [][]byte {
	return slices.DeleteFunc(slices.Clone(wanted), func(v []byte) bool { return contains(have, v) })
}

// both returns what is in both lists, each value once.
func both(a, b [][]byte) [][]byte {
	return slices.DeleteFunc(distinct(b), func(v []byte) bool { return !contains(a, v) })
}

func texts(list [][]byte) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
