// Package ber makes DER of BER, so that messages and key files of other programs can be read: NSS writes indefinite lengths
// and strings in pieces, and so do older programs of everybody.
//
// It owns the encoding alone. It knows no schema, so that strings in pieces under an implicit tag stay as they are: whoever
// knows the schema joins them with Join. It does not sort sets. What it makes is for reading: a signature or MAC was made over
// the bytes as they came.
package ber

import (
	"errors"
	"math/bits"
)

// maxDepth is how deeply elements may nest.
const maxDepth = 64

// ErrMalformed means that the bytes are not one BER element.
var ErrMalformed = errors.New("not BER")

// Tags and bits of the identifier octet (X.690, 8.1.2).
const (
	tagOctetString = 0x04
	constructed    = 0x20
	highTag        = 0x1f
)

// ToDER returns one element, as DER: definite and shortest lengths, octet strings in one piece. The result shares no
// memory with b.
func ToDER(b []byte) ([]byte, error) {
	out, rest, err := element(make([]byte, 0, len(b)), b, 0) // it is no longer than b
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		clear(out)
		return nil, ErrMalformed
	}
	return out, nil
}

// Join returns the content of a string in pieces: elements that are octet strings. It is for the content of an implicitly
// tagged, constructed string, in DER.
func Join(pieces []byte) ([]byte, error) {
	out := make([]byte, 0, len(pieces))
	for len(pieces) > 0 {
		h, err := readHeader(pieces)
		if err != nil || h.tag[0] != tagOctetString || h.length < 0 || h.length > len(h.rest) {
			return nil, ErrMalformed
		}
		out = append(out, h.rest[:h.length]...)
		pieces = h.rest[h.length:]
	}
	return out, nil
}

// element appends the first element of b to out.
func element(out, b []byte, depth int) (grown, rest []byte, err error) {
	h, err := readHeader(b)
	switch {
	case err != nil:
		return nil, nil, err
	case depth > maxDepth || h.length > len(h.rest):
		return nil, nil, ErrMalformed
	case h.tag[0]&constructed == 0:
		if h.length < 0 {
			return nil, nil, ErrMalformed
		}
		return appendElement(out, h.tag, h.rest[:h.length]), h.rest[h.length:], nil
	}
	content, rest, err := children(h, depth)
	if err != nil {
		return nil, nil, err
	}
	defer clear(content)
	if h.tag[0] != tagOctetString|constructed {
		return appendElement(out, h.tag, content), rest, nil
	}
	whole, err := Join(content)
	if err != nil {
		return nil, nil, err
	}
	defer clear(whole)
	return appendElement(out, []byte{tagOctetString}, whole), rest, nil
}

// children returns the elements inside a constructed one, as DER.
func children(h header, depth int) (content, rest []byte, err error) {
	in := h.rest
	if h.length >= 0 {
		in, rest = h.rest[:h.length], h.rest[h.length:]
		content = make([]byte, 0, len(in))
	}
	for {
		if h.length >= 0 && len(in) == 0 {
			return content, rest, nil
		}
		if h.length < 0 && len(in) >= 2 && in[0] == 0 && in[1] == 0 { // end of contents
			return content, in[2:], nil
		}
		if content, in, err = element(content, in, depth+1); err != nil {
			return nil, nil, err
		}
	}
}

// header is the identifier and length of an element.
type header struct {
	tag    []byte
	length int // -1: indefinite
	rest   []byte
}

func readHeader(b []byte) (h header, err error) {
	n := 1
	if len(b) > 0 && b[0]&highTag == highTag {
		for n < len(b) && n < 6 && b[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if len(b) <= n || b[0] == 0 { // tag 0 is for the end of contents alone
		return h, ErrMalformed
	}
	h.tag = b[:n]
	first := b[n]
	h.rest = b[n+1:]
	switch {
	case first < 0x80:
		h.length = int(first)
	case first == 0x80:
		h.length = -1
	default:
		count := int(first & 0x7f)
		if count > len(h.rest) {
			return h, ErrMalformed
		}
		for _, octet := range h.rest[:count] {
			if h.length >= 1<<23 { // more than any file that is read
				return h, ErrMalformed
			}
			h.length = h.length<<8 | int(octet)
		}
		h.rest = h.rest[count:]
	}
	return h, nil
}

func appendElement(out, tag, content []byte) []byte {
	out = append(out, tag...)
	n := len(content)
	if n < 0x80 {
		return append(append(out, byte(n)), content...)
	}
	size := (bits.Len(uint(n)) + 7) / 8
	out = append(out, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		out = append(out, byte(n>>(8*i)))
	}
	return append(out, content...)
}
