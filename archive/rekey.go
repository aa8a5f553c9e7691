package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of moving records to another archive key, and of drills.
var (
	ErrAdopt = fault.New(fault.Denied, "capsule-not-adopted", "This capsule cannot take the place of the one that is there.")
	ErrDrill = fault.New(fault.Denied, "drill-not-counted", "This drill does not count.")
)

const adoptBatch = 200

// KeyUse says how many records lie under an archive key.
type KeyUse struct {
	Key     record.Hash
	Records int64
	First   time.Time // deposit
	Last    time.Time
}

// KeysInUse returns the archive keys that records lie under, the one with the oldest record first.
func (a *Archive) KeysInUse(ctx context.Context) ([]KeyUse, error) {
	var out []KeyUse
	err := a.DB.Snapshot(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select key_id, count(*), min(deposited_at), max(deposited_at) from archive.record group by key_id order by 3`)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u KeyUse, err error) {
			var id []byte
			if err = row.Scan(&id, &u.Records, &u.First, &u.Last); err == nil {
				u.Key, err = hashColumn(id)
			}
			return u, err
		})
		return err
	})
	return out, err
}

// CapsulesUnder returns the capsules of all records under an archive key, in the order of their ids: what agents need to
// move them to another key. It ends at the first error, which it yields.
func (a *Archive) CapsulesUnder(ctx context.Context, key record.Hash) iter.Seq2[*record.Capsule, error] {
	return func(yield func(*record.Capsule, error) bool) {
		var after uuid.UUID
		for {
			var page []*record.Capsule
			err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
				page, after, err = selectUnder(ctx, tx, key, after, 1000)
				return err
			})
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// Adopt puts records under the capsules that the agents made of theirs (record.Capsule.Rekey) for the active roster's key.
// Each must be of a record that is here, with its header and its encrypted key, and its proof must hold under the new key;
// that the data key inside is right only an opening can show, and the agents' machine has. The server's layer is made anew. Adopting again
// changes nothing. It returns how many records are under the new capsules; those before a wrong one have been moved.
func (a *Archive) Adopt(ctx context.Context, by audit.Actor, capsules iter.Seq2[*record.Capsule, error], progress func(done int)) (done int, err error) {
	roster, err := a.roster.active(ctx)
	if err != nil {
		return 0, err
	}
	var batch []*record.Capsule
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := a.adoptSome(ctx, by, roster, batch); err != nil {
			return err
		}
		done += len(batch)
		batch = batch[:0]
		if progress != nil {
			progress(done)
		}
		return nil
	}
	for c, err := range capsules {
		if err != nil {
			return done, err
		}
		if batch = append(batch, c); len(batch) == adoptBatch {
			if err := flush(); err != nil {
				return done, err
			}
		}
	}
	return done, flush()
}

func (a *Archive) adoptSome(ctx context.Context, by audit.Actor, roster *record.Roster, capsules []*record.Capsule) error {
	now := a.Now()
	for _, c := range capsules {
		if c.KeyID != roster.KeyID() {
			return ErrAdopt.Withf("The capsule of key %s is not for the active roster's archive key.", c.Header.SPKI)
		}
		if err := c.VerifyProof(roster.Key()); err != nil {
			return fmt.Errorf("key %s: %w", c.Header.SPKI, err)
		}
	}
	return a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		stored, err := selectBySPKI(ctx, tx, capsules)
		if err != nil {
			return err
		}
		moved := 0
		for _, c := range capsules {
			r, ok := stored[c.Header.SPKI]
			if !ok {
				return ErrAdopt.Withf("The archive has no record of the key %s.", c.Header.SPKI)
			}
			if r.Capsule.Hash() == c.Hash() {
				continue
			}
			fresh, err := r.Adopt(c, a.Wrapping[0].Public(), a.Wrapping...)
			if err != nil {
				return fmt.Errorf("key %s: %w", c.Header.SPKI, err)
			}
			if err := updateAdopted(ctx, tx, fresh); err != nil {
				return err
			}
			moved++
		}
		if moved == 0 {
			return nil
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.rekeyed", Subject: "roster:" + roster.Hash().String(),
			Data: map[string]any{"records": moved, "key_id": roster.KeyID().String()}})
		return err
	})
}

// RecordDrill writes down that the officers of a roster passed a drill, which the caller has verified.
func (a *Archive) RecordDrill(ctx context.Context, by audit.Actor, roster, drill record.Hash, passed time.Time) error {
	if _, err := a.roster.get(ctx, roster); err != nil {
		return err
	}
	now := a.Now()
	if passed.After(now.Add(record.ClockSkew)) {
		return ErrDrill.Withf("The drill is from the future.")
	}
	return a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into archive.drill (case_sha256, roster, passed_at, recorded_at) values ($1, $2, $3, $4) on conflict do nothing`,
			drill[:], roster[:], passed, now)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.drill-passed", Subject: "roster:" + roster.String(),
			Data: map[string]any{"case": drill.String(), "passed_at": passed}})
		return err
	})
}

// LastDrill returns when the active roster's officers last passed a drill; zero if they never did.
func (a *Archive) LastDrill(ctx context.Context) (time.Time, error) {
	var at *time.Time
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select max(passed_at) from archive.drill where roster = $1`, a.Pins[0][:]).Scan(&at)
	})
	if err != nil || at == nil {
		return time.Time{}, err
	}
	return *at, nil
}

func selectUnder(ctx context.Context, tx pgx.Tx, key record.Hash, after uuid.UUID, limit int) (out []*record.Capsule, last uuid.UUID, err error) {
	rows, err := tx.Query(ctx, `select id, `+capsuleOf+` from archive.record where key_id = $1 and id > $2 order by id limit $3`, key[:], after, limit)
	if err != nil {
		return nil, after, err
	}
	last = after
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&last, &raw}, func() error {
		c, err := record.ParseCapsule(raw)
		out = append(out, c)
		return err
	})
	return out, last, err
}

func selectBySPKI(ctx context.Context, tx pgx.Tx, capsules []*record.Capsule) (map[record.Hash]*record.Record, error) {
	var wanted [][]byte
	for _, c := range capsules {
		wanted = append(wanted, c.Header.SPKI[:])
	}
	rows, err := tx.Query(ctx, `select sealed from archive.record where spki_sha256 = any($1) for update`, wanted)
	if err != nil {
		return nil, err
	}
	out := map[record.Hash]*record.Record{}
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&raw}, func() error {
		r, err := record.ParseRecord(raw)
		if err == nil {
			out[r.Capsule.Header.SPKI] = r
		}
		return err
	})
	return out, err
}

func updateAdopted(ctx context.Context, tx pgx.Tx, r *record.Record) error {
	spki, key := r.Capsule.Header.SPKI, r.Capsule.KeyID
	tag, err := tx.Exec(ctx, `update archive.record set key_id = $2, wrapping_id = $3, sealed = $4 where spki_sha256 = $1`, spki[:], key[:], r.WrappingKey[:], r.Bytes())
	if err == nil && tag.RowsAffected() != 1 {
		return errors.New("a record's row names another key than the record")
	}
	return err
}
