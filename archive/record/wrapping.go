package record

import (
	"bytes"
	"crypto/hpke"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrWrappingKey is returned when a record's layer was put on with a key that is not at hand.
var ErrWrappingKey = fault.New(fault.NotFound, "wrapping-key-unknown", "This record was wrapped with a key that is not configured.")

// WrappingSeedSize is the length of a wrapping key's seed in bytes.
const WrappingSeedSize = 32

// WrappingPublicKey puts on the server's layer. Its id names it in every record, so that keys can be changed with overlap.
type WrappingPublicKey struct {
	key hpke.PublicKey
	id  Hash
}

// WrappingKey takes the server's layer off: HPKE (RFC 9180) with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM.
type WrappingKey struct {
	key    hpke.PrivateKey
	public *WrappingPublicKey
}

// GenerateWrappingKey makes a new key. Without its seed the archive is lost: back it up first.
func GenerateWrappingKey() (*WrappingKey, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, err
	}
	return wrappingKey(k), nil
}

// NewWrappingKey makes the key of a seed of 32 bytes. The caller erases the seed.
func NewWrappingKey(seed []byte) (*WrappingKey, error) {
	if len(seed) != WrappingSeedSize {
		return nil, ErrFormat.Withf("A wrapping key's seed has %d bytes.", WrappingSeedSize)
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, ErrFormat.Withf("This is no seed of a wrapping key.").Because(err)
	}
	return wrappingKey(k), nil
}

func wrappingKey(k hpke.PrivateKey) *WrappingKey {
	return &WrappingKey{key: k, public: wrappingPublicKey(k.PublicKey())}
}

func wrappingPublicKey(k hpke.PublicKey) *WrappingPublicKey {
	return &WrappingPublicKey{key: k, id: labelled(labelWrappingKey, k.Bytes())}
}

// ParseWrappingPublicKey reads a public key: 1,216 bytes.
func ParseWrappingPublicKey(b []byte) (*WrappingPublicKey, error) {
	k, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return nil, ErrFormat.Withf("This is no wrapping key.").Because(err)
	}
	return wrappingPublicKey(k), nil
}

// Seed returns the 32 bytes from which NewWrappingKey makes the key again. The caller seals and erases them.
func (k *WrappingKey) Seed() ([]byte, error) {
	b, err := k.key.Bytes()
	return bytes.Clone(b), err // those are the key's own, and erasing them would break it
}

// Public returns the key that wraps.
func (k *WrappingKey) Public() *WrappingPublicKey { return k.public }

// ID names the key.
func (k *WrappingKey) ID() Hash { return k.public.id }

// ID names the key.
func (k *WrappingPublicKey) ID() Hash { return k.id }

// Bytes returns the public key.
func (k *WrappingPublicKey) Bytes() []byte { return k.key.Bytes() }

func (k *WrappingPublicKey) seal(info Hash, plaintext []byte) ([]byte, error) {
	return hpke.Seal(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info[:], plaintext)
}

func (k *WrappingKey) open(info Hash, ciphertext []byte) ([]byte, error) {
	return hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info[:], ciphertext)
}
