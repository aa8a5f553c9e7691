package ca

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// serialLen is the length of a serial in octets. RFC 5280 §4.1.2.2 allows 20; the S/MIME BR want 64 random bits.
const serialLen = 16

// Serial is a certificate's serial number: the octets of a positive integer, big-endian, without leading zeros. Being a
// string it can be compared and used as a map's key; it is shown and written as text in hexadecimal.
type Serial string

// newSerial returns a serial of 126 random bits. The two leading bits are 01, so that the number is positive and its
// encoding always has the same length.
func newSerial() (Serial, error) {
	b := make([]byte, serialLen)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make serial: %w", err)
	}
	b[0] = b[0]&0x3f | 0x40
	return Serial(b), nil
}

// SerialOf returns n as a Serial. A negative or zero n has none; it yields the empty Serial, which no certificate has.
func SerialOf(n *big.Int) Serial {
	if n == nil || n.Sign() <= 0 {
		return ""
	}
	return Serial(n.Bytes())
}

// ParseSerial reads a serial in hexadecimal, as String writes it. Colons between octets, upper case and leading zeros
// are accepted.
func ParseSerial(s string) (Serial, error) {
	clean := strings.ReplaceAll(s, ":", "")
	if len(clean) == 0 || len(clean) > 42 {
		return "", ErrNotFound.Withf("A serial number has 1 to 40 hexadecimal digits.")
	}
	if len(clean)%2 == 1 {
		clean = "0" + clean
	}
	b, err := hex.DecodeString(clean)
	if err != nil {
		return "", ErrNotFound.Withf("A serial number is written in hexadecimal.")
	}
	return Serial(strings.TrimLeft(string(b), "\x00")), nil
}

// String returns s in lower-case hexadecimal.
func (s Serial) String() string { return hex.EncodeToString([]byte(s)) }

// Big returns s as a number.
func (s Serial) Big() *big.Int { return new(big.Int).SetBytes([]byte(s)) }

// MarshalText writes s as String does.
func (s Serial) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseSerial reads.
func (s *Serial) UnmarshalText(b []byte) error {
	v, err := ParseSerial(string(b))
	*s = v
	return err
}
