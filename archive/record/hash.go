package record

import (
	"crypto/sha256"
	"encoding/hex"
)

// The labels that separate every use of SHA-256 over more than one object's own bytes. They are part of the format.
const (
	labelSignature   = "Sealpost archive v1 signature"
	labelBinding     = "Sealpost archive v1 capsule binding"
	labelWrapping    = "Sealpost archive v1 wrapping"
	labelWrappingKey = "Sealpost archive v1 wrapping key"
	labelDealing     = "Sealpost archive v1 dealing"
	labelRound1      = "Sealpost archive v1 ceremony round 1"
	labelTranscript  = "Sealpost archive v1 ceremony transcript"
)

// Hash is a SHA-256 value.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal, as sha256sum prints it.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is all zero, which stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads 64 hexadecimal digits, as in a config file's pin.
func ParseHash(s string) (Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return Hash{}, ErrFormat.Withf("A hash is written with 64 hexadecimal digits.")
	}
	return Hash(b), nil
}

func hashOf(b []byte) Hash { return sha256.Sum256(b) }

// labelled returns SHA-256(label ‖ 0x00 ‖ parts). No label contains a zero byte; the parts have fixed lengths or carry
// their own.
func labelled(label string, parts ...[]byte) Hash {
	h := sha256.New()
	h.Write([]byte(label + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	return Hash(h.Sum(nil))
}
