package archive

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// ErrWrappingMissing is returned when records need a wrapping key that the configuration does not name. Nothing is lost yet:
// the key's offline backup opens them.
var ErrWrappingMissing = fault.New(fault.Unavailable, "wrapping-key-missing",
	"The archive has records whose wrapping key is not in archive.wrapping_keys. Put it back: sealpost wrapping restore --backup FILE")

// WrappingUse says which records need a wrapping key.
type WrappingUse struct {
	Key         record.Hash // its id
	Records     int64
	First, Last time.Time // of their deposits
}

// WrappingInUse returns the wrapping keys that records need, the one with the oldest record first. It takes a database,
// because whoever brings a lost key back has no Archive yet.
func WrappingInUse(ctx context.Context, db *pg.DB) ([]WrappingUse, error) {
	var out []WrappingUse
	err := db.Snapshot(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectWrappingUse(ctx, tx)
		return err
	})
	return out, err
}

// CheckWrapping returns ErrWrappingMissing unless every key that a record needs is there. It is quick however many
// records there are.
func (a *Archive) CheckWrapping(ctx context.Context) error {
	var needed []record.Hash
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		needed, err = selectWrappingIDs(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	var missing []string
	for _, id := range needed {
		if !slices.ContainsFunc(a.Wrapping, func(k *record.WrappingKey) bool { return k.ID() == id }) {
			missing = append(missing, id.String())
		}
	}
	if len(missing) > 0 {
		return ErrWrappingMissing.Withf("Records need the wrapping key %s, which is not in archive.wrapping_keys. Put it back: sealpost wrapping restore --backup FILE",
			strings.Join(missing, " and "))
	}
	return nil
}

// A WrappingEvent is something that happens to a wrapping key, as the audit log calls it.
type WrappingEvent string

// What happens to wrapping keys.
const (
	WrappingMade     WrappingEvent = "archive.wrapping-made"
	WrappingRestored WrappingEvent = "archive.wrapping-restored" // from its backup
)

// RecordWrapping writes down what happened to a wrapping key.
func RecordWrapping(ctx context.Context, db *pg.DB, by audit.Actor, at time.Time, what WrappingEvent, key record.Hash) error {
	return db.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := audit.Append(ctx, tx, at, by, audit.Event{Kind: string(what), Subject: "wrapping:" + key.String()})
		return err
	})
}
