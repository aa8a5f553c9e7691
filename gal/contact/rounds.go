package contact

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

const (
	lookTimeout = 2 * time.Minute // of one job; the next goes on
	lookEvery   = time.Minute
)

// Register makes the queue look at contacts' entries that are due, in one process of all.
func (d *Desk) Register(q *jobs.Queue) {
	jobs.Handle(q, lookTimeout, func(ctx context.Context, _ jobs.LookAtContacts) error {
		err := d.Look(ctx)
		if errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded) { // the next run goes on
			d.Log.Warn("contacts' entries are not looked at", "error", err)
			return nil
		}
		return err
	})
	q.Every(lookEvery, jobs.LookAtContacts{})
}

// Look looks at the entries of all contacts that are due: of those that were added or ended, and of each once in Config.Every.
// It ends those whose certificates have expired or are revoked. It may run in several servers at once, and be cut off at any
// place. When the directory does not answer it ends, and what is due stays so.
func (d *Desk) Look(ctx context.Context) error {
	if !d.On() {
		return nil
	}
	var other error
	for {
		now := d.now()
		var list []*Contact
		err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			list, err = claimDue(ctx, tx, now, now.Add(claim), 1)
			return err
		})
		if err != nil || len(list) == 0 {
			return errors.Join(other, err)
		}
		d.After("contact.claimed")
		err = d.look(ctx, list[0])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, directory.ErrUnavailable):
			return err
		case err != nil:
			d.Log.Warn("a contact's entry could not be looked at", "contact", list[0].ID, "error", err)
			other = err
		}
	}
}
