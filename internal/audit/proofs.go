package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// Inclusion proves that an event is in the newest checkpoint's tree. The event is named by its id, by its hash, or by both,
// which then must agree. It returns ErrNotIndexed for an event that was committed a moment ago, ErrUnknown for one that
// never was, ErrTampered if what is stored does not support a proof.
func (l *Log) Inclusion(ctx context.Context, leaf Leaf) (proof.Inclusion, error) {
	var p proof.Inclusion
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) error {
		tree, msg, err := l.openLatest(ctx, tx)
		if errors.Is(err, ErrEmpty) {
			tree, err = tlog.Tree{}, nil // whether the event waits is the better answer
		}
		if err != nil {
			return err
		}
		p, err = l.include(ctx, tx, leaf, tree, msg)
		return err
	})
	return p, err
}

// include proves that an event is in a tree that was read in the same transaction.
func (l *Log) include(ctx context.Context, tx pgx.Tx, leaf Leaf, tree tlog.Tree, msg []byte) (proof.Inclusion, error) {
	var none proof.Inclusion
	index, found, err := selectLeaf(ctx, tx, leaf.Event, leaf.Hash)
	if err != nil {
		return none, err
	}
	if leaf.Hash != (tlog.Hash{}) && leaf.Hash != found.Hash {
		return none, ErrUnknown.Withf("The audit log has another event under the number %d.", leaf.Event)
	}
	if index >= tree.N {
		return none, ErrTampered.Because(fmt.Errorf("index %d is covered by no checkpoint", index))
	}
	hashes, err := tlog.ProveRecord(tree.N, index, readTree(ctx, tx, tree))
	if err != nil {
		return none, err
	}
	p := proof.Inclusion{Index: index, Hashes: hashes, Checkpoint: msg}
	if _, err := p.Check(found.Hash, l.known); err != nil {
		return none, ErrTampered.Because(err)
	}
	return p, nil
}

// Consistency proves that the tree of the checkpoint of newSize (0: of the newest) continues that of the one of oldSize.
// It returns ErrUnknown if the log has no checkpoint of newSize, or is smaller than oldSize.
func (l *Log) Consistency(ctx context.Context, oldSize, newSize int64) (proof.Consistency, error) {
	var p proof.Consistency
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) error {
		tree, msg, err := l.openLatest(ctx, tx)
		if err != nil {
			return err
		}
		r := readTree(ctx, tx, tree)
		if newSize == 0 {
			newSize = tree.N
		}
		if oldSize < 1 || oldSize > newSize || newSize > tree.N {
			return ErrUnknown.Withf("The audit log has %d events: it cannot show how it grew from %d to %d.", tree.N, oldSize, newSize)
		}
		if newSize != tree.N {
			if msg, err = selectCheckpoint(ctx, tx, newSize); err != nil {
				return err
			}
		}
		hashes, err := tlog.ProveTree(newSize, oldSize, r)
		p = proof.Consistency{OldSize: oldSize, Hashes: hashes, Checkpoint: msg}
		return err
	})
	return p, err
}
