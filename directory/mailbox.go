package directory

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of a mailbox, in bytes (RFC 5321 §4.5.3.1), and how many of a person's are read.
const (
	maxLocalPart = 64
	maxMailbox   = 254
	maxMailboxes = 64
)

// domains converts the domain of a mailbox to A-labels in lower case, by IDNA2008 as clients look names up (RFC 5891 §5).
var domains = idna.New(idna.MapForLookup(), idna.StrictDomainName(true), idna.ValidateLabels(true), idna.BidiRule(),
	idna.CheckHyphens(true), idna.CheckJoiners(true), idna.VerifyDNSLength(true), idna.Transitional(false))

// ParseMailbox returns a mailbox in the one way that Sealpost writes it: the local part unchanged, since its case may
// matter (RFC 5321 §2.4) and certificates compare it byte by byte (RFC 9598 §5); the domain in lower case, as A-labels.
//
// It accepts dot-atoms in ASCII or beyond (RFC 5322, RFC 6531) at a domain of at least two labels. Quoted local parts
// and address literals are refused: no mail client finds a certificate by them.
func ParseMailbox(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("it is no UTF-8")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", errors.New("there is no @")
	}
	local, domain := s[:at], s[at+1:]
	if err := checkLocalPart(local); err != nil {
		return "", err
	}
	// Longer than any domain in any form; the conversion below takes time that grows faster than its input.
	if len(domain) > 4*maxMailbox {
		return "", errors.New("the domain is too long")
	}
	domain, err := domains.ToASCII(domain)
	if err != nil {
		return "", errors.New("the domain is no domain name")
	}
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if len(last) == len(domain) || strings.Trim(last, "0123456789") == "" {
		return "", errors.New("the domain is no full domain name")
	}
	if len(local)+1+len(domain) > maxMailbox {
		return "", errors.New("it is too long")
	}
	return local + "@" + domain, nil
}

func checkLocalPart(local string) error {
	if len(local) > maxLocalPart {
		return errors.New("the part before @ is too long")
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return errors.New("the part before @ lacks something beside a dot")
		}
	}
	for _, r := range local {
		// Beyond ASCII: what has a shape. Spaces, controls and invisible marks would only deceive readers.
		if r < utf8.RuneSelf && !isAtomText(r) || r >= utf8.RuneSelf && !unicode.IsPrint(r) {
			return errors.New("the part before @ has a character that cannot be there")
		}
	}
	return nil
}

// isAtomText reports whether an ASCII character may stand in a dot-atom (RFC 5322 §3.2.3), or is the dot.
func isAtomText(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r)
}

// mailboxes reads a person's mailboxes: the values of mail in their order, then those of proxyAddresses that begin with
// SMTP: (the primary one) and smtp:. What is no mailbox is left out and logged.
func mailboxes(log *slog.Logger, mail, proxies []string) []string {
	var candidates, secondary []string
	for _, v := range proxies {
		if rest, ok := strings.CutPrefix(v, "SMTP:"); ok {
			candidates = append(candidates, rest)
		} else if len(v) > 5 && strings.EqualFold(v[:5], "smtp:") {
			secondary = append(secondary, v[5:])
		}
	}
	var list []string
	for _, v := range slices.Concat(mail, candidates, secondary) {
		m, err := ParseMailbox(strings.TrimSpace(v))
		if err == nil && len(list) == maxMailboxes {
			err = errors.New("there are too many")
		}
		if err != nil {
			log.Warn("directory: mailbox is left out", "value", v[:min(len(v), maxMailbox)], "error", err)
			continue
		}
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// mailboxFilter is the filter that an entry has the mailbox, in any of the forms that directories hold.
func (d *Directory) mailboxFilter(mailbox string) string {
	filters := []string{equals(d.dialect.mail, mailbox), equals(d.dialect.proxies, "smtp:"+mailbox)}
	at := strings.LastIndexByte(mailbox, '@') + 1
	if wide, err := domains.ToUnicode(mailbox[at:]); err == nil && wide != mailbox[at:] {
		filters = append(filters, equals(d.dialect.mail, mailbox[:at]+wide), equals(d.dialect.proxies, "smtp:"+mailbox[:at]+wide))
	}
	return anyOf(filters...)
}
