//go:build cgo

package token

// Explain is what a refusal of a token's means.
func Explain(err error) error { return New(Config{}).explain(err) }
