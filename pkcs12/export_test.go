package pkcs12

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
)

// EncodeClaiming writes a modern file whose bags say that their key took so many
// iterations, while in truth it took none. The MAC holds, after one iteration.
func EncodeClaiming(entries []Entry, chain []*x509.Certificate, passphrase string, iterations int) ([]byte, error) {
	e := newEncrypter(parameters{modern: true, iterations: iterations, saltSize: 16}, passphrase)
	key := make([]byte, 32)
	rand.Read(key)
	e.keys.done[pbkdf2Name(crypto.SHA256, e.salt, iterations, len(key))] = key
	safe, err := e.buildSafe(entries, chain)
	if err != nil {
		return nil, err
	}
	e.iterations = 1
	return e.buildPFX(safe)
}

// WithMAC makes a file of an authenticated safe, with a MAC after one iteration.
func WithMAC(safe []byte, passphrase string) []byte {
	p12, err := newEncrypter(parameters{modern: true, iterations: 1, saltSize: 8}, passphrase).buildPFX(safe)
	if err != nil {
		panic(err)
	}
	return p12
}
