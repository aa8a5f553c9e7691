package record

import (
	"strings"
	"unicode/utf8"
)

// checkLine accepts one line of text that reads as it is: valid UTF-8 without control characters, line separators or
// the characters that reorder what is around them. Officers decide by what they read.
func checkLine(s string) error {
	if !utf8.ValidString(s) {
		return ErrFormat.Withf("The text is not valid UTF-8.")
	}
	if i := strings.IndexFunc(s, misleading); i >= 0 {
		return ErrFormat.Withf("The text contains a control character or one that reorders text.")
	}
	return nil
}

// checkText is checkLine for several lines, separated by U+000A.
func checkText(s string) error { return checkLine(strings.ReplaceAll(s, "\n", " ")) }

// misleading is a fixed list, so that the format does not depend on a version of Unicode.
func misleading(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0: // C0, DEL, C1
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional controls
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff: // line and paragraph separator, byte order mark
		return true
	}
	return false
}

// Line makes any text acceptable as a name or mail address of at most max bytes: what could mislead becomes U+FFFD, and
// the end is cut off at a character. It is for names that come from a directory.
func Line(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if misleading(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
