package threshold_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive/threshold"
)

// fixed returns the scalar that tests and vectors call by this name: SHA-256 with the upper four bits cleared, which is
// below the order of the group.
func fixed(t testing.TB, name string) threshold.Scalar {
	t.Helper()
	b := sha256.Sum256([]byte(name))
	b[31] &= 0x0f
	s, err := threshold.ParseScalar(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pointOf(t testing.TB, s threshold.Scalar) threshold.Point {
	t.Helper()
	p, err := s.Point()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// badPoints are those of RFC 9496, appendix A.3, and the identity.
var badPoints = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
	"c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
	"26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
	"4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
	"3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
	"a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// badScalars are zero, the order of the group and numbers above it.
var badScalars = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	"eed3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	"0000000000000000000000000000000000000000000000000000000000000020",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestOnlyCanonicalEncodings(t *testing.T) {
	t.Parallel()
	for _, s := range badPoints {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := threshold.ParsePoint(b); !errors.Is(err, threshold.ErrEncoding) {
			t.Errorf("point %s: %v", s, err)
		}
	}
	for _, s := range badScalars {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := threshold.ParseScalar(b); !errors.Is(err, threshold.ErrEncoding) {
			t.Errorf("scalar %s: %v", s, err)
		}
		if s == badScalars[0] {
			continue // zero is a possible, if absurd, response
		}
		for _, proof := range [][]byte{append(b[:32:32], make([]byte, 32)...), append(make([]byte, 32), b...)} {
			if _, err := threshold.ParseProof(proof); !errors.Is(err, threshold.ErrEncoding) {
				t.Errorf("proof %x: %v", proof, err)
			}
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := threshold.ParsePoint(make([]byte, n)); err == nil {
			t.Errorf("a point of %d bytes is accepted", n)
		}
		if _, err := threshold.ParseScalar(make([]byte, n)); err == nil {
			t.Errorf("a scalar of %d bytes is accepted", n)
		}
	}
}

func TestGeneratorIsThatOfTheRFC(t *testing.T) {
	t.Parallel()
	one := make([]byte, 32)
	one[0] = 1
	s, err := threshold.ParseScalar(one)
	if err != nil {
		t.Fatal(err)
	}
	const want = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76" // RFC 9496, appendix A.1
	if got := pointOf(t, s).String(); got != want {
		t.Errorf("G = %s, want %s", got, want)
	}
}

func TestZeroValuesAreRefused(t *testing.T) {
	t.Parallel()
	var p threshold.Point
	var s threshold.Scalar
	good := pointOf(t, fixed(t, "x"))
	if _, err := s.Point(); err == nil {
		t.Error("a zero scalar has a point")
	}
	if _, err := threshold.Encapsulate(p); err == nil {
		t.Error("encapsulated to no key")
	}
	if _, err := threshold.EncapsulateWith(good, s); err == nil {
		t.Error("encapsulated with no scalar")
	}
	if _, err := threshold.Decrypt(threshold.Share{Agent: 1}, []threshold.Point{good}); err == nil {
		t.Error("decrypted with no share")
	}
	if err := threshold.VerifyProof(p, p, p, [32]byte{}, threshold.Proof{}); err == nil {
		t.Error("a proof of nothing holds")
	}
	if err := threshold.VerifyProof(good, good, good, [32]byte{}, threshold.Proof{}); err == nil {
		t.Error("the zero proof holds")
	}
	if err := threshold.VerifyPartials(good, threshold.Context{Agent: 1, Key: good}, []threshold.Point{good}, []threshold.Point{good}, threshold.Proof{}); err == nil {
		t.Error("the zero proof of partials holds")
	}
	if _, err := threshold.DeriveKey(p, good, good, nil); err == nil {
		t.Error("derived a key from no point")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	s := fixed(t, "secret")
	b := s.Bytes()
	share := threshold.Share{Agent: 3, Scalar: s}
	text := fmt.Sprintf("%v %+v %#v %s %x %d %q %v %+v %x", s, s, s, s, s, s, s, share, share, &share)
	reversed := bytes.Clone(b)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	for _, secret := range []string{hex.EncodeToString(b), hex.EncodeToString(reversed), string(b), fmt.Sprint(b)} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	s := fixed(t, "secret")
	c := s
	s.Wipe()
	if !bytes.Equal(c.Bytes(), make([]byte, 32)) {
		t.Error("a copy survived")
	}
	if _, err := c.Point(); err == nil {
		t.Error("an erased scalar is used")
	}
	p, err := threshold.NewPolynomial(3, threshold.Scalar{})
	if err != nil {
		t.Fatal(err)
	}
	kept := p.Coefficients()
	p.Wipe()
	for _, k := range kept {
		if !bytes.Equal(k.Bytes(), make([]byte, 32)) {
			t.Error("a coefficient survived")
		}
	}
	e, err := threshold.Encapsulate(pointOf(t, fixed(t, "x")))
	if err != nil {
		t.Fatal(err)
	}
	e.Wipe()
	if _, err := e.Key(nil); err == nil {
		t.Error("an erased encapsulation has a key")
	}
	if _, err := e.Prove([32]byte{}); err == nil {
		t.Error("an erased encapsulation proves")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(badPoints, badScalars...) {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...))
	}
	f.Add(pointOf(f, fixed(f, "x")).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := threshold.ParsePoint(b); err == nil && !bytes.Equal(p.Bytes(), b) {
			t.Errorf("point %x is encoded as %x", b, p.Bytes())
		}
		if s, err := threshold.ParseScalar(b); err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Errorf("scalar %x is encoded as %x", b, s.Bytes())
		}
		if p, err := threshold.ParseProof(b); err == nil && !bytes.Equal(p[:], b) {
			t.Errorf("proof %x is encoded as %x", b, p[:])
		}
	})
}
