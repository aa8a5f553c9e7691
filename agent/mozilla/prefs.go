package mozilla

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pref is one statement of prefs.js or user.js: user_pref("name", value);
type pref struct {
	name       string
	value      string // of a string, else the literal
	quoted     bool   // the value is a string
	start, end int    // of the statement, from its first letter to behind the semicolon
}

// parsePrefs finds the statements of a file, in their order. What is no statement is passed over: these files are people's,
// and what we do not understand in them we neither need nor touch.
func parsePrefs(text string) []pref {
	var out []pref
	s := scanner{text: text}
	for s.space(); s.at < len(text); s.space() {
		start := s.at
		p, ok := s.statement()
		if ok {
			p.start, p.end = start, s.at
			out = append(out, p)
			continue
		}
		s.at = start
		s.skipLine()
	}
	return out
}

// scanner reads a text from a place on.
type scanner struct {
	text string
	at   int
}

func (s *scanner) rest() string { return s.text[s.at:] }

func (s *scanner) skipLine() {
	if i := strings.IndexByte(s.rest(), '\n'); i >= 0 {
		s.at += i + 1
		return
	}
	s.at = len(s.text)
}

// space passes over white space and comments.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch rest := s.rest(); {
		case strings.IndexByte(" \t\r\n\v\f", rest[0]) >= 0:
			s.at++
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			s.skipLine()
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				s.at = len(s.text)
				return
			}
			s.at += end + 4
		default:
			return
		}
	}
}

func (s *scanner) take(token string) bool {
	s.space()
	if !strings.HasPrefix(s.rest(), token) {
		return false
	}
	s.at += len(token)
	return true
}

func (s *scanner) statement() (p pref, ok bool) {
	if !s.take("user_pref") || !s.take("(") {
		return p, false
	}
	if p.name, ok = s.quoted(); !ok || !s.take(",") {
		return p, false
	}
	if p.value, p.quoted = s.quoted(); !p.quoted {
		if p.value, ok = s.literal(); !ok {
			return p, false
		}
	}
	return p, s.take(")") && s.take(";")
}

// literal reads true, false or a number.
func (s *scanner) literal() (string, bool) {
	s.space()
	rest := s.rest()
	end := strings.IndexFunc(rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '+')
	})
	if end <= 0 {
		return "", false
	}
	word := rest[:end]
	if _, err := strconv.ParseInt(word, 10, 32); err != nil && word != "true" && word != "false" {
		return "", false
	}
	s.at += end
	return word, true
}

// quoted reads a string between double or single quotes, with JavaScript's escapes as far as these files have them.
func (s *scanner) quoted() (string, bool) {
	s.space()
	before := s.at
	value, ok := s.string()
	if !ok {
		s.at = before
	}
	return value, ok
}

func (s *scanner) string() (string, bool) {
	rest := s.rest()
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", false
	}
	quote := rest[0]
	s.at++
	var b strings.Builder
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch c {
		case quote:
			return b.String(), true
		case '\\':
			if !s.escape(&b) {
				return "", false
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func (s *scanner) escape(b *strings.Builder) bool {
	if s.at >= len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	switch c {
	case '"', '\'', '\\':
		b.WriteByte(c)
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 'x':
		return s.hex(b, 2)
	case 'u':
		return s.hex(b, 4)
	default:
		return false
	}
	return true
}

func (s *scanner) hex(b *strings.Builder, digits int) bool {
	if len(s.rest()) < digits {
		return false
	}
	n, err := strconv.ParseUint(s.rest()[:digits], 16, 16)
	if err != nil || n == 0 {
		return false
	}
	s.at += digits
	b.WriteRune(rune(n)) // half of a pair becomes U+FFFD: no name or address of ours has one
	return true
}

// prefs are the preferences of a file.
type prefs struct {
	text string
	list []pref
}

func newPrefs(text string) prefs { return prefs{text, parsePrefs(text)} }

// get returns a preference; of several statements the last one counts.
func (p prefs) get(name string) (pref, bool) {
	for _, one := range slices.Backward(p.list) {
		if one.name == name {
			return one, true
		}
	}
	return pref{}, false
}

// wanted is a preference as it should be.
type wanted struct {
	name    string
	literal string // as in the file
}

func wantString(name, value string) wanted { return wanted{name, quote(value)} }

func (w wanted) statement() string { return "user_pref(" + quote(w.name) + ", " + w.literal + ");" }

// isIn reports whether the preferences have it so.
func (w wanted) isIn(p prefs) bool {
	have, ok := p.get(w.name)
	if !ok {
		return false
	}
	literal := have.value
	if have.quoted {
		literal = quote(have.value)
	}
	return literal == w.literal
}

// with returns the text with the preferences as wanted. Every other byte stays.
func (p prefs) with(all []wanted) string {
	text := p.text
	for _, w := range all {
		now := newPrefs(text) // the places have moved
		have, ok := now.get(w.name)
		switch {
		case w.isIn(now):
		case ok:
			text = text[:have.start] + w.statement() + text[have.end:]
		default:
			text = line(text) + w.statement() + "\n"
		}
	}
	return text
}

// line ends a text's last line.
func line(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}

// quote writes a string as Thunderbird does: UTF-8, with few escapes.
func quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			if r != 0 { // which no such string can hold
				fmt.Fprintf(&b, `\x%02x`, r)
			}
		case r == utf8.RuneError:
			_, size := utf8.DecodeRuneInString(value[i:])
			b.WriteString(value[i : i+size]) // bytes of another encoding stay what they are
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
