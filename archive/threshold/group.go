package threshold

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/cloudflare/circl/group"

	"github.com/sealpost/sealpost/internal/fault"
)

// Lengths of the encodings, in bytes (RFC 9496: points are compressed, scalars little-endian and reduced).
const (
	PointSize  = 32
	ScalarSize = 32
)

// The labels that separate every use of a hash from all others. They are part of the format and never change.
const (
	labelG2       = "Sealpost archive v1 second generator"
	labelKey      = "Sealpost archive v1 key encryption"
	labelSeal     = "Sealpost archive v1 ciphertext proof"
	labelPartials = "Sealpost archive v1 partial decryptions"
	labelNonce    = "Sealpost archive v1 proof nonce"
)

// ErrEncoding is returned for bytes that are no canonical point, scalar or proof, for the identity and for zero.
var ErrEncoding = fault.New(fault.Malformed, "threshold-encoding", "This is not the canonical encoding of a group element.")

var curve = group.Ristretto255

// secondGenerator hashes a fixed text to the group: G₂ has nothing up its sleeve.
var secondGenerator = sync.OnceValue(func() group.Element {
	return curve.HashToElement([]byte(labelG2), []byte(labelG2))
})

// Point is an element of ristretto255 other than the identity. Its zero value is no point: every function of this
// package refuses it. Points may be compared with ==.
type Point struct {
	enc [PointSize]byte
	ok  bool
}

// ParsePoint decodes a canonical encoding (RFC 9496, section 4.3.1) and refuses the identity.
func ParsePoint(b []byte) (Point, error) {
	if len(b) != PointSize {
		return Point{}, ErrEncoding.Withf("A point has %d bytes, not %d.", PointSize, len(b))
	}
	e := curve.NewElement()
	if err := e.UnmarshalBinary(b); err != nil {
		return Point{}, ErrEncoding.Withf("These bytes are not the canonical encoding of a point.").Because(err)
	}
	return pointOf(e)
}

// pointOf encodes e and refuses the identity.
func pointOf(e group.Element) (Point, error) {
	b, err := e.MarshalBinaryCompress()
	if err != nil {
		return Point{}, ErrEncoding.Because(err)
	}
	defer clear(b)
	return pointFrom([PointSize]byte(b))
}

// pointFrom is the point with an encoding that was just made. That of the identity, and only that, is all zero.
func pointFrom(enc [PointSize]byte) (Point, error) {
	if enc == [PointSize]byte{} {
		return Point{}, ErrEncoding.Withf("The identity is not accepted as a point.")
	}
	return Point{enc: enc, ok: true}, nil
}

// element decodes p again. It is always a fresh value, because circl's elements are changed by their methods.
func (p Point) element() (group.Element, error) {
	if !p.ok {
		return nil, ErrEncoding.Withf("A point is missing.")
	}
	e := curve.NewElement()
	if err := e.UnmarshalBinary(p.enc[:]); err != nil {
		return nil, ErrEncoding.Because(err)
	}
	return e, nil
}

// Bytes returns the canonical encoding, 32 bytes.
func (p Point) Bytes() []byte { return p.enc[:] }

// IsZero reports whether p is the zero value, which is no point.
func (p Point) IsZero() bool { return !p.ok }

// Wipe erases a point that is secret, such as the one that Combine returns.
func (p *Point) Wipe() { *p = Point{} }

// String returns the encoding in hexadecimal. Points are public, except the shared secret, which stays inside this
// package's functions and in what Combine returns.
func (p Point) String() string { return hex.EncodeToString(p.enc[:]) }

// KeyID returns the name of an archive key: SHA-256 of Y's encoding.
func KeyID(y Point) [32]byte { return sha256.Sum256(y.enc[:]) }

// Scalar is a secret number modulo the order of the group, never zero. Its zero value is no scalar: every function of
// this package refuses it. Printing one shows nothing. A copy of a Scalar shares its memory, so that one Wipe erases all.
type Scalar struct{ s group.Scalar }

// RandomScalar draws a scalar from crypto/rand.
func RandomScalar() Scalar { return Scalar{curve.RandomNonZeroScalar(nil)} }

// ParseScalar decodes a canonical (reduced, little-endian) encoding and refuses zero. The caller still owns, and erases, b.
func ParseScalar(b []byte) (Scalar, error) {
	s := curve.NewScalar()
	if len(b) != ScalarSize || s.UnmarshalBinary(b) != nil {
		return Scalar{}, ErrEncoding.Withf("These bytes are not the canonical encoding of a scalar.")
	}
	if s.IsZero() {
		return Scalar{}, ErrEncoding.Withf("Zero is not accepted as a scalar.")
	}
	return Scalar{s}, nil
}

// Bytes returns the canonical encoding, 32 bytes; the caller erases it.
func (s Scalar) Bytes() []byte {
	if s.s == nil {
		return make([]byte, ScalarSize)
	}
	b, err := s.s.MarshalBinary()
	if err != nil { // circl has no path that fails
		return make([]byte, ScalarSize)
	}
	return b
}

// Equal compares in constant time.
func (s Scalar) Equal(t Scalar) bool {
	a, b := s.Bytes(), t.Bytes()
	defer clear(a)
	defer clear(b)
	return subtle.ConstantTimeCompare(a, b) == 1
}

// Wipe erases the scalar and every copy of it; afterwards it is refused everywhere.
func (s Scalar) Wipe() {
	if s.s != nil {
		s.s.SetUint64(0)
	}
}

// Point returns s·G.
func (s Scalar) Point() (Point, error) {
	if err := s.check(); err != nil {
		return Point{}, err
	}
	return pointOf(curve.NewElement().MulGen(s.s))
}

// Format keeps secrets out of logs and errors whatever the verb.
func (s Scalar) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret scalar]")) }

// check refuses scalars that were never set or have been erased.
func (s Scalar) check() error {
	if s.s == nil || s.s.IsZero() {
		return ErrEncoding.Withf("A scalar is missing or was erased.")
	}
	return nil
}
