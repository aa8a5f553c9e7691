package threshold

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/cloudflare/circl/group"
)

// Encapsulation is one use of an archive key: the public pair R = r·G and R₂ = r·G₂, and, until Wipe, the secret r and
// the shared point Z = r·Y, from which the key encryption key is derived. It is for one goroutine.
type Encapsulation struct {
	R, R2 Point

	y Point
	z Point  // secret
	r Scalar // secret
}

// Encapsulate draws r and makes a fresh encapsulation to the archive key y. The caller calls Wipe when done.
func Encapsulate(y Point) (*Encapsulation, error) { return EncapsulateWith(y, RandomScalar()) }

// EncapsulateWith is Encapsulate with a given r, which it owns from then on. It exists for test vectors: an r used twice
// links two records, an r that is known opens one.
func EncapsulateWith(y Point, r Scalar) (*Encapsulation, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	e := &Encapsulation{y: y, r: r}
	var err error
	if e.R, err = r.Point(); err != nil {
		return nil, err
	}
	if e.R2, err = pointFrom(timesSecond(r.s)); err != nil {
		return nil, err
	}
	if e.z, err = e.Shared(); err != nil {
		return nil, err
	}
	return e, nil
}

// Key returns the key encryption key, see DeriveKey.
func (e *Encapsulation) Key(info []byte) ([]byte, error) { return DeriveKey(e.z, e.R, e.y, info) }

// Prove proves that whoever made (R, R₂) knew r, and ties the pair to binding, a hash of all that the ciphertext is
// about. Without it agents would be a decryption oracle: R' = k·R of one record could be shown to them as another.
func (e *Encapsulation) Prove(binding [32]byte) (Proof, error) {
	w := nonce(e.r, append(e.R.Bytes(), binding[:]...))
	defer w.Wipe()
	return e.ProveWith(binding, w)
}

// ProveWith is Prove with a given nonce. It exists for test vectors: a nonce used twice reveals r.
func (e *Encapsulation) ProveWith(binding [32]byte, w Scalar) (Proof, error) {
	if err := e.r.check(); err != nil {
		return Proof{}, err
	}
	if err := w.check(); err != nil {
		return Proof{}, err
	}
	c := sealChallenge(e.y, e.R, e.R2, encoded(curve.NewElement().MulGen(w.s)), timesSecond(w.s), binding)
	f := curve.NewScalar()
	f.Add(f.Mul(c, e.r.s), w.s)
	return packProof(c, f)
}

// Wipe erases r and Z.
func (e *Encapsulation) Wipe() {
	e.r.Wipe()
	e.z.Wipe()
}

// VerifyProof checks that the pair (r, r2) belongs to binding under the archive key y and was made by someone who knew
// its logarithm. Everybody can do it; agents must, before they compute anything with r.
func VerifyProof(y, r, r2 Point, binding [32]byte, p Proof) error {
	c, f, err := p.scalars()
	if err != nil {
		return err
	}
	if !y.ok || !r.ok || !r2.ok {
		return ErrEncoding.Withf("A point is missing.")
	}
	// W = f·G − c·R and W₂ = f·G₂ − c·R₂ are what the prover hashed.
	w1, w2 := publicCommitments(f, c, r, r2)
	want := sealChallenge(y, r, r2, w1, w2, binding)
	b, err := want.MarshalBinary()
	if err != nil {
		return ErrProof.Because(err)
	}
	if subtle.ConstantTimeCompare(b, p[:ScalarSize]) != 1 {
		return ErrProof.Withf("The proof of this ciphertext does not hold: it was altered, or made from another.")
	}
	return nil
}

// sealChallenge hashes the statement: every part has a fixed length, so that the concatenation is unambiguous.
func sealChallenge(y, r, r2 Point, w1, w2 [PointSize]byte, binding [32]byte) group.Scalar {
	input := make([]byte, 0, 5*PointSize+len(binding))
	for _, part := range [][PointSize]byte{y.enc, r.enc, r2.enc, w1, w2, binding} {
		input = append(input, part[:]...)
	}
	return curve.HashToScalar(input, []byte(labelSeal))
}

func packProof(c, f group.Scalar) (Proof, error) {
	var p Proof
	cb, err := c.MarshalBinary()
	if err != nil {
		return p, ErrEncoding.Because(err)
	}
	fb, err := f.MarshalBinary()
	if err != nil {
		return p, ErrEncoding.Because(err)
	}
	copy(p[:ScalarSize], cb)
	copy(p[ScalarSize:], fb)
	return p, nil
}

// DeriveKey returns the 32-byte key encryption key of one ciphertext: HKDF-SHA256 over the shared point z, with salt
// R ‖ Y and info = label ‖ 0x00 ‖ info. The caller erases it.
func DeriveKey(z, r, y Point, info []byte) ([]byte, error) {
	if !z.ok || !r.ok || !y.ok {
		return nil, ErrEncoding.Withf("A point is missing or was erased.")
	}
	salt := append(append(make([]byte, 0, 2*PointSize), r.enc[:]...), y.enc[:]...)
	k, err := hkdf.Key(sha256.New, z.enc[:], salt, labelKey+"\x00"+string(info), 32)
	if err != nil {
		return nil, ErrEncoding.Because(err)
	}
	return k, nil
}

// Shared computes Z = r·Y again, independently of what Key used, for opening once more what was just sealed: a fault of
// the machine would otherwise make a record that nobody ever opens. The caller erases it.
func (e *Encapsulation) Shared() (Point, error) {
	if err := e.r.check(); err != nil {
		return Point{}, err
	}
	ye, err := e.y.element()
	if err != nil {
		return Point{}, err
	}
	return pointOf(ye.Mul(ye, e.r.s))
}
