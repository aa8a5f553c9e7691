package ca

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Good returns which of the certificates with these numbers are valid now and not revoked.
func (a *Authority) Good(ctx context.Context, numbers []int64) (map[int64]bool, error) {
	out := make(map[int64]bool, len(numbers))
	if len(numbers) == 0 {
		return out, nil
	}
	b := &pgx.Batch{}
	b.Queue(`select c.number from unnest($1::bigint[]) as n (number) join ca.certificate c using (number) left join lateral (
			select standing from ca.revocation where issuer = c.issuer and serial = c.serial order by change desc limit 1) r on true
		where coalesce(r.standing, 'released') = 'released'
			and $2 between c.not_before and c.not_after + interval '1 second' - interval '1 microsecond'`,
		numbers, a.now().UTC().Truncate(time.Microsecond)).Query(func(rows pgx.Rows) error {
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&n}, func() error { out[n] = true; return nil })
		return err
	})
	if err := a.db.Batch(ctx, role, b); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return out, nil
}
