package directory

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// What a Principals' filter may hold: the whole principal, name@REALM, or the name alone.
const (
	wholePrincipal = "{principal}"
	namePrincipal  = "{name}"
)

// principalForm is how a Principals' filter may compare: an attribute with one of these, and nothing beside it.
var principalForm = regexp.MustCompile(`\(([A-Za-z][A-Za-z0-9-]{0,63})=(\{principal\}|\{name\})\)`)

// Principals says how the Kerberos principals of a realm are found among people: by a filter such as
// (krbPrincipalName={principal}) or (sAMAccountName={name}).
type Principals struct {
	template string
	forms    [][2]string // attribute, and what it is compared with
}

// NewPrincipals reads a filter in which {principal} stands for name@REALM and {name} for the name alone, at least one of them
// and only as whole values. "" is the dialect's own: (userPrincipalName={principal}) in Active Directory, none elsewhere.
func NewPrincipals(dialect, template string) (*Principals, error) {
	if template == "" && dialect == "ad" {
		template = "(userPrincipalName=" + wholePrincipal + ")"
	}
	p := &Principals{template: template}
	for _, m := range principalForm.FindAllStringSubmatch(template, -1) {
		p.forms = append(p.forms, [2]string{m[1], m[2]})
	}
	if places := strings.Count(template, wholePrincipal) + strings.Count(template, namePrincipal); len(p.forms) == 0 || len(p.forms) != places {
		return nil, fmt.Errorf("needs %s or %s, each time compared with an attribute: (krbPrincipalName=%s)", wholePrincipal, namePrincipal, wholePrincipal)
	}
	if strings.Contains(template, "(!") {
		return nil, errors.New("must not find people by what they do not have")
	}
	if _, err := ldap.CompileFilter(p.fill("x", "EXAMPLE.COM")); err != nil {
		return nil, fmt.Errorf("is no LDAP filter: %w", err)
	}
	return p, nil
}

func (p *Principals) value(kind, name, realm string) string {
	if kind == namePrincipal {
		return name
	}
	return name + "@" + realm
}

func (p *Principals) fill(name, realm string) string {
	return strings.NewReplacer(wholePrincipal, ldap.EscapeFilter(name+"@"+realm), namePrincipal, ldap.EscapeFilter(name)).Replace(p.template)
}

// holds reports whether an entry has what was searched for, letter for letter but for the case of A to Z: servers also take
// other letters and spaces for the same, which in Kerberos are another principal.
func (p *Principals) holds(e *ldap.Entry, name, realm string) bool {
	return slices.ContainsFunc(p.forms, func(f [2]string) bool {
		want := lowerASCII(p.value(f[1], name, realm))
		return slices.ContainsFunc(e.GetEqualFoldAttributeValues(f[0]), func(have string) bool { return lowerASCII(have) == want })
	})
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// ByPrincipal returns the person whose Kerberos principal it is: a name of one part in a realm.
func (d *Directory) ByPrincipal(ctx context.Context, by *Principals, name, realm string) (Person, error) {
	if len(name)+len(realm) > maxLogin || !isPart(name) || !isPart(realm) {
		return Person{}, ErrUnknownPerson
	}
	attributes := d.attributes()
	for _, f := range by.forms {
		attributes = append(attributes, f[0])
	}
	slices.Sort(attributes)
	attributes = slices.Compact(attributes)
	var s source
	err := d.lookup.do(ctx, func(l *ldap.Conn) error {
		e, err := d.onePerson(l, by.fill(name, realm), attributes)
		if err != nil {
			return err
		}
		if !by.holds(e, name, realm) {
			return ErrUnknownPerson
		}
		s, err = d.read(e)
		return err
	})
	if err != nil {
		return Person{}, err
	}
	return d.complete(ctx, s)
}

// isPart reports whether s can be a part of a principal that is written without escapes.
func isPart(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsAny(s, `@/\`) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}
