package ca

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of a mail address, in octets (RFC 5321 §4.5.3.1), and of how many a certificate may hold.
const (
	maxLocal     = 64
	maxMailbox   = 254
	maxMailboxes = 64
)

// Mailbox is a mail address in the form in which it stands in a certificate: the local part as the directory has it,
// the domain in lower-case A-labels.
type Mailbox struct {
	Local  string
	Domain string
}

// ParseMailbox reads an address such as alice@example.com. The domain may be in any case and in U-labels. Quoted local
// parts, display names and address literals are refused.
func ParseMailbox(s string) (Mailbox, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || len(s) > maxMailbox || !utf8.ValidString(s) {
		return Mailbox{}, ErrMailbox.Withf("%q is not a mail address.", clip(s))
	}
	m := Mailbox{Local: s[:at]}
	if len(m.Local) > maxLocal || !validLocal(m.Local) {
		return Mailbox{}, ErrMailbox.Withf("The part before the @ of %q is not allowed.", clip(s))
	}
	var err error
	if m.Domain, err = hostName(s[at+1:]); err != nil {
		return Mailbox{}, ErrMailbox.Withf("The domain of %q is not a host name.", clip(s)).Because(err)
	}
	return m, nil
}

// String returns the address as text.
func (m Mailbox) String() string { return m.Local + "@" + m.Domain }

// ascii reports whether the address is written as an rfc822Name. Others are SmtpUTF8Mailbox (RFC 9598 §3).
func (m Mailbox) ascii() bool {
	for i := range len(m.Local) {
		if m.Local[i] >= 0x80 {
			return false
		}
	}
	return true
}

// key is the form by which certificates are searched: people are not careful about case, though comparison in a
// certificate is (RFC 5280 §7.5).
func (m Mailbox) key() string { return strings.ToLower(m.String()) }

// validLocal reports whether s is a dot-atom (RFC 5322 §3.2.3, extended by RFC 6532 §3.2 to what is not ASCII).
func validLocal(s string) bool {
	for _, atom := range strings.Split(s, ".") {
		if atom == "" {
			return false
		}
		for _, r := range atom {
			switch {
			case r >= 0x80:
				if unicode.IsControl(r) || unicode.IsSpace(r) || r == '\ufeff' || r == utf8.RuneError {
					return false
				}
			case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r):
			default:
				return false
			}
		}
	}
	return true
}

// labels converts as idna.Lookup does, and checks lengths too.
var labels = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// hostName returns a host name in lower-case A-labels (IDNA 2008, RFC 5891).
func hostName(s string) (string, error) {
	if plainHost(s) {
		return s, nil
	}
	a, err := labels.ToASCII(s)
	if err == nil && strings.HasSuffix(a, ".") {
		err = ErrDNSName
	}
	return a, err
}

// plainHost reports whether s is a host name that needs no conversion, as nearly all are.
func plainHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	label := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			label++
		case c == '-' && label > 0 && i+1 < len(s) && s[i+1] != '.':
			label++
			if label == 4 && s[i-1] == '-' { // "xn--" and its like: let IDNA judge
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0
}

// clip shortens what is quoted in a fault.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
