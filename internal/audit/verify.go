package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
)

// verifyPage is how many rows Verify reads in one short transaction: it bounds how long one lasts, and memory (one body
// at a time, and the checkpoints of a page).
const verifyPage = 4096

// Verify reads the whole log and compares every event with its hash, its columns, the tree, and every checkpoint in the
// database and outside. It names the first row that was altered, removed, moved or put in. It uses little memory, holds
// no lock, and works while servers append and sequence.
//
// The error says that the log could not be read; a fault of the log itself is the report's Finding.
func Verify(ctx context.Context, db *pg.DB, c VerifyConfig) (Report, error) {
	v := &verification{config: c, now: c.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if v.config.MaxWait <= 0 {
		v.config.MaxWait = time.Minute
	}
	err := v.openOutside(ctx, db)
	if err == nil {
		err = v.walk(ctx, db)
	}
	if err == nil {
		err = v.waiting(ctx, db)
	}
	v.report.Events = v.edge.size
	if v.edge.size > 0 {
		v.report.Root = v.edge.root()
	}
	var f *Finding
	if errors.As(err, &f) {
		v.report.Finding, err = f, nil
	}
	return v.report, err
}

// verification is the state of one Verify: the tree over the rows read so far, and what is not decided yet.
type verification struct {
	config VerifyConfig
	now    func() time.Time
	report Report

	edge    edge
	origin  string
	outside []outsider // ascending by size; those not reached yet
	agreed  int64      // the largest size for which a checkpoint agreed with the rows
	outer   int64      // the same, for those kept outside

	batch    int64    // where the present batch began: in it, ids ascend
	previous int64    // id of the event before
	order    *Finding // the first event of the batch whose id does not ascend
	badNode  *Finding // the first node that the rows contradict, since agreed
}

// open checks a checkpoint's signature, and that all checkpoints are of one log.
func (v *verification) open(msg []byte) (proof.Checkpoint, error) {
	c, err := proof.Open(msg, v.config.Verifiers)
	if err != nil {
		return c, err
	}
	if v.origin == "" {
		v.origin = c.Origin
	}
	if c.Origin != v.origin {
		return c, fmt.Errorf("it is of the log %s, others are of %s", c.Origin, v.origin)
	}
	return c, nil
}

// walk reads the log in the order of its indexes, page by page.
func (v *verification) walk(ctx context.Context, db *pg.DB) error {
	for done := false; !done; {
		err := db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
			done, err = v.page(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// page reads one page. What it reads is one state of the database, in which a checkpoint covers every index.
func (v *verification) page(ctx context.Context, tx pgx.Tx) (done bool, err error) {
	first := v.edge.size
	stored, err := selectCheckpoints(ctx, tx, first, first+verifyPage)
	if err != nil {
		return false, err
	}
	nodes, err := selectNodes(ctx, tx, first, first+verifyPage)
	if err != nil {
		return false, err
	}
	err = selectLeaves(ctx, tx, first, verifyPage, func(r leafRow) error {
		if err := v.row(r, nodes); err != nil {
			return err
		}
		for len(stored) > 0 && stored[0].size == v.edge.size {
			if err := v.stored(stored[0]); err != nil {
				return err
			}
			stored = stored[1:]
		}
		return v.kept()
	})
	if err != nil {
		return false, v.explain(ctx, tx, err)
	}
	if v.config.Progress != nil {
		size, _, err := selectLatest(ctx, tx)
		if err != nil && !errors.Is(err, ErrEmpty) {
			return false, err
		}
		v.config.Progress(v.edge.size, max(size, v.edge.size))
	}
	if v.edge.size-first == verifyPage {
		return false, nil
	}
	return true, v.explain(ctx, tx, v.end(ctx, tx))
}

// row checks an event's row against its place in the log.
func (v *verification) row(r leafRow, nodes map[nodeKey]tlog.Hash) error {
	i := v.edge.size
	if r.index != i {
		return &Finding{What: Missing, Index: i, Last: r.index - 1,
			Text: fmt.Sprintf("index %d is missing: the next row has index %d", i, r.index)}
	}
	if !r.found {
		return &Finding{What: Missing, Index: i, Last: i, Event: r.event,
			Text: fmt.Sprintf("event %d (index %d) is missing", r.event, i)}
	}
	f := Finding{Index: i, Last: i, Event: r.event, Kind: r.kind}
	if hash := proof.LeafHash(r.body); hash != r.hash {
		f.What = Altered
		f.Text = fmt.Sprintf("event %d (%s, index %d) was altered: its body does not have the hash that was recorded", r.event, r.kind, i)
		return &f
	}
	if text := r.disagreement(); text != "" {
		f.What = Altered
		f.Text = fmt.Sprintf("event %d (%s, index %d) was altered: %s", r.event, r.kind, i, text)
		return &f
	}
	if i > v.batch && r.event <= v.previous && v.order == nil {
		f.What = Moved
		f.Text = fmt.Sprintf("event %d (%s, index %d) stands after event %d, which is younger: rows were moved or put in", r.event, r.kind, i, v.previous)
		v.order = &f
	}
	v.previous = r.event
	v.edge.add(r.hash, func(n node) {
		if stored, ok := nodes[nodeKey{n.level, n.n}]; (!ok || stored != n.hash) && v.badNode == nil {
			v.badNode = &Finding{What: BadTree, Index: n.n << (tileHeight * n.level), Last: v.edge.size,
				Text: fmt.Sprintf("the stored hash number %d of the tree's level %d, over the indexes %d to %d, is wrong or missing; the events are right",
					n.n, n.level, n.n<<(tileHeight*n.level), v.edge.size)}
		}
	})
	return nil
}

// stored compares the tree with a checkpoint in the database, which was signed when its batch was indexed.
func (v *verification) stored(s storedCheckpoint) error {
	c, err := v.open(s.note)
	if err == nil && c.Size != s.size {
		err = fmt.Errorf("it is that of size %d", c.Size)
	}
	if err != nil {
		return &Finding{What: BadNote, Index: s.size - 1, Last: s.size - 1,
			Text: fmt.Sprintf("the stored checkpoint of size %d is not the log's: %v", s.size, err)}
	}
	if c.Root != v.edge.root() {
		if v.order != nil {
			return v.order
		}
		return &Finding{What: Rewritten, Index: v.agreed, Last: s.size - 1,
			Text: fmt.Sprintf("%s: the signed checkpoint of size %d has another root", v.between(v.agreed), s.size)}
	}
	if v.badNode != nil {
		return v.badNode
	}
	v.agreed, v.batch, v.order = s.size, s.size, nil
	v.report.Checkpoints++
	return nil
}

// kept compares the tree with the checkpoints of its size that were kept outside.
func (v *verification) kept() error {
	for len(v.outside) > 0 && v.outside[0].Size <= v.edge.size {
		c := v.outside[0]
		v.outside = v.outside[1:]
		if c.Size < v.edge.size {
			continue // of size 0: it says nothing
		}
		if c.Root != v.edge.root() {
			return &Finding{What: Rewritten, Index: v.outer, Last: c.Size - 1,
				Text: fmt.Sprintf("%s: a checkpoint of size %d that %s has another root", v.between(v.outer), c.Size, c.kept())}
		}
		if v.agreed != c.Size {
			return &Finding{What: BadNote, Index: c.Size - 1, Last: c.Size - 1,
				Text: fmt.Sprintf("the checkpoint of size %d, which %s, is missing in the database", c.Size, c.kept())}
		}
		v.outer = c.Size
		v.report.Outside++
	}
	return nil
}

func (v *verification) between(first int64) string {
	if last := v.edge.size - 1; first < last {
		return fmt.Sprintf("events of the indexes %d to %d were altered, removed, moved or put in, and their hashes with them", first, last)
	}
	return fmt.Sprintf("the event of index %d was altered or put in, and its hash with it", first)
}
