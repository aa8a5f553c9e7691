package ca

import (
	"context"
	"time"
)

// Drafter returns a function that builds and lints what a request asks for, without a database, and returns a function
// that signs it.
func Drafter(c Config) (func(Request) (func() error, error), error) {
	a, err := c.authority()
	if err != nil {
		return nil, err
	}
	return func(r Request) (func() error, error) {
		q, err := a.read(r)
		if err != nil {
			return nil, err
		}
		d, err := a.draft(q, a.now().UTC().Truncate(time.Microsecond))
		if err != nil {
			return nil, err
		}
		return func() error {
			_, err := q.profile.issuer.sign(context.Background(), d.tbs, d.digest)
			return err
		}, nil
	}, nil
}
