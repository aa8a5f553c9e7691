package record

import (
	"github.com/sealpost/sealpost/archive/threshold"
)

const (
	// MaxPKCS8 is the size in bytes of the largest key that is kept.
	MaxPKCS8 = 1 << 17

	maxInner       = MaxPKCS8 + tagSize
	hpkeOverhead   = 1120 + tagSize // encapsulated key of MLKEM768-X25519, and the tag
	maxOuter       = maxInner + hpkeOverhead
	maxRecord      = maxOuter + maxCapsule + 64
	maxInnerRecord = maxInner + maxCapsule + 64
	minInner       = tagSize + 1
	minOuter       = minInner + hpkeOverhead
)

// Record is what the archive stores: the capsule, and the encrypted key under the server's layer.
type Record struct {
	Capsule     *Capsule
	WrappingKey Hash // id
	Outer       []byte

	raw []byte
}

// Bytes returns the canonical bytes.
func (r *Record) Bytes() []byte { return r.raw }

// ParseRecord reads canonical bytes. It does not verify the proof.
func ParseRecord(b []byte) (*Record, error) {
	r := newReader(b, kindRecord, maxRecord)
	capsule := r.blob16("capsule", maxCapsule)
	rec := &Record{WrappingKey: r.hash("wrapping key id")}
	rec.Outer = append([]byte(nil), r.blob32("encrypted key", maxOuter)...)
	if len(rec.Outer) < minOuter {
		r.fail("encrypted key", "is too short")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	if rec.Capsule, err = ParseCapsule(capsule); err != nil {
		return nil, err
	}
	rec.raw = append([]byte(nil), b...)
	return rec, nil
}

// wrap puts the server's layer on inner.
func wrap(c *Capsule, key *WrappingPublicKey, inner []byte) (*Record, error) {
	rest := recordRest(c, key.id)
	if rest.err != nil {
		return nil, rest.err
	}
	outer, err := key.seal(labelled(labelWrapping, rest.b), inner)
	if err != nil {
		return nil, err
	}
	return recordOf(c, key.id, outer)
}

// recordRest is everything of a record but its outer layer, which is bound to it.
func recordRest(c *Capsule, wrappingKey Hash) *writer {
	w := newWriter(kindRecord)
	w.blob16(c.raw)
	w.raw(wrappingKey[:])
	return w
}

func recordOf(c *Capsule, wrappingKey Hash, outer []byte) (*Record, error) {
	w := recordRest(c, wrappingKey)
	w.blob32(outer)
	if w.err != nil {
		return nil, w.err
	}
	return ParseRecord(w.b)
}

// UnwrapOuter takes the server's layer off, with the one of the keys that put it on. What it returns is opened by the
// agents' answers and so goes to the recipient of a released case alone.
func (r *Record) UnwrapOuter(keys ...*WrappingKey) (*InnerRecord, error) {
	for _, k := range keys {
		if k.ID() != r.WrappingKey {
			continue
		}
		inner, err := k.open(labelled(labelWrapping, recordRest(r.Capsule, r.WrappingKey).b), r.Outer)
		if err != nil {
			return nil, ErrRecord.Withf("The outer layer of this record does not open: it was altered, or belongs to another record.").Because(err)
		}
		return innerOf(r.Capsule, inner)
	}
	return nil, ErrWrappingKey.Withf("This record was wrapped with the key %s, which is not configured.", r.WrappingKey)
}

// Rewrap moves the record from one of the old wrapping keys to a new one. Its capsule and so its hash stay.
func (r *Record) Rewrap(to *WrappingPublicKey, old ...*WrappingKey) (*Record, error) {
	return r.rewrapAs(r.Capsule, to, old)
}

// Adopt moves the record to a capsule that Rekey made of its own, and wraps it anew.
func (r *Record) Adopt(c *Capsule, to *WrappingPublicKey, old ...*WrappingKey) (*Record, error) {
	if string(c.header()) != string(r.Capsule.header()) || c.InnerHash != r.Capsule.InnerHash {
		return nil, ErrRecord.Withf("This capsule belongs to another record.")
	}
	return r.rewrapAs(c, to, old)
}

func (r *Record) rewrapAs(c *Capsule, to *WrappingPublicKey, old []*WrappingKey) (*Record, error) {
	in, err := r.UnwrapOuter(old...)
	if err != nil {
		return nil, err
	}
	return wrap(c, to, in.Inner)
}

// InnerRecord is a record without the server's layer: with the answers of t agents it is open.
type InnerRecord struct {
	Capsule *Capsule
	Inner   []byte // the encrypted key

	raw []byte
}

// Bytes returns the canonical bytes.
func (i *InnerRecord) Bytes() []byte { return i.raw }

// ParseInnerRecord reads canonical bytes and checks that the encrypted key is the capsule's. It does not verify the proof.
func ParseInnerRecord(b []byte) (*InnerRecord, error) {
	r := newReader(b, kindInner, maxInnerRecord)
	capsule := r.blob16("capsule", maxCapsule)
	in := &InnerRecord{Inner: append([]byte(nil), r.blob32("encrypted key", maxInner)...)}
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	if in.Capsule, err = ParseCapsule(capsule); err != nil {
		return nil, err
	}
	if hashOf(in.Inner) != in.Capsule.InnerHash {
		return nil, ErrRecord.Withf("The encrypted key belongs to another record.")
	}
	in.raw = append([]byte(nil), b...)
	return in, nil
}

// innerOf puts the encrypted key beside its capsule.
func innerOf(c *Capsule, inner []byte) (*InnerRecord, error) {
	if hashOf(inner) != c.InnerHash {
		return nil, ErrRecord.Withf("The encrypted key belongs to another record.")
	}
	w := newWriter(kindInner)
	w.blob16(c.raw)
	w.blob32(inner)
	return &InnerRecord{Capsule: c, Inner: inner, raw: w.b}, w.err
}

// Open verifies the record's proof and opens it with the shared point z, which Quorum.Combine makes of t agents'
// verified partial decryptions (an Opener does all of it for a case). It returns the PKCS#8 key; the caller checks it
// against the header's public key hash and erases it.
func (i *InnerRecord) Open(z, y threshold.Point) ([]byte, error) {
	if err := i.Capsule.VerifyProof(y); err != nil {
		return nil, err
	}
	return i.openProven(z, y)
}

func (i *InnerRecord) openProven(z, y threshold.Point) ([]byte, error) {
	key, err := i.Capsule.dataKey(z, y)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	pkcs8, err := gcmOpen(key, i.Inner, i.Capsule.header())
	if err != nil {
		return nil, ErrRecord.Withf("The encrypted key does not open with its data key.").Because(err)
	}
	return pkcs8, nil
}
