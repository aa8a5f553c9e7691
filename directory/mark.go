package directory

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// rising is an attribute whose value rises whenever an entry changes, so that the changed entries are those above a mark.
// Marks are values in a form that compares as text.
type rising struct {
	attribute string
	created   string // the attribute with the value, or its beginning, that the first change left

	// head is the attribute of the server's root entry that says how far it is. Without one the newest entry tells.
	head string
	// settings is the attribute of the root entry with the name of the entry that has the server's own id, and id that id's
	// attribute. Without them servers are told apart by their addresses.
	settings, id string

	// unique says that no two changes leave the same value.
	unique bool
	// deleted says that entries stay for a while after they are deleted, for who asks for them and may see them.
	deleted bool

	// shared says that a change has the same value at every server; otherwise each server counts for itself.
	shared bool

	// mark reads a value.
	mark func(value string) (string, error)
	// at is the mark of a moment, "" where time counts for nothing.
	at func(time.Time) string
	// from returns the value to search from, so that what was marked up to a mark and at most late ago is found too.
	from func(mark string, now time.Time, late time.Duration) string
}

// overlap is how much later than others a change may arrive at a server: from another server, or from a slower transaction.
const overlap = 10 * time.Minute

// usn is Active Directory's number of a server's own changes (MS-ADTS §3.1.1.1.9). The highest one committed is read before the
// search, so that nothing is missed between.
var usn = rising{
	attribute: "uSNChanged", created: "uSNCreated", head: "highestCommittedUSN", settings: "dsServiceName", id: "invocationId", unique: true, deleted: true,
	mark: func(value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 63)
		return fmt.Sprintf("%019d", n), err
	},
	at: func(time.Time) string { return "" },
	from: func(mark string, _ time.Time, _ time.Duration) string {
		n, _ := strconv.ParseUint(mark, 10, 63) // it is a mark
		return strconv.FormatUint(n+1, 10)
	},
}

// csn is OpenLDAP's number of a change: time, count within it, server, number within the operation.
var csn = rising{
	attribute: "entryCSN", created: "createTimestamp", unique: true, shared: true, mark: timed,
	from: func(mark string, now time.Time, late time.Duration) string {
		if t, exact := since(mark, now, late); !exact {
			return csnAt(t)
		}
		return mark
	},
	at: csnAt,
}

// modified is when an entry was changed, to the second (RFC 4512 §3.4.4).
var modified = rising{
	attribute: "modifyTimestamp", created: "createTimestamp", shared: true, mark: timed,
	from: func(mark string, now time.Time, late time.Duration) string {
		t, _ := since(mark, now, late)
		return timeAt(t)
	},
	at: timeAt,
}

func csnAt(t time.Time) string  { return t.UTC().Format(seconds+".000000") + "Z#000000#000#000000" }
func timeAt(t time.Time) string { return t.UTC().Format(seconds) + "Z" }

// seconds is how the values of both begin, in UTC.
const seconds = "20060102150405"

// timed reads a value that begins with a time.
func timed(value string) (string, error) {
	if len(value) < len(seconds) {
		return "", fmt.Errorf("%q is no time", value)
	}
	_, err := time.Parse(seconds, value[:len(seconds)])
	return value, err
}

// above is the filter that an entry has a value, or a higher one.
func (r rising) above(value string) string {
	return "(" + r.attribute + ">=" + ldap.EscapeFilter(value) + ")"
}

// newer reports whether an entry was made after a mark. Of the second of the mark nobody knows.
func (r rising) newer(s source, mark string) bool {
	const digits = len("0000000000000000000") // of a number; a time's are fewer
	cut := func(v string) string {
		if r.shared {
			return v[:len(seconds)]
		}
		return v[:digits]
	}
	made, shown := s.created[r.created]
	return shown && cut(made) > cut(mark)
}

// since returns the time from which on changes are looked for, and whether that is just the mark. A mark ahead of our own clock
// may come from a clock that was set wrong, and what is changed afterwards have an earlier time.
func since(mark string, now time.Time, late time.Duration) (t time.Time, exact bool) {
	t, _ = time.Parse(seconds, mark[:len(seconds)]) // it is a mark
	if t.After(now) {
		return now.UTC().Add(-overlap), false
	}
	return t.Add(-late), late == 0
}

// position is how far a server is.
type position struct {
	base   string // what is searched: all that the server has around the people
	server string
	rising rising
	head   string // a mark; "" if only the entries tell
}

// position asks a server how far it is.
func (d *Directory) position(l *ldap.Conn, address string) (p position, err error) {
	p.server, p.base = address, d.People.Base
	root := []string{"namingContexts"}
	entry := []string{"1.1"}
	for _, r := range d.dialect.changes {
		entry = append(entry, r.attribute)
		if r.head != "" {
			root = append(root, r.head, r.settings)
		}
	}
	have, err := l.Search(entryOnly(d.People.Base, "(objectClass=*)", entry))
	if err != nil {
		return p, err
	}
	for _, r := range d.dialect.changes {
		if p.rising.attribute == "" && len(have.Entries) == 1 && have.Entries[0].GetEqualFoldAttributeValue(r.attribute) != "" {
			p.rising = r
		}
	}
	if p.rising.attribute == "" {
		return p, ErrRefused.Withf("The directory does not show the lookup account when the entry %s was changed. "+
			"An operator must let it read %s there and in all entries below.", d.People.Base, d.dialect.changes[0].attribute)
	}
	result, err := l.Search(entryOnly("", "(objectClass=*)", root))
	if err != nil || len(result.Entries) != 1 {
		return p, err // without a root entry, the people's base and the address do
	}
	return p, d.readRoot(l, result.Entries[0], &p)
}

// readRoot reads a server's root entry.
func (d *Directory) readRoot(l *ldap.Conn, root *ldap.Entry, p *position) (err error) {
	people, err := parseDN(d.People.Base)
	if err != nil {
		return err
	}
	best := 0
	for _, context := range root.GetEqualFoldAttributeValues("namingContexts") {
		if dn, err := parseDN(context); err == nil && within(people, dn) && len(dn.RDNs) > best {
			p.base, best = context, len(dn.RDNs)
		}
	}
	r := p.rising
	if r.head == "" {
		return nil
	}
	if p.head, err = r.mark(root.GetEqualFoldAttributeValue(r.head)); err != nil {
		return ErrRefused.Withf("The directory does not show the lookup account the attribute %s of its root entry.", r.head).Because(err)
	}
	settings := root.GetEqualFoldAttributeValue(r.settings)
	result, err := l.Search(entryOnly(settings, "(objectClass=*)", []string{r.id}))
	if err != nil || len(result.Entries) != 1 {
		return ErrRefused.Withf("The directory does not show the lookup account its server's entry %q.", settings).Because(err)
	}
	id, err := uuid.FromBytes(result.Entries[0].GetEqualFoldRawAttributeValue(r.id))
	if err != nil {
		return ErrRefused.Withf("The directory does not show the lookup account the attribute %s of the entry %q.", r.id, settings).Because(err)
	}
	p.server = id.String()
	return nil
}
