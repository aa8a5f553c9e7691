package record

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/cryptobyte"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrFormat is returned for bytes that are not the one canonical encoding of what they should be, and for values that
// have none.
var ErrFormat = fault.New(fault.Malformed, "archive-format", "This is not in the archive's format.")

// version is the first byte of every object.
const version = 1

// kind is the second byte of every object: no object can be read, or its signature taken, as another.
type kind byte

const (
	kindHeader      kind = 1
	kindCapsule     kind = 2
	kindRecord      kind = 3
	kindInner       kind = 4
	kindPlan        kind = 5
	kindCommit      kind = 6
	kindReveal      kind = 7
	kindAcknowledge kind = 8
	kindRoster      kind = 9
	kindSubShare    kind = 10
	kindShare       kind = 11
	kindReceipt     kind = 12
	kindCase        kind = 13
	kindApproval    kind = 14
	kindPartials    kind = 15
	kindState       kind = 16
	kindAnswer      kind = 17
	kindDispute     kind = 18
	kindConsent     kind = 19
)

var kindNames = map[kind]string{
	kindHeader: "header", kindCapsule: "capsule", kindRecord: "record", kindInner: "inner record", kindPlan: "plan",
	kindCommit: "commit message", kindReveal: "reveal message", kindAcknowledge: "acknowledgement", kindRoster: "roster",
	kindSubShare: "sub-share", kindShare: "share", kindReceipt: "receipt", kindCase: "case", kindApproval: "approval",
	kindPartials: "partials", kindState: "ceremony state", kindAnswer: "answer", kindDispute: "dispute", kindConsent: "consent",
}

// Limits of single fields in bytes: generous for what they hold, and a bound for what a parser allocates.
const (
	maxCertificate = 1 << 14
	maxSealed      = 1 << 16 // CMS with one share in it
	maxSignature   = 1 << 13
	maxTime        = 253402300799 // 9999-12-31T23:59:59Z
)

// writer builds an encoding. It checks nothing but lengths: every encoder parses what it wrote, so that the rules are
// written down once.
type writer struct {
	b   []byte
	err error
}

func newWriter(k kind) *writer { return newWriterFor(k, 256) }

// newWriterFor expects up to n bytes: what holds secrets must not leave copies behind by growing.
func newWriterFor(k kind, n int) *writer {
	return &writer{b: append(make([]byte, 0, n), version, byte(k))}
}

func (w *writer) raw(b []byte)     { w.b = append(w.b, b...) }
func (w *writer) u8(v uint8)       { w.b = append(w.b, v) }
func (w *writer) u16(v uint16)     { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32)     { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) time(t time.Time) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(t.Unix())) }
func (w *writer) line(s string)    { w.blob16([]byte(s)) }

func (w *writer) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) count16(n int) {
	if n > math.MaxUint16 {
		w.err = ErrFormat.Withf("A list of %d entries is too long.", n)
	}
	w.u16(uint16(n))
}

func (w *writer) blob16(b []byte) {
	w.count16(len(b))
	w.raw(b)
}

func (w *writer) blob32(b []byte) {
	if len(b) > math.MaxUint32 {
		w.err = ErrFormat.Withf("%d bytes are too long.", len(b))
	}
	w.u32(uint32(len(b)))
	w.raw(b)
}

// reader takes an encoding apart. After the first fault it yields zero values and keeps that fault, so that parsers read
// straight down and ask once.
type reader struct {
	what string
	s    cryptobyte.String
	err  error
}

// newReader checks size, version and kind.
func newReader(b []byte, k kind, max int) *reader {
	r := &reader{what: kindNames[k], s: b}
	if len(b) > max {
		r.fail("size", "is larger than what is accepted")
	}
	if v := r.u8("version"); r.err == nil && v != version {
		r.fail("version", "is not known to this program")
	}
	if v := r.u8("kind"); r.err == nil && v != byte(k) {
		r.fail("kind", "is another")
	}
	return r
}

func (r *reader) fail(field, fault string) {
	if r.err == nil {
		r.err = ErrFormat.Withf("The %s of this %s %s.", field, r.what, fault)
	}
}

func (r *reader) failed(field string, err error) {
	if r.err == nil {
		r.err = ErrFormat.Withf("The %s of this %s is not acceptable: %s", field, r.what, detail(err)).Because(err)
	}
}

// detail returns the sentence of a fault that may be shown.
func detail(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return "unknown fault."
}

// done refuses trailing bytes and returns the first fault.
func (r *reader) done() error {
	if r.err == nil && !r.s.Empty() {
		r.err = ErrFormat.Withf("This %s has %d bytes too many.", r.what, len(r.s))
	}
	return r.err
}

func (r *reader) raw(field string, n int) []byte {
	var b []byte
	if r.err != nil {
		return make([]byte, min(n, 64))
	}
	if !r.s.ReadBytes(&b, n) {
		r.fail(field, "is cut off")
		return make([]byte, min(n, 64))
	}
	return b
}

func (r *reader) u8(field string) uint8   { return r.raw(field, 1)[0] }
func (r *reader) u16(field string) uint16 { return binary.BigEndian.Uint16(r.raw(field, 2)) }
func (r *reader) u32(field string) uint32 { return binary.BigEndian.Uint32(r.raw(field, 4)) }

func (r *reader) hash(field string) Hash { return Hash(r.raw(field, 32)) }

func (r *reader) uuid(field string) uuid.UUID { return uuid.UUID(r.raw(field, 16)) }

func (r *reader) flag(field string) bool {
	v := r.u8(field)
	if v > 1 {
		r.fail(field, "is neither yes nor no")
	}
	return v == 1
}

func (r *reader) time(field string) time.Time {
	v := binary.BigEndian.Uint64(r.raw(field, 8))
	if r.err == nil && (v == 0 || v > maxTime) {
		r.fail(field, "is no time")
	}
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(int64(v), 0).UTC()
}

func (r *reader) blob16(field string, max int) []byte {
	n := int(r.u16(field))
	return r.sized(field, n, max)
}

func (r *reader) blob32(field string, max int) []byte {
	n := r.u32(field)
	if uint64(n) > uint64(max) {
		r.fail(field, "is too long")
		return nil
	}
	return r.sized(field, int(n), max)
}

func (r *reader) sized(field string, n, max int) []byte {
	if n > max {
		r.fail(field, "is too long")
	}
	if r.err != nil {
		return nil
	}
	return r.raw(field, n)
}

// count reads the number of entries of a list and refuses one that cannot fit into the remaining bytes.
func (r *reader) count16(field string, max, entry int) int {
	return r.counted(field, int(r.u16(field)), max, entry)
}

func (r *reader) count32(field string, max, entry int) int {
	n := r.u32(field)
	if uint64(n) > uint64(max) {
		r.fail(field, "is too long a list")
		return 0
	}
	return r.counted(field, int(n), max, entry)
}

func (r *reader) counted(field string, n, max, entry int) int {
	if n > max || n*entry > len(r.s) {
		r.fail(field, "is too long a list")
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) line(field string, max int) string { return r.text(field, max, checkLine) }

func (r *reader) text(field string, max int, check func(string) error) string {
	s := string(r.blob16(field, max))
	if r.err != nil {
		return ""
	}
	if err := check(s); err != nil {
		r.failed(field, err)
		return ""
	}
	return s
}

func (r *reader) point(field string) threshold.Point {
	b := r.raw(field, threshold.PointSize)
	if r.err != nil {
		return threshold.Point{}
	}
	p, err := threshold.ParsePoint(b)
	if err != nil {
		r.failed(field, err)
	}
	return p
}

func (r *reader) points(field string, n int) []threshold.Point {
	out := make([]threshold.Point, 0, n)
	for range n {
		out = append(out, r.point(field))
		if r.err != nil {
			return nil
		}
	}
	return out
}

func (r *reader) proof(field string) threshold.Proof {
	b := r.raw(field, threshold.ProofSize)
	if r.err != nil {
		return threshold.Proof{}
	}
	p, err := threshold.ParseProof(b)
	if err != nil {
		r.failed(field, err)
	}
	return p
}

func (r *reader) scalar(field string) threshold.Scalar {
	b := r.raw(field, threshold.ScalarSize)
	if r.err != nil {
		return threshold.Scalar{}
	}
	s, err := threshold.ParseScalar(b)
	if err != nil {
		r.failed(field, err)
	}
	return s
}
