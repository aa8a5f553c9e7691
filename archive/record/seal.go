package record

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/sealpost/sealpost/archive/threshold"
)

// Seal makes a record of a key: pkcs8, re-encoded and checked by the caller, who also erases it. key is Roster.Key of a
// roster that was verified against its pin. Before the secrets are forgotten, the record's bytes are parsed, verified and
// opened once more, all but the server's layer, for which the private key is not here.
func Seal(key threshold.Point, wrapping *WrappingPublicKey, h Header, pkcs8 []byte) (*Record, error) {
	s := sealSecrets{dataKey: make([]byte, dataKeySize), r: threshold.RandomScalar()}
	if _, err := rand.Read(s.dataKey); err != nil {
		return nil, err
	}
	return seal(key, wrapping, h, pkcs8, s)
}

// sealSecrets is the randomness of one record; test vectors fix it. A zero nonce is drawn.
type sealSecrets struct {
	dataKey  []byte
	r, nonce threshold.Scalar
}

func (s sealSecrets) wipe() {
	clear(s.dataKey)
	s.r.Wipe()
	s.nonce.Wipe()
}

func seal(key threshold.Point, wrapping *WrappingPublicKey, h Header, pkcs8 []byte, s sealSecrets) (*Record, error) {
	defer s.wipe()
	if len(pkcs8) == 0 || len(pkcs8) > MaxPKCS8 {
		return nil, ErrFormat.Withf("A key has between 1 and %d bytes, not %d.", MaxPKCS8, len(pkcs8))
	}
	header, err := h.Encode()
	if err != nil {
		return nil, err
	}
	inner, err := gcmSeal(s.dataKey, pkcs8, header)
	if err != nil {
		return nil, err
	}
	e, err := threshold.EncapsulateWith(key, s.r)
	if err != nil {
		return nil, err
	}
	defer e.Wipe()
	c, err := encapsulate(key, e, header, hashOf(inner), s.dataKey, s.nonce)
	if err != nil {
		return nil, err
	}
	rec, err := wrap(c, wrapping, inner) // parses what it wrote
	if err != nil {
		return nil, err
	}
	if err := rec.recheck(key, e, inner, pkcs8); err != nil {
		return nil, err
	}
	return rec, nil
}

// encapsulate wraps a data key to the archive key and proves it.
func encapsulate(key threshold.Point, e *threshold.Encapsulation, header []byte, inner Hash, dataKey []byte, nonce threshold.Scalar) (*Capsule, error) {
	k, err := e.Key(header)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	wrapped, err := gcmSeal(k, dataKey, append(append([]byte(nil), header...), inner[:]...))
	if err != nil {
		return nil, err
	}
	c := &Capsule{KeyID: threshold.KeyID(key), InnerHash: inner}
	copy(c.Wrapped[:], wrapped)
	return c, c.assemble(header, e, nonce)
}

// recheck opens a record that was just made and parsed from its bytes, with the secret that is about to be forgotten.
func (r *Record) recheck(key threshold.Point, e *threshold.Encapsulation, inner, pkcs8 []byte) error {
	if len(r.Outer) != len(inner)+hpkeOverhead {
		return ErrRecord.Withf("The record that was just made has a layer of the wrong length.")
	}
	in, err := innerOf(r.Capsule, inner)
	if err != nil {
		return err
	}
	if err := r.Capsule.VerifyProof(key); err != nil {
		return err
	}
	z, err := e.Shared()
	if err != nil {
		return err
	}
	defer z.Wipe()
	again, err := in.openProven(z, key)
	if err != nil {
		return err
	}
	defer clear(again)
	if subtle.ConstantTimeCompare(again, pkcs8) != 1 {
		return ErrRecord.Withf("The record that was just made opens to something else.")
	}
	return nil
}

// Rekey seals the record's data key to another archive key, for when an old one must no longer open anything: z is the
// record's shared point under the old key. The encrypted key is neither needed nor seen. Adopt puts the new capsule in place.
func (c *Capsule) Rekey(z, from, to threshold.Point) (*Capsule, error) {
	if err := c.VerifyProof(from); err != nil {
		return nil, err
	}
	dataKey, err := c.dataKey(z, from)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	e, err := threshold.Encapsulate(to)
	if err != nil {
		return nil, err
	}
	defer e.Wipe()
	made, err := encapsulate(to, e, c.header(), c.InnerHash, dataKey, threshold.Scalar{})
	if err != nil {
		return nil, err
	}
	n, err := ParseCapsule(made.raw)
	if err != nil {
		return nil, err
	}
	if err := n.VerifyProof(to); err != nil {
		return nil, err
	}
	shared, err := e.Shared()
	if err != nil {
		return nil, err
	}
	defer shared.Wipe()
	again, err := n.dataKey(shared, to)
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if subtle.ConstantTimeCompare(again, dataKey) != 1 {
		return nil, ErrRecord.Withf("The capsule that was just made opens to another data key.")
	}
	return n, nil
}
