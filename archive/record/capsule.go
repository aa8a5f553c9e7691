package record

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

var (
	// ErrRecord is returned for a record that was altered, put together from several, or made by nobody who knew what is in it.
	ErrRecord = fault.New(fault.Denied, "record-damaged", "This record is not as it was sealed.")
	// ErrNotOpened is returned when a record does not open with what was given.
	ErrNotOpened = fault.New(fault.Denied, "record-not-opened", "The record cannot be opened with this.")
)

const (
	dataKeySize = 32
	tagSize     = 16
	wrappedSize = dataKeySize + tagSize
	maxCapsule  = maxHeader + 512
)

// Capsule is the public part of a record. It tells nothing about the key to anybody, and agents need nothing else.
type Capsule struct {
	Header    Header
	KeyID     Hash // of the archive key Y: SHA-256 of its encoding
	InnerHash Hash // SHA-256 of the encrypted key
	Wrapped   [wrappedSize]byte
	R, R2     threshold.Point
	Proof     threshold.Proof

	raw []byte
}

// Bytes returns the canonical bytes.
func (c *Capsule) Bytes() []byte { return c.raw }

// Hash names the record, in cases and receipts. It stays when the record is rewrapped.
func (c *Capsule) Hash() Hash { return hashOf(c.raw) }

// ParseCapsule reads canonical bytes. It does not verify the proof.
func ParseCapsule(b []byte) (*Capsule, error) {
	r := newReader(b, kindCapsule, maxCapsule)
	head := r.blob16("header", maxHeader)
	c := &Capsule{KeyID: r.hash("archive key id"), InnerHash: r.hash("hash of the encrypted key")}
	copy(c.Wrapped[:], r.raw("wrapped data key", wrappedSize))
	c.R, c.R2 = r.point("R"), r.point("R₂")
	c.Proof = r.proof("proof")
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	if c.Header, err = ParseHeader(head); err != nil {
		return nil, err
	}
	c.raw = append([]byte(nil), b...)
	return c, nil
}

// VerifyProof checks that the capsule was made for the archive key y by someone who knew its secret, and that none of
// its parts comes from another record.
func (c *Capsule) VerifyProof(y threshold.Point) error {
	if Hash(threshold.KeyID(y)) != c.KeyID {
		return ErrRecord.Withf("This record was sealed to another archive key.")
	}
	if err := threshold.VerifyProof(y, c.R, c.R2, c.binding(), c.Proof); err != nil {
		return ErrRecord.Withf("The proof of this record does not hold: it was altered, or put together from others.").Because(err)
	}
	return nil
}

// binding is the hash of everything before R, R₂ and the proof.
func (c *Capsule) binding() [32]byte {
	return labelled(labelBinding, c.raw[:len(c.raw)-2*threshold.PointSize-threshold.ProofSize])
}

// header returns the header's bytes.
func (c *Capsule) header() []byte {
	n := int(c.raw[2])<<8 | int(c.raw[3])
	return c.raw[4 : 4+n]
}

// dataKey opens the data key with the shared point z of this record. The caller erases it.
func (c *Capsule) dataKey(z, y threshold.Point) ([]byte, error) {
	k, err := threshold.DeriveKey(z, c.R, y, c.header())
	if err != nil {
		return nil, ErrNotOpened.Because(err)
	}
	defer clear(k)
	key, err := gcmOpen(k, c.Wrapped[:], c.wrappedAAD())
	if err != nil {
		return nil, ErrNotOpened.Withf("These agents' answers do not open this record.").Because(err)
	}
	return key, nil
}

func (c *Capsule) wrappedAAD() []byte {
	return append(append([]byte(nil), c.header()...), c.InnerHash[:]...)
}

// assemble writes the capsule down and proves it. All fields but R, R₂, the proof and raw are set; a zero nonce is
// drawn. Whoever calls it parses and verifies what comes out.
func (c *Capsule) assemble(header []byte, e *threshold.Encapsulation, nonce threshold.Scalar) error {
	w := newWriter(kindCapsule)
	w.blob16(header)
	w.raw(c.KeyID[:])
	w.raw(c.InnerHash[:])
	w.raw(c.Wrapped[:])
	if w.err != nil {
		return w.err
	}
	var err error
	binding := labelled(labelBinding, w.b)
	if nonce == (threshold.Scalar{}) {
		c.Proof, err = e.Prove(binding)
	} else {
		c.Proof, err = e.ProveWith(binding, nonce)
	}
	if err != nil {
		return err
	}
	c.R, c.R2 = e.R, e.R2
	w.raw(c.R.Bytes())
	w.raw(c.R2.Bytes())
	w.raw(c.Proof[:])
	c.raw = w.b
	return w.err
}

// zeroNonce is right for every key of this format, because each encrypts exactly one message.
var zeroNonce [12]byte

func gcmSeal(key, plaintext, aad []byte) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return g.Seal(nil, zeroNonce[:], plaintext, aad), nil
}

func gcmOpen(key, ciphertext, aad []byte) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return g.Open(nil, zeroNonce[:], ciphertext, aad)
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}
