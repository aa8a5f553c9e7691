package threshold

import (
	"sync"

	"github.com/bwesterb/go-ristretto"
	"github.com/cloudflare/circl/group"
)

// The group's arithmetic is circl's. Two of its products are most of what sealing and checking cost, and are taken from
// the library that circl itself is built on, whose other functions circl does not hand on: multiples of G₂, by a table
// (in constant time, a third of the cost), and combinations of public numbers, where time may tell them (half the cost).
// The test vectors and a comparison with circl hold that the results are the same.

// secondTable holds multiples of G₂.
var secondTable = sync.OnceValue(func() *ristretto.ScalarMultTable {
	var t ristretto.ScalarMultTable
	t.Compute(decoded(encoded(secondGenerator())))
	return &t
})

// timesSecond returns the encoding of s·G₂, in constant time.
func timesSecond(s group.Scalar) [PointSize]byte {
	k := scalarOf(s)
	defer k.SetZero()
	var p ristretto.Point
	var out [PointSize]byte
	p.ScalarMultTable(secondTable(), k).BytesInto(&out)
	return out
}

// publicCommitments returns the encodings of f·G − c·R and f·G₂ − c·R₂. The time that it takes tells f and c.
func publicCommitments(f, c group.Scalar, r, r2 Point) (w1, w2 [PointSize]byte) {
	fs, cs := scalarOf(f), scalarOf(c)
	var a, b ristretto.Point
	a.Sub(a.PublicScalarMultBase(fs), b.PublicScalarMult(decoded(r.enc), cs)).BytesInto(&w1)
	a.Sub(a.PublicScalarMultTable(secondTable(), fs), b.PublicScalarMult(decoded(r2.enc), cs)).BytesInto(&w2)
	return w1, w2
}

// encoded returns the encoding of an element, also of the identity.
func encoded(e group.Element) (out [PointSize]byte) {
	b, err := e.MarshalBinaryCompress()
	if err == nil { // circl has no path that fails
		copy(out[:], b)
	}
	clear(b)
	return out
}

// decoded decodes what is known to be an encoding.
func decoded(enc [PointSize]byte) *ristretto.Point {
	var p ristretto.Point
	if !p.SetBytes(&enc) {
		p.SetZero() // a Point holds nothing else than an encoding; this one would make every proof fail
	}
	return &p
}

func scalarOf(s group.Scalar) *ristretto.Scalar {
	var k ristretto.Scalar
	var enc [ScalarSize]byte
	b, err := s.MarshalBinary()
	if err == nil { // circl has no path that fails
		copy(enc[:], b)
	}
	k.SetBytes(&enc)
	clear(b)
	clear(enc[:])
	return &k
}
