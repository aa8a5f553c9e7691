package archive

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// drillEvery is how long the officers' last drill may lie back: twice a year, with two weeks to spare.
const drillEvery = 200 * 24 * time.Hour

// Drills says how it stands with the drills of the active roster's officers.
type Drills struct {
	Last    time.Time // when they last passed one; zero if never
	Due     time.Time // until when the next is to be passed
	Overdue bool
}

// Drills returns how it stands with drills. Officers who never had one have as long as others, since their roster was
// brought in. It returns ErrNoRoster if that is not here.
func (a *Archive) Drills(ctx context.Context) (Drills, error) {
	last, err := a.LastDrill(ctx)
	if err != nil {
		return Drills{}, err
	}
	since := last
	if last.IsZero() {
		err = a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `select added_at from archive.roster where hash = $1`, a.Pins[0][:]).Scan(&since)
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return Drills{}, ErrNoRoster
		}
		if err != nil {
			return Drills{}, err
		}
	}
	due := since.Add(a.DrillEvery)
	return Drills{Last: last, Due: due, Overdue: a.Now().After(due)}, nil
}
