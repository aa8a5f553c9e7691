package crl

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standing is what is known of a file at a distribution point.
type Standing struct {
	Issuer     string
	Point      string
	File       string
	Number     int64      // of the list that was last seen there; 0: none, or the file is no list
	NextUpdate *time.Time // of that list
	SeenAt     *time.Time // when it was last seen to be the newest
	FailedAt   *time.Time // since when it is not
	Failure    string     // why, for an operator to act on
}

// Status returns what is known of every file at every distribution point.
func (p *Publisher) Status(ctx context.Context) (out []Standing, err error) {
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = selectPoints(ctx, tx)
		return err
	})
	return out, err
}
