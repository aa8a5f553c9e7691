//go:build !cgo

package token

import "crypto"

// Token is a place that this build does not have.
type Token struct{}

// New returns it.
func New(Config) *Token { return &Token{} }

// Algorithms returns ErrUnsupported.
func (*Token) Algorithms() ([]string, error) { return nil, ErrUnsupported }

// Make returns ErrUnsupported.
func (*Token) Make(string, string, int, func([]byte) error) ([]byte, crypto.Signer, error) {
	return nil, nil, ErrUnsupported
}

// Open returns ErrUnsupported.
func (*Token) Open(string, []byte) (crypto.Signer, error) { return nil, ErrUnsupported }

// Remove returns ErrUnsupported.
func (*Token) Remove(string, []byte) error { return ErrUnsupported }
