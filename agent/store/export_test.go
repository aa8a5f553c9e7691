package store

import "context"

// FillWindows and FillKeychain fill these stores with somebody in the place of the systems.
func FillWindows(s windowsStore, d Keys) (Outcome, error) { return fillWindows(s, d) }

func FillKeychain(ctx context.Context, k Keychain, run func(context.Context, string, ...string) (string, error), d Keys) (Outcome, error) {
	return k.fill(ctx, d, run)
}

// Recorded is a stand-in for Windows.
type Recorded struct {
	WithKeys, Roots [][]byte
	Add             func(p12 []byte, password string) error
}

func (r *Recorded) withKeys() ([][]byte, error)           { return r.WithKeys, nil }
func (r *Recorded) roots() ([][]byte, error)              { return r.Roots, nil }
func (r *Recorded) add(p12 []byte, password string) error { return r.Add(p12, password) }
