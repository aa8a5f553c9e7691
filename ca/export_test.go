package ca

import (
	"context"
	"time"
)

// Draft is what Prepare would store: for tests that need no database.
type Draft struct {
	TBS  []byte
	Sign func() ([]byte, error)
}

// Drafter returns a function that builds and lints what a request asks for. serial may be nil.
func Drafter(c Config, serial func() (Serial, error)) (func(Request) (Draft, error), error) {
	a, err := c.authority()
	if err != nil {
		return nil, err
	}
	if a.lint, err = newLinter(a.issuers); err != nil {
		return nil, err
	}
	if serial != nil {
		a.serial = serial
	}
	return func(r Request) (Draft, error) {
		q, err := a.read(r)
		if err != nil {
			return Draft{}, err
		}
		d, err := a.draft(q, a.now().UTC().Truncate(time.Microsecond))
		if err != nil {
			return Draft{}, err
		}
		return Draft{d.tbs, func() ([]byte, error) { return q.profile.issuer.sign(context.Background(), d.tbs, d.digest) }}, nil
	}, nil
}

// Counting is the SQL of Count, whose arguments are cuts, the first and the last.
func Counting() []string {
	return []string{counts[CountIssued], counts[CountRevoked], counts[CountEnding], countRevokedEnding}
}
