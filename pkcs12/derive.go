package pkcs12

import (
	"crypto"
	"crypto/pbkdf2"
	_ "crypto/sha1" // for old files and the Compatibility profile
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"hash"
)

// The purposes of key material (RFC 7292 appendix B.3).
const (
	purposeKey = 1
	purposeIV  = 2
	purposeMAC = 3
)

// deriver derives keys from one passphrase. It does each derivation once, however
// many bags ask for it, and counts the iterations of all of them.
type deriver struct {
	passphrase string
	budget     int
	done       map[string][]byte
	foreign    bool // accept what other programs wrote, maybe long ago
}

func newDeriver(passphrase string) *deriver {
	return &deriver{passphrase: passphrase, budget: MaxIterations, done: make(map[string][]byte)}
}

// clear forgets the derived keys.
func (d *deriver) clear() {
	for _, key := range d.done {
		clear(key)
	}
	clear(d.done)
}

// once returns the result of derive for what is named, from memory if it can.
func (d *deriver) once(name string, iterations, blocks int, derive func() ([]byte, error)) ([]byte, error) {
	if key, ok := d.done[name]; ok {
		return key, nil
	}
	if iterations < 1 {
		return nil, ErrMalformed
	}
	if iterations > d.budget/blocks {
		return nil, ErrTooLarge.Withf("The file asks for more than %d iterations of key derivation.", MaxIterations)
	}
	d.budget -= iterations * blocks
	key, err := derive()
	if err != nil {
		return nil, err
	}
	d.done[name] = key
	return key, nil
}

// pbkdf2 derives a key of size bytes (RFC 8018 §5.2). The result is shared.
func (d *deriver) pbkdf2(prf crypto.Hash, salt []byte, iterations, size int) ([]byte, error) {
	blocks := (size + prf.Size() - 1) / prf.Size()
	return d.once(pbkdf2Name(prf, salt, iterations, size), iterations, blocks, func() ([]byte, error) {
		return pbkdf2.Key(prf.New, d.passphrase, salt, iterations, size)
	})
}

func pbkdf2Name(prf crypto.Hash, salt []byte, iterations, size int) string {
	return fmt.Sprintf("pbkdf2 %d %d %d %x", prf, iterations, size, salt)
}

// rfc7292 derives size bytes for a purpose (RFC 7292 appendix B.2). The result is
// shared.
func (d *deriver) rfc7292(h crypto.Hash, purpose byte, salt []byte, iterations, size int) ([]byte, error) {
	name := fmt.Sprintf("rfc7292 %d %d %d %d %x", h, purpose, iterations, size, salt)
	blocks := (size + h.Size() - 1) / h.Size()
	return d.once(name, iterations, blocks, func() ([]byte, error) {
		passphrase := macPassphrase(d.passphrase)
		defer clear(passphrase)
		return deriveRFC7292(h.New(), purpose, passphrase, salt, iterations, size), nil
	})
}

// deriveRFC7292 follows the steps of RFC 7292 appendix B.2, with its names.
func deriveRFC7292(h hash.Hash, id byte, passphrase, salt []byte, iterations, size int) []byte {
	return deriveWatched(h, id, passphrase, salt, iterations, size, func([]byte) {})
}

// deriveWatched is deriveRFC7292 that shows every block of I after it was added to.
func deriveWatched(h hash.Hash, id byte, passphrase, salt []byte, iterations, size int, watch func(block []byte)) []byte {
	v := h.BlockSize()
	d := make([]byte, v)
	for i := range d {
		d[i] = id
	}
	s := fill(salt, v)
	i := append(s, fill(passphrase, v)...)
	defer clear(i)
	var out []byte
	for {
		h.Reset()
		h.Write(d)
		h.Write(i)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		if len(out) >= size {
			clear(out[size:])
			return out[:size]
		}
		b := fill(a, v)[:v]
		for j := 0; j < len(i); j += v {
			addOne(i[j:j+v], b)
			watch(i[j : j+v])
		}
	}
}

// readByGPGSM reports whether gpgsm derives the same 3DES key as everybody else. It prints the blocks of I as numbers
// without their leading zero bytes and goes on with what is then shifted, in one of about 128 salts (seen in 2.2.40).
func readByGPGSM(passphrase string, salt []byte, iterations int) bool {
	good := true
	p := macPassphrase(passphrase)
	defer clear(p)
	clear(deriveWatched(crypto.SHA1.New(), purposeKey, p, salt, iterations, tripleDESKey, func(block []byte) { good = good && block[0] != 0 }))
	return good
}

// fill repeats b up to the next multiple of v bytes; nothing stays nothing.
func fill(b []byte, v int) []byte {
	n := (len(b) + v - 1) / v * v
	out := make([]byte, n, 2*n)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

// addOne adds b and one to the big-endian number n of the same length, in place.
func addOne(n, b []byte) {
	carry := uint16(1)
	for i := len(n) - 1; i >= 0; i-- {
		carry += uint16(n[i]) + uint16(b[i])
		n[i] = byte(carry)
		carry >>= 8
	}
}
