package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
)

const (
	// maxBatch is how many events get their index in one pass. It bounds memory (40 bytes each) and the transaction.
	maxBatch = 8192
	// lockName is the advisory lock whose holder sequences.
	lockName = "audit-sequencer"
	// longestPause bounds the pause after passes that failed.
	longestPause = 30 * time.Second
)

// Run sequences until ctx ends, and hands checkpoints to the sinks. Every server may run it. It returns when the sinks
// have had a last chance to take the newest checkpoint. Errors are logged, and kept for Status.
func (l *Log) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, k := range l.keepers {
		wg.Go(func() { k.run(ctx) })
	}
	defer wg.Wait()
	for {
		n, err := l.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := l.remember(err)
		if n == maxBatch {
			continue // there is probably more
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// remember keeps and logs how a pass went and returns how long to wait for the next.
func (l *Log) remember(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		if l.last.failures > 0 {
			l.log.Info("audit log is sequenced again", "failures", l.last.failures)
		}
		l.last = passes{at: l.now(), size: l.last.size}
		return l.interval
	}
	l.last.failures++
	l.last.err = err
	l.log.Error("audit log is not sequenced", "failures", l.last.failures, "error", err)
	return min(l.interval<<min(l.last.failures, 16), longestPause)
}

// pass sequences once and hands the newest checkpoint to the sinks, whichever server signed it.
func (l *Log) pass(ctx context.Context) (int, error) {
	var n int
	if l.signer != nil {
		var err error
		if n, err = l.Sequence(ctx); err != nil {
			return 0, err
		}
	}
	if len(l.keepers) == 0 {
		return n, nil
	}
	var tree tlog.Tree
	var msg []byte
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		tree, msg, err = l.openLatest(ctx, tx)
		return err
	})
	if errors.Is(err, ErrEmpty) {
		return n, nil
	}
	if err != nil {
		return 0, err
	}
	for _, k := range l.keepers {
		k.offer(tree.N, msg)
	}
	return n, nil
}

// Sequence gives an index to the events that were committed and have none, at most maxBatch of them, and signs the
// checkpoint that covers them, in one transaction. It returns how many there were: 0 too when another process is at it.
//
// It returns ErrTampered when what is stored does not continue the newest signed checkpoint, or when that is not a
// continuation of the one that this process saw last: then nothing more is signed until somebody has looked.
func (l *Log) Sequence(ctx context.Context) (int, error) {
	if l.signer == nil {
		return 0, errors.New("this process has no key to sign the audit log")
	}
	l.sequencing.Lock()
	defer l.sequencing.Unlock()
	var n int
	var next edge
	err := l.db.InTx(ctx, roleSequencer, func(tx pgx.Tx) error {
		ok, err := pg.TryLock(ctx, tx, lockName)
		if err != nil || !ok {
			return err
		}
		if next, err = l.follow(ctx, tx); err != nil {
			return err
		}
		batch, err := selectPending(ctx, tx, maxBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		n = len(batch)
		return l.extend(ctx, tx, &next, batch)
	})
	if err != nil {
		return 0, fmt.Errorf("sequence the audit log: %w", err)
	}
	if next.size > 0 {
		l.seen = &next
		l.mu.Lock()
		l.last.size = next.size
		l.mu.Unlock()
	}
	return n, nil
}

// follow returns the edge of the newest signed tree, after checking that it continues what this process saw last.
func (l *Log) follow(ctx context.Context, tx pgx.Tx) (edge, error) {
	size, msg, err := selectLatest(ctx, tx)
	if errors.Is(err, ErrEmpty) {
		if l.seen != nil {
			return edge{}, ErrTampered.Because(fmt.Errorf("the checkpoint of size %d is gone", l.seen.size))
		}
		return edge{}, nil
	}
	if err != nil {
		return edge{}, err
	}
	tree, err := l.open(size, msg)
	if err != nil {
		return edge{}, err
	}
	if l.seen == nil {
		return readEdge(tree.N, readTree(ctx, tx, tree))
	}
	old := l.seen.tree()
	if old == tree {
		return l.seen.clone(), nil
	}
	if tree.N <= old.N {
		return edge{}, ErrTampered.Because(fmt.Errorf("a checkpoint of size %d has come after one of size %d", tree.N, old.N))
	}
	r := readTree(ctx, tx, tree)
	p, err := tlog.ProveTree(tree.N, old.N, r)
	if err != nil {
		return edge{}, err
	}
	if err := tlog.CheckTree(p, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return edge{}, ErrTampered.Because(fmt.Errorf("the checkpoint of size %d does not continue that of size %d", tree.N, old.N))
	}
	return readEdge(tree.N, r)
}

// extend adds a batch to the tree and stores what that makes.
func (l *Log) extend(ctx context.Context, tx pgx.Tx, e *edge, batch []Leaf) error {
	first := e.size
	var nodes []node
	for _, leaf := range batch {
		e.add(leaf.Hash, func(n node) { nodes = append(nodes, n) })
	}
	c := proof.Checkpoint{Origin: l.name, Size: e.size, Root: e.root()}
	msg, err := c.Sign(l.signer)
	if err != nil {
		return fmt.Errorf("sign checkpoint: %w", err)
	}
	return insertBatch(ctx, tx, first, batch, nodes, e.size, msg, l.now())
}
