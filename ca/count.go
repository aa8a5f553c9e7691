package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Counted says what Count counts.
type Counted int

// What can be counted.
const (
	CountIssued  Counted = iota // certificates, when they were issued
	CountRevoked                // certificates, when they were revoked or put on hold, whatever became of that
	CountEnding                 // certificates, when they end; those that are revoked then are left out
)

// maxCuts is how many spans are counted at once.
const maxCuts = 400

// Count returns how many there are in each span between two cuts: from the one, to before the next. The cuts rise, and there
// are at most 400. What it reads is one index's part between the first and the last cut.
func (a *Authority) Count(ctx context.Context, what Counted, cuts []time.Time) ([]int64, error) {
	if len(cuts) < 2 || len(cuts) > maxCuts || !slices.IsSortedFunc(cuts, time.Time.Compare) {
		return nil, errors.New("ca: spans are counted between 2 to 400 cuts that rise")
	}
	out := make([]int64, len(cuts)-1)
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if what == CountEnding { // those that are revoked are few: they are counted apart
			if err := addCounts(ctx, tx, countRevokedEnding, cuts, out, -1); err != nil {
				return err
			}
		}
		return addCounts(ctx, tx, counts[what], cuts, out, 1)
	})
	if err != nil {
		return nil, fmt.Errorf("count certificates: %w", err)
	}
	return out, nil
}

var counts = map[Counted]string{
	CountIssued: `select width_bucket(issued_at, $1::timestamptz[]), count(*) from ca.certificate where issued_at >= $2 and issued_at < $3 group by 1`,
	CountRevoked: `select width_bucket(revoked_at, $1::timestamptz[]), count(*) from ca.revocation r where revoked_at >= $2 and revoked_at < $3
		and standing <> 'released' and (select 1 from ca.certificate c where c.issuer = r.issuer and c.serial = r.serial) is not null group by 1`,
	CountEnding: `select width_bucket(not_after, $1::timestamptz[]), count(*) from ca.certificate where not_after >= $2 and not_after < $3 group by 1`,
}

const countRevokedEnding = `select width_bucket(not_after, $1::timestamptz[]), count(*) from ca.revocation r where not_after >= $2 and not_after < $3
	and standing <> 'released' and (select max(change) from ca.revocation l where l.issuer = r.issuer and l.serial = r.serial) = r.change
	and (select 1 from ca.certificate c where c.issuer = r.issuer and c.serial = r.serial) is not null group by 1`

func addCounts(ctx context.Context, tx pgx.Tx, sql string, cuts []time.Time, out []int64, sign int64) error {
	rows, err := tx.Query(ctx, sql, cuts, cuts[0], cuts[len(cuts)-1])
	if err != nil {
		return err
	}
	var bucket int
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&bucket, &n}, func() error {
		out[bucket-1] += sign * n
		return nil
	})
	return err
}
