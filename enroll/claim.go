package enroll

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/ca"
)

// Claim is what a CSR names. A registrar sees it beside what the directory says; none of it is ever certified.
type Claim struct {
	CommonName string   `json:"common_name,omitempty"`
	Subject    string   `json:"subject,omitempty"` // the whole name (RFC 4514)
	Mailboxes  []string `json:"mailboxes,omitempty"`
	Hosts      []string `json:"hosts,omitempty"`
}

// Bounds of what is kept of a CSR's names.
const (
	maxClaimed = 512 // bytes of a name
	maxClaims  = 64  // names of a kind
)

// claim adds what a CSR names, unless another of the same request names the same.
func claim(to []Claim, csr ca.CSR) []Claim {
	c := Claim{CommonName: clean(csr.Subject.CommonName), Subject: clean(csr.Subject.String())}
	for _, m := range csr.Mailboxes[:min(len(csr.Mailboxes), maxClaims)] {
		c.Mailboxes = append(c.Mailboxes, clean(m))
	}
	for _, h := range csr.DNSNames[:min(len(csr.DNSNames), maxClaims)] {
		c.Hosts = append(c.Hosts, clean(h))
	}
	same := func(have Claim) bool {
		return have.Subject == c.Subject && slices.Equal(have.Mailboxes, c.Mailboxes) && slices.Equal(have.Hosts, c.Hosts)
	}
	if slices.ContainsFunc(to, same) {
		return to
	}
	return append(to, c)
}

// clean makes one line of text of what a stranger wrote: the database takes no NUL, and readers no control characters.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) > maxClaimed {
		s = strings.ToValidUTF8(s[:maxClaimed], "") + "…"
	}
	return s
}
