package portal

import (
	"strings"
	"unicode/utf8"
)

// apart makes a name of somebody's choosing fit for the middle of a sentence: whatever direction its script has, and whatever
// marks for the direction are in it, what stands around it keeps its order (Unicode UAX #9). Where a name stands alone, <bdi> does
// that.
func apart(name string) string {
	if len(name) == utf8.RuneCountInString(name) { // ASCII has no directions
		return name
	}
	return "\u2068" + strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, name) + "\u2069"
}
