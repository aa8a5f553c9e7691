package pkcs12

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// generatedPassphrase is the form of what GeneratePassphrase returns: six groups
// of four characters with five bits each, 120 bits in all.
var generatedPassphrase = regexp.MustCompile(`^[a-z2-7]{4}(-[a-z2-7]{4}){5}$`)

// GeneratePassphrase returns a random passphrase with 120 bits, in groups of lower
// case letters and digits that need no shift key and leave out 0, 1, 8 and 9:
// "mzxw-6ytb-oi4d-q2lk-a3fe-n5rp".
func GeneratePassphrase() (string, error) {
	var b [15]byte
	defer clear(b[:])
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	s := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	var groups []string
	for ; s != ""; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(groups, "-"), nil
}

// checkPassphrase refuses what a profile is not made for.
func checkPassphrase(passphrase string, p Profile) error {
	switch {
	case passphrase == "":
		return ErrEntry.Withf("A passphrase is needed.")
	case !utf8.ValidString(passphrase) || strings.ContainsRune(passphrase, 0):
		return ErrEntry.Withf("The passphrase is not text.")
	case p == ModernGenerated && !generatedPassphrase.MatchString(passphrase):
		return ErrEntry.Withf("This profile is for generated passphrases only.")
	}
	return nil
}

// bmpString encodes text as a BMPString. Characters beyond the plane become
// surrogates, as everybody writes them.
func bmpString(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}

// parseBMPString is the inverse of bmpString.
func parseBMPString(b []byte) (string, bool) {
	if len(b)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), true
}

// macPassphrase is the form of a passphrase that the derivation of RFC 7292 takes
// (appendix B.1): a BMPString with a terminating zero. The caller clears it.
func macPassphrase(passphrase string) []byte {
	return append(bmpString(passphrase), 0, 0)
}
