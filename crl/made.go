package crl

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
)

// Made is a complete revocation list that was made, by its size.
type Made struct {
	Number     int64
	ThisUpdate time.Time
	Entries    int
	Size       int64 // bytes
}

// Made returns an issuer's complete lists of all certificates that are still known, the newest first, at most limit and never
// more than are kept. Operators, auditors and the system's own components may see them.
func (p *Publisher) Made(ctx context.Context, by audit.Actor, issuer string, limit int) (out []Made, err error) {
	if !by.Has(audit.Operator) && !by.Has(audit.Auditor) && by.Method != audit.MethodSystem {
		return nil, ErrNotAllowed
	}
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select number, this_update, entries, size from crl.list
			where issuer = $1 and partition = 0 and not delta order by number desc limit $2`, issuer, min(max(limit, 1), keepLists))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Made])
		return err
	})
	return out, err
}
