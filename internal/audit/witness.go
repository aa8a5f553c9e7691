package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// View is the log as it is shown to somebody who does not trust its keeper: all of one state, the newest.
type View struct {
	Checkpoint []byte
	// Inclusion proves that the event that was asked for is in it; nil if there is no such event.
	Inclusion *proof.Inclusion
	// Consistency proves, for sizes that the asker and the witnesses have seen, that it continues what they saw. For a
	// size that is not less than its own there is no proof.
	Consistency []proof.Consistency
	Witnessed   []Countersignature
}

// Countersignature is a checkpoint that a witness has verified and signed.
type Countersignature struct {
	Witness  string // the name of their key: see proof.Witness
	Size     int64
	Note     []byte
	Received time.Time
}

// maxSeen is how many sizes one View proves its continuity with.
const maxSeen = 300

// View shows the newest checkpoint, how it continues those of the sizes in seen and what witnesses have countersigned last,
// and that an event is in it: that of leaf, unless leaf is zero. It returns ErrNotIndexed for an event of a moment ago.
func (l *Log) View(ctx context.Context, leaf Leaf, seen ...int64) (View, error) {
	var v View
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) error {
		tree, msg, err := l.openLatest(ctx, tx)
		if err != nil {
			return err
		}
		v = View{Checkpoint: msg}
		if leaf != (Leaf{}) {
			p, err := l.include(ctx, tx, leaf, tree, msg)
			if err != nil && !errors.Is(err, ErrUnknown) {
				return err
			}
			if err == nil {
				v.Inclusion = &p
			}
		}
		if v.Witnessed, err = selectWitnessed(ctx, tx); err != nil {
			return err
		}
		for _, w := range v.Witnessed {
			seen = append(seen, w.Size)
		}
		return v.continues(tree, seen, readTree(ctx, tx, tree))
	})
	return v, err
}

func (v *View) continues(tree tlog.Tree, seen []int64, r tlog.HashReader) error {
	done := map[int64]bool{}
	for _, old := range seen[:min(len(seen), maxSeen)] {
		if old < 1 || old >= tree.N || done[old] {
			continue
		}
		done[old] = true
		hashes, err := tlog.ProveTree(tree.N, old, r)
		if err != nil {
			return err
		}
		v.Consistency = append(v.Consistency, proof.Consistency{OldSize: old, Hashes: hashes, Checkpoint: v.Checkpoint})
	}
	return nil
}

// Countersign stores a checkpoint that one of the witnesses has countersigned. Repeating it changes nothing. A checkpoint
// that is not of this log although its key has signed it is stored too, as evidence, and recorded; then proof.ErrFalse is
// returned. It also returns proof.ErrMalformed, proof.ErrSignature and proof.ErrWitness.
func (l *Log) Countersign(ctx context.Context, by Actor, msg []byte, witnesses []*proof.Witness) error {
	c, err := proof.OpenCountersigned(msg, l.known, witnesses)
	if err != nil {
		return err
	}
	if c.Origin != l.name || len(c.By) != 1 || c.Size < 1 {
		return proof.ErrWitness
	}
	agrees, added := false, false
	err = l.db.InTx(ctx, roleAudit, func(tx pgx.Tx) error {
		tree, _, err := l.openLatest(ctx, tx)
		if err != nil {
			return err
		}
		if c.Size <= tree.N {
			root, err := tlog.TreeHash(c.Size, readTree(ctx, tx, tree))
			if err != nil {
				return err
			}
			agrees = root == c.Root
		}
		added, err = insertCountersignature(ctx, tx, c, l.now())
		if err != nil || agrees || !added {
			return err
		}
		_, err = Append(ctx, tx, l.now(), by, Event{Kind: "audit.countersignature-conflict",
			Data: map[string]any{"officer": c.By[0].Who(), "key": c.By[0].Name(), "size": c.Size, "root": c.Root.String()}})
		return err
	})
	if err == nil && !agrees {
		return proof.ErrFalse.Withf("%s has countersigned a checkpoint of %d events that is not of this audit log, although the log's key signed it: "+
			"the log was rewritten, set back, or shown differently. It was recorded.", c.By[0].Who(), c.Size)
	}
	return err
}

// selectWitnessed returns what each witness countersigned last.
func selectWitnessed(ctx context.Context, tx pgx.Tx) ([]Countersignature, error) {
	rows, err := tx.Query(ctx, `select distinct on (witness) witness, size, note, received_at from audit.countersignature order by witness, id desc`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (c Countersignature, err error) {
		err = r.Scan(&c.Witness, &c.Size, &c.Note, &c.Received)
		return c, err
	})
}

func insertCountersignature(ctx context.Context, tx pgx.Tx, c proof.Countersigned, at time.Time) (added bool, err error) {
	tag, err := tx.Exec(ctx, `insert into audit.countersignature (witness, size, root, note, received_at) values ($1, $2, $3, $4, $5)
		on conflict (witness, size, root) do nothing`, c.By[0].Name(), c.Size, c.Root[:], string(c.Note), at)
	if err != nil {
		return false, fmt.Errorf("keep countersignature: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
