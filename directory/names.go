package directory

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// maxName bounds a distinguished name, in bytes.
const maxName = 4096

// attributeType is an attribute's short name or number (RFC 4512 §1.4).
var attributeType = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)$`)

// parseDN reads a distinguished name that is not empty. It is stricter than go-ldap's parser, which takes any bytes for
// an attribute's name and replaces what is no UTF-8.
func parseDN(s string) (*ldap.DN, error) {
	if s == "" {
		return nil, errors.New("is missing")
	}
	if len(s) > maxName {
		return nil, errors.New("is too long")
	}
	if !utf8.ValidString(s) {
		return nil, errors.New("is no UTF-8")
	}
	dn, err := ldap.ParseDN(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no distinguished name: %w", s, err)
	}
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if !attributeType.MatchString(a.Type) || a.Value == "" || !utf8.ValidString(a.Value) {
				return nil, fmt.Errorf("%q is no distinguished name: it needs parts like cn=name", s)
			}
		}
	}
	if len(dn.RDNs) == 0 {
		return nil, errors.New("is missing")
	}
	if len(dn.String()) > maxName {
		return nil, errors.New("is too long")
	}
	return dn, nil
}

// within reports whether dn is base or lies below it.
func within(dn, base *ldap.DN) bool { return base.EqualFold(dn) || base.AncestorOfFold(dn) }

// equals returns the filter that attribute has value. attribute is from the dialect or the checked configuration;
// value may be anything.
func equals(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

// allOf returns the filter that all of the filters match.
func allOf(filters ...string) string { return "(&" + strings.Join(filters, "") + ")" }

// anyOf returns the filter that any of the filters matches.
func anyOf(filters ...string) string { return "(|" + strings.Join(filters, "") + ")" }

// CheckName reports what is wrong with the text of a distinguished name.
func CheckName(s string) error {
	_, err := parseDN(s)
	return err
}
