package threshold_test

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/archive/threshold"
)

// The products that are not circl's are the same as circl's, at the ends of the scalars' range too.
func TestProductsAreCirclsOwn(t *testing.T) {
	t.Parallel()
	// The group's order minus one, little-endian (RFC 9496, section 4).
	last := []byte{0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	scalars := []threshold.Scalar{small(t, 1), small(t, 2), small(t, 255), parse(t, last)}
	for range 60 {
		scalars = append(scalars, threshold.RandomScalar())
	}
	for i, s := range scalars {
		if got, want := threshold.TimesSecond(s); got != want {
			t.Errorf("s·G₂ is %x, circl says %x", got, want)
		}
		r, err := scalars[(i+7)%len(scalars)].Point()
		if err != nil {
			t.Fatal(err)
		}
		r2, err := scalars[(i+9)%len(scalars)].Point()
		if err != nil {
			t.Fatal(err)
		}
		got, want, err := threshold.PublicCommitments(s, scalars[(i+1)%len(scalars)], r, r2)
		if err != nil || got != want {
			t.Errorf("the commitments are %x, circl says %x, %v", got, want, err)
		}
	}
}

func small(t *testing.T, n byte) threshold.Scalar {
	return parse(t, append([]byte{n}, bytes.Repeat([]byte{0}, threshold.ScalarSize-1)...))
}

func parse(t *testing.T, b []byte) threshold.Scalar {
	t.Helper()
	s, err := threshold.ParseScalar(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
