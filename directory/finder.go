package directory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// place stands for the mail address in a Finder's filter.
const place = "{mailbox}"

// comparison is how an address may be compared in a Finder's filter: with an attribute, with a fixed text before or after it.
var comparison = regexp.MustCompile(`\(([A-Za-z][A-Za-z0-9-]{0,63})=([^()*\\{}]*)\{mailbox\}([^()*\\{}]*)\)`)

// Finder finds entries by mail address, in a directory of which we know nothing else: with a filter such as (mail={mailbox}) or
// (|(mail={mailbox})(proxyAddresses=smtp:{mailbox})). Of an entry it also tells the addresses that lead to it.
type Finder struct {
	template string
	forms    []form
}

// form is how an attribute holds an address.
type form struct{ attribute, before, after string }

// NewFinder reads a filter in which {mailbox} stands for the address, at least once and only as a whole value or with fixed text
// beside it. "" is (mail={mailbox}).
func NewFinder(template string) (*Finder, error) {
	if template == "" {
		template = "(mail=" + place + ")"
	}
	f := &Finder{template: template}
	for _, m := range comparison.FindAllStringSubmatch(template, -1) {
		f.forms = append(f.forms, form{m[1], m[2], m[3]})
	}
	if len(f.forms) == 0 || len(f.forms) != strings.Count(template, place) {
		return nil, fmt.Errorf("needs %s for the address, each time compared with an attribute: (mail=%s)", place, place)
	}
	if _, err := ldap.CompileFilter(f.fill("x@example.com")); err != nil {
		return nil, fmt.Errorf("is no LDAP filter: %w", err)
	}
	if denied(template) {
		return nil, errors.New("must not find entries by an address that they do not have")
	}
	return f, nil
}

// denied reports whether {mailbox} is in a part of the filter that must not match.
func denied(template string) bool {
	for rest := template; ; {
		at := strings.Index(rest, "(!")
		if at < 0 {
			return false
		}
		rest = rest[at+2:]
		depth := 1
		for i := 0; i < len(rest) && depth > 0; i++ {
			switch rest[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth > 0 && strings.HasPrefix(rest[i:], place) {
				return true
			}
		}
	}
}

func (f *Finder) fill(address string) string {
	return strings.ReplaceAll(f.template, place, ldap.EscapeFilter(address))
}

// filter matches the entries of an address, as ParseMailbox writes it, in either way that directories write its domain.
func (f *Finder) filter(mailbox string) string {
	at := strings.LastIndexByte(mailbox, '@') + 1
	if wide, err := domains.ToUnicode(mailbox[at:]); err == nil && wide != mailbox[at:] {
		return anyOf(f.fill(mailbox), f.fill(mailbox[:at]+wide))
	}
	return f.fill(mailbox)
}

// attributes are those in which addresses are.
func (f *Finder) attributes() []string {
	out := make([]string, len(f.forms))
	for i, form := range f.forms {
		out[i] = form.attribute
	}
	return out
}

// mailboxes returns the addresses that lead to an entry, in lower case. What is no mailbox leads nowhere.
func (f *Finder) mailboxes(e *ldap.Entry) []string {
	var out []string
	for _, form := range f.forms {
		for _, v := range e.GetEqualFoldAttributeValues(form.attribute) {
			n := len(v) - len(form.after)
			if n < len(form.before) || !strings.EqualFold(v[:len(form.before)], form.before) || !strings.EqualFold(v[n:], form.after) {
				continue
			}
			m, err := ParseMailbox(strings.TrimSpace(v[len(form.before):n]))
			if m = strings.ToLower(m); err == nil && !slices.Contains(out, m) && len(out) < maxMailboxes {
				out = append(out, m)
			}
		}
	}
	return out
}
