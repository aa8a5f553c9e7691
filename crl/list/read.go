package list

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of what is read besides the entries, in bytes.
const (
	maxHead      = 4 << 10 // version, algorithm: far less
	maxName      = 64 << 10
	maxEntry     = 16 << 10
	maxTail      = 256 << 10 // extensions
	maxSignature = 8 << 10
	maxSize      = int64(1) << 40 // of a list: lengths are added without overflow
	chunk        = 64 << 10
)

// Read reads a CertificateList in DER from its first byte to the end of r, in bounded memory. Each entry is handed to visit,
// whose error ends the reading; its serial is valid during the call. If visit is nil, entries are only counted.
//
// It returns ErrList for what is no list: every length is checked against the one around it, and nothing may follow. An error
// of r itself is returned as it is. The signature is not verified: see Head.Verify.
func Read(r io.Reader, visit func(Entry) error) (*Head, error) {
	source := bufio.NewReaderSize(r, chunk)
	start, err := source.Peek(maxHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	t, err := newTap(source, start)
	if err != nil {
		return nil, err
	}
	p := &parser{in: bufio.NewReaderSize(t, chunk), left: t.size}
	h := &Head{Size: t.size, algorithm: t.algorithm}
	if err := p.list(h, visit); err != nil {
		return nil, err
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = ErrList.Withf("There is more behind the revocation list.")
		}
		return nil, err
	}
	t.whole.Sum(h.SHA256[:0])
	if t.signed != nil {
		h.digest = t.signed.Sum(nil)
	}
	return h, nil
}

// tap computes two digests of what is read through it: of all, and of the bytes that are signed.
type tap struct {
	io.Reader
	whole, signed hash.Hash // signed is nil if the algorithm is not known
	at            int64
	from, to      int64 // of the signed bytes
	size          int64
	algorithm     algorithm
}

// newTap learns from the list's first bytes which are signed, and how.
func newTap(r io.Reader, start []byte) (*tap, error) {
	tag, size, outer, ok := header(start)
	if !ok || tag != tagSequence {
		return nil, ErrList
	}
	inner := start[outer:]
	tag, signed, n, ok := header(inner)
	if !ok || tag != tagSequence {
		return nil, ErrList
	}
	in := cryptobyte.String(inner[n:])
	var version int
	var algorithm cryptobyte.String
	if in.PeekASN1Tag(cryptobyte_asn1.INTEGER) && (!in.ReadASN1Integer(&version) || version != 1) {
		return nil, ErrList.Withf("The revocation list is of a version that is not known here.")
	}
	if !in.ReadASN1Element(&algorithm, cryptobyte_asn1.SEQUENCE) {
		return nil, ErrList
	}
	t := &tap{Reader: r, whole: sha256.New(), from: int64(outer), to: int64(outer+n) + signed, size: int64(outer) + size}
	var known bool
	if t.algorithm, known = algorithmOf(algorithm); known {
		t.signed = t.algorithm.hash.New()
	}
	return t, nil
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	t.whole.Write(b[:n])
	from, to := max(t.from-t.at, 0), min(t.to-t.at, int64(n))
	if t.signed != nil && from < to {
		t.signed.Write(b[from:to])
	}
	t.at += int64(n)
	return n, err
}

// header reads identifier and length (definite, shortest form) at the beginning of b.
func header(b []byte) (tag byte, length int64, size int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, 0, false
	}
	if b[1] < 0x80 {
		return b[0], int64(b[1]), 2, true
	}
	n := int(b[1] & 0x7f)
	if n == 0 || n > 5 || len(b) < 2+n || b[2] == 0 {
		return 0, 0, 0, false
	}
	for _, x := range b[2 : 2+n] {
		length = length<<8 | int64(x)
	}
	if length < 0x80 || length > maxSize || n > 1 && bits.Len64(uint64(length)) <= 8*(n-1) {
		return 0, 0, 0, false
	}
	return b[0], length, 2 + n, true
}

// parser reads elements one after the other. left counts down what the element around them still holds.
type parser struct {
	in   *bufio.Reader
	left int64
	room []byte
}

// next reads the header of the next element, which must fit into the one around it.
func (p *parser) next() (tag byte, length int64, err error) {
	const longest = 7
	b, err := p.in.Peek(int(min(longest, p.left)))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	tag, length, size, ok := header(b)
	if !ok || int64(size)+length > p.left {
		return 0, 0, ErrList
	}
	if _, err := p.in.Discard(size); err != nil {
		return 0, 0, err
	}
	p.left -= int64(size)
	return tag, length, nil
}

// peek returns the tag of the next element, or 0 at the end of the one around it.
func (p *parser) peek() (byte, error) {
	if p.left == 0 {
		return 0, nil
	}
	b, err := p.in.Peek(1)
	if err != nil {
		return 0, cut(err)
	}
	return b[0], nil
}

// cut tells an end that comes too early from other errors of a reader.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrList.Withf("The revocation list is cut off.")
	}
	return err
}

// content reads the content of the element whose header was just read. It is valid until the next call.
func (p *parser) content(length int64, most int) ([]byte, error) {
	if length > int64(most) {
		return nil, ErrList.Withf("A part of the revocation list is longer than %d bytes.", most)
	}
	if cap(p.room) < int(length) {
		p.room = make([]byte, length)
	}
	b := p.room[:length]
	if _, err := io.ReadFull(p.in, b); err != nil {
		return nil, cut(err)
	}
	p.left -= length
	return b, nil
}

// element reads an element of the given tag and returns it with its header. It is valid until the next call.
func (p *parser) element(want byte, most int) ([]byte, error) {
	tag, length, err := p.next()
	if err != nil {
		return nil, err
	}
	if tag != want {
		return nil, ErrList
	}
	b, err := p.content(length, most)
	if err != nil {
		return nil, err
	}
	return appendElement(nil, tag, b), nil
}

// within runs read with the element of the given tag around it, which read must use up.
func (p *parser) within(want byte, read func() error) error {
	tag, length, err := p.next()
	if err != nil {
		return err
	}
	if tag != want {
		return ErrList
	}
	around := p.left - length
	p.left = length
	if err := read(); err != nil {
		return err
	}
	if p.left != 0 {
		return ErrList
	}
	p.left = around
	return nil
}

func (p *parser) list(h *Head, visit func(Entry) error) error {
	return p.within(tagSequence, func() error {
		if err := p.within(tagSequence, func() error { return p.signed(h, visit) }); err != nil {
			return err
		}
		again, err := p.element(tagSequence, maxHead)
		if err != nil {
			return err
		}
		if string(again) != h.algorithm.der {
			return ErrList.Withf("The revocation list names two algorithms.")
		}
		bits, err := p.element(tagBitString, maxSignature)
		if err != nil {
			return err
		}
		in := cryptobyte.String(bits)
		if !in.ReadASN1BitStringAsBytes(&h.signature) {
			return ErrList.Withf("The signature of the revocation list cannot be read.")
		}
		h.signature = bytes.Clone(h.signature)
		return nil
	})
}

// signed reads TBSCertList.
func (p *parser) signed(h *Head, visit func(Entry) error) error {
	tag, err := p.peek()
	if err != nil {
		return err
	}
	v2 := tag == tagInteger
	if v2 {
		if _, err := p.element(tagInteger, 1); err != nil { // newTap has looked at it
			return err
		}
	}
	if _, err := p.element(tagSequence, maxHead); err != nil { // the algorithm, too
		return err
	}
	if h.Issuer, err = p.element(tagSequence, maxName); err != nil {
		return err
	}
	if err := p.times(h); err != nil {
		return err
	}
	if tag, err = p.peek(); err != nil {
		return err
	}
	if tag == tagSequence {
		if err := p.within(tagSequence, func() error { return p.entries(h, visit) }); err != nil {
			return err
		}
		if tag, err = p.peek(); err != nil {
			return err
		}
	}
	if tag != tagContext0 || !v2 {
		return nil // within says if there is something else
	}
	return p.within(tagContext0, func() error {
		b, err := p.element(tagSequence, maxTail)
		if err != nil {
			return err
		}
		_, _, n, _ := header(b)
		return h.extensions(b[n:])
	})
}

func (p *parser) times(h *Head) error {
	for n, to := range []*time.Time{&h.ThisUpdate, &h.NextUpdate} {
		tag, err := p.peek()
		if err != nil {
			return err
		}
		if tag != tagUTCTime && tag != tagGeneralizedTime {
			if n == 0 {
				return ErrList.Withf("The revocation list does not say when it was made.")
			}
			return nil
		}
		b, err := p.element(tag, 2*len(generalizedTime))
		if err != nil {
			return err
		}
		in := cryptobyte.String(b)
		if *to, err = readTime(&in); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) entries(h *Head, visit func(Entry) error) error {
	for p.left > 0 {
		tag, length, err := p.next()
		if err != nil {
			return err
		}
		if tag != tagSequence {
			return ErrList.Withf("An entry of the revocation list cannot be read.")
		}
		h.Entries++
		if visit == nil {
			if _, err := p.in.Discard(int(length)); err != nil {
				return cut(err)
			}
			p.left -= length
			continue
		}
		content, err := p.content(length, maxEntry)
		if err != nil {
			return err
		}
		e, err := parseEntry(content)
		if err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}
