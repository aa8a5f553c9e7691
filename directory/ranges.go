package directory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// readOn reads the rest of what a server has shown in part: Active Directory answers who asks for an attribute with more than
// 1500 values with the first of them, as "userCertificate;range=0-1499", and tells the rest to who asks for the next range
// (MS-ADTS §3.1.1.3.1.3.3). Samba does so only for who asks for a range.
func (d *Directory) readOn(l *ldap.Conn, e *ldap.Entry) error {
	for i := 0; i < len(e.Attributes); i++ { // grows
		name, next, ok := unfinished(e.Attributes[i].Name)
		if !ok {
			continue
		}
		result, err := l.Search(entryOnly(d.target(e), "(objectClass=*)", []string{fmt.Sprintf("%s;range=%d-*", name, next)}))
		if code(err) == ldap.LDAPResultNoSuchObject {
			return nil // deleted meanwhile: a change of it will find that out
		}
		if err != nil {
			return err
		}
		for _, more := range result.Entries {
			// A range that does not begin where it should would be asked for again for ever.
			e.Attributes = append(e.Attributes, slices.DeleteFunc(more.Attributes, func(a *ldap.EntryAttribute) bool {
				_, after, ok := unfinished(a.Name)
				return ok && after <= next
			})...)
		}
	}
	return nil
}

// inPart reports whether an attribute of the entry is shown in part.
func inPart(e *ldap.Entry) bool {
	return slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool {
		_, _, ok := unfinished(a.Name)
		return ok
	})
}

// unfinished returns the name of an attribute that is shown in part, without options, and the number of the value that comes next.
func unfinished(shown string) (name string, next int, ok bool) {
	name, options, _ := strings.Cut(shown, ";")
	for o := range strings.SplitSeq(options, ";") {
		if len(o) < 6 || !strings.EqualFold(o[:6], "range=") {
			continue
		}
		_, last, _ := strings.Cut(o[6:], "-")
		n, err := strconv.ParseUint(last, 10, 31) // "*": it was the last range
		return name, int(n) + 1, err == nil
	}
	return name, 0, false
}
