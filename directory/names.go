package directory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// maxName bounds a distinguished name, in bytes.
const maxName = 4096

// parseDN reads a distinguished name that is not empty.
func parseDN(s string) (*ldap.DN, error) {
	if s == "" {
		return nil, errors.New("is missing")
	}
	if len(s) > maxName {
		return nil, errors.New("is too long")
	}
	dn, err := ldap.ParseDN(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no distinguished name: %w", s, err)
	}
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if a.Type == "" || a.Value == "" {
				return nil, fmt.Errorf("%q is no distinguished name: a part is empty", s)
			}
		}
	}
	if len(dn.RDNs) == 0 {
		return nil, errors.New("is missing")
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
