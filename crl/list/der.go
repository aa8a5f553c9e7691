package list

import (
	"math/bits"
	"time"
)

// Tags of DER that a list consists of (X.690, section 8).
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagEnumerated      = 0x0a
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagContext0        = 0xa0 // [0], constructed
)

// headerSize returns how many bytes identifier and length take before content of n bytes.
func headerSize(n int64) int64 {
	if n < 0x80 {
		return 2
	}
	return 2 + int64(bits.Len64(uint64(n))+7)/8
}

// appendHeader writes identifier and length of content of n bytes.
func appendHeader(b []byte, tag byte, n int64) []byte {
	if n < 0x80 {
		return append(b, tag, byte(n))
	}
	size := (bits.Len64(uint64(n)) + 7) / 8
	b = append(b, tag, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendElement writes one element.
func appendElement(b []byte, tag byte, content []byte) []byte {
	return append(appendHeader(b, tag, int64(len(content))), content...)
}

// element returns one element.
func element(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := appendHeader(make([]byte, 0, n+6), tag, int64(n))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// appendUnsigned writes a positive INTEGER of its octets without leading zeros.
func appendUnsigned(b, octets []byte) []byte {
	if len(octets) > 0 && octets[0] < 0x80 {
		return appendElement(b, tagInteger, octets)
	}
	b = appendHeader(b, tagInteger, int64(len(octets))+1)
	return append(append(b, 0), octets...)
}

const (
	utcTime         = "060102150405Z"
	generalizedTime = "20060102150405Z"
)

// appendTime writes a Time: UTCTime until the end of 2049, GeneralizedTime from then on (RFC 5280, section 5.1.2.4).
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y >= 1950 && y < 2050 {
		return t.AppendFormat(appendHeader(b, tagUTCTime, int64(len(utcTime))), utcTime)
	}
	return appendGeneralizedTime(b, t)
}

func appendGeneralizedTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(appendHeader(b, tagGeneralizedTime, int64(len(generalizedTime))), generalizedTime)
}
