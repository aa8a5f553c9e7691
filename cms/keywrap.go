package cms

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
)

// wrapIV is the initial value of RFC 3394 §2.2.3.1, which doubles as the
// integrity check on unwrapping.
const wrapIV = 0xA6A6A6A6A6A6A6A6

// wrapKey encrypts key, a multiple of 8 bytes and at least 16, under kek
// (AES key wrap, RFC 3394 §2.2.1).
func wrapKey(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(key) / 8
	out := make([]byte, 8+len(key))
	copy(out[8:], key)
	var buf [16]byte
	binary.BigEndian.PutUint64(buf[:8], wrapIV)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(buf[8:], out[8*i:])
			block.Encrypt(buf[:], buf[:])
			copy(out[8*i:], buf[8:])
			step := uint64(n*j + i)
			binary.BigEndian.PutUint64(buf[:8], binary.BigEndian.Uint64(buf[:8])^step)
		}
	}
	copy(out, buf[:8])
	return out, nil
}

// unwrapKey is the inverse of wrapKey (RFC 3394 §2.2.2). It returns false when
// the integrity check fails, and the work is the same then.
func unwrapKey(kek, wrapped []byte) ([]byte, bool) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, false
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, false
	}
	n := len(wrapped)/8 - 1
	key := make([]byte, 8*n)
	copy(key, wrapped[8:])
	var buf [16]byte
	defer clear(buf[:])
	copy(buf[:8], wrapped)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			step := uint64(n*j + i)
			binary.BigEndian.PutUint64(buf[:8], binary.BigEndian.Uint64(buf[:8])^step)
			copy(buf[8:], key[8*(i-1):])
			block.Decrypt(buf[:], buf[:])
			copy(key[8*(i-1):], buf[8:])
		}
	}
	var want [8]byte
	binary.BigEndian.PutUint64(want[:], wrapIV)
	if subtle.ConstantTimeCompare(buf[:8], want[:]) != 1 {
		clear(key)
		return nil, false
	}
	return key, true
}
