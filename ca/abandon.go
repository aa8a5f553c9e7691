package ca

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
)

// abandonAtOnce is how many serials one transaction of AbandonStale gives up.
const abandonAtOnce = 1000

// Abandon gives up every serial of a request that was prepared and not signed, and reports how many. Each counts as
// revoked from now on: it may have been signed by a server that died before it could say so. What was issued stays.
func (a *Authority) Abandon(ctx context.Context, by audit.Actor, request uuid.UUID) (int, error) {
	return a.abandon(ctx, by, `request = $1`, request)
}

// AbandonStale does the same for everything that was prepared more than ten minutes ago.
func (a *Authority) AbandonStale(ctx context.Context) (int, error) {
	total := 0
	for {
		n, err := a.abandon(ctx, audit.System("ca"), `prepared_at < $1`, a.now().UTC().Add(-prepareLasts))
		total += n
		if err != nil || n < abandonAtOnce {
			return total, err
		}
	}
}

func (a *Authority) abandon(ctx context.Context, by audit.Actor, which string, arg any) (n int, err error) {
	now := a.now().UTC().Truncate(time.Microsecond)
	err = a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf(`
			with locked as (
				select issuer, serial from ca.prepared where %s and state = 'prepared' order by issuer, serial limit %d for update)
			update ca.prepared p set state = 'abandoned', settled_at = $2 from locked l
			where p.issuer = l.issuer and p.serial = l.serial and p.state = 'prepared'
			returning p.issuer, p.serial, p.request, p.profile, p.person, p.not_after`, which, abandonAtOnce), arg, now)
		if err != nil {
			return fmt.Errorf("abandon: %w", err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[abandonedRow])
		if err != nil {
			return fmt.Errorf("abandon: %w", err)
		}
		n = len(list)
		return a.settleAbandoned(ctx, tx, by, now, list)
	})
	return n, err
}

type abandonedRow struct {
	Issuer   string
	Serial   []byte
	Request  uuid.UUID
	Profile  string
	Person   uuid.UUID
	NotAfter time.Time
}

func (a *Authority) settleAbandoned(ctx context.Context, tx pgx.Tx, by audit.Actor, now time.Time, list []abandonedRow) error {
	for _, r := range list {
		if err := lockIssuer(ctx, tx, r.Issuer); err != nil {
			return err
		}
		c := change{standing: revoked, reason: Unspecified, at: now, since: now, notAfter: r.NotAfter}
		count, err := insertChanges(ctx, tx, r.Issuer, []Serial{Serial(r.Serial)}, c)
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "certificate.abandoned", Subject: subjectOf(r.Issuer, Serial(r.Serial)),
			Person: r.Person, Data: map[string]any{"profile": r.Profile, "request": r.Request}})
		if err != nil {
			return err
		}
		if err := a.askForList(ctx, tx, r.Issuer, count, c); err != nil {
			return err
		}
	}
	return nil
}
