package kra

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
)

// HeardBits is how much of a recipient's fingerprint an officer must type, in bits.
const HeardBits = 80

const (
	bitsPerWord = 16
	consonants  = "bdfghjklmnprstvz"
	vowels      = "aiou"
)

// Heard is what an officer typed of a fingerprint as the subject read it to them over a way that the server is no part
// of. The zero value is nothing.
type Heard struct {
	words map[int]uint16 // by place, from 0
}

// HeardWords takes single words with their places (from 0) among the sixteen.
func HeardWords(places []int, words []string) (Heard, error) {
	h := Heard{map[int]uint16{}}
	if len(places) != len(words) {
		return Heard{}, ErrHeard.Withf("%d words were asked for, %d were given.", len(places), len(words))
	}
	for i, w := range words {
		v, ok := parseWord(w)
		if !ok || places[i] < 0 || places[i] >= len(record.Hash{})*8/bitsPerWord {
			return Heard{}, ErrHeard.Withf("%q is no word of a fingerprint.", record.Line(w, 20))
		}
		h.words[places[i]] = v
	}
	return h, nil
}

// ParseHeard reads the beginning of a fingerprint: words, or hexadecimal digits with colons or blanks between them.
func ParseHeard(s string) (Heard, error) {
	fields := strings.Fields(strings.ToLower(s))
	if len(fields) > 0 {
		if _, ok := parseWord(fields[0]); ok {
			places := make([]int, len(fields))
			for i := range places {
				places[i] = i
			}
			return HeardWords(places, fields)
		}
	}
	digits := strings.ReplaceAll(strings.Join(fields, ""), ":", "")
	b, err := hex.DecodeString(digits[:len(digits)/4*4])
	if err != nil || len(b) > len(record.Hash{}) {
		return Heard{}, ErrHeard.Withf("This is no fingerprint: give its words, or its hexadecimal digits.")
	}
	h := Heard{map[int]uint16{}}
	for i := 0; i+1 < len(b); i += 2 {
		h.words[i/2] = binary.BigEndian.Uint16(b[i:])
	}
	return h, nil
}

func parseWord(w string) (uint16, bool) {
	if len(w) != 5 {
		return 0, false
	}
	v := 0
	for i := range len(w) {
		letters := consonants
		if i%2 == 1 {
			letters = vowels
		}
		at := strings.IndexByte(letters, w[i])
		if at < 0 {
			return 0, false
		}
		v = v*len(letters) + at
	}
	return uint16(v), true
}

// agrees demands enough of the fingerprint, and that all of it is right.
func (h Heard) agrees(fingerprint record.Hash) error {
	if len(h.words)*bitsPerWord < HeardBits {
		return ErrHeard.Withf("A restore needs at least %d bits of the recipient's fingerprint (%d words or %d hexadecimal digits), as the subject read them to you "+
			"by telephone or in person. %d were given.", HeardBits, HeardBits/bitsPerWord, HeardBits/4, len(h.words)*bitsPerWord)
	}
	for place, v := range h.words {
		if binary.BigEndian.Uint16(fingerprint[2*place:]) != v {
			return ErrHeard.Withf("What the subject read to you is not the fingerprint of the recipient in this case. If it was read and typed correctly, " +
				"somebody has put another recipient into the case: do not approve it, and tell the others.")
		}
	}
	return nil
}
