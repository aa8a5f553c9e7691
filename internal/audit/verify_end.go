package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// end checks that nothing lies beyond the last row.
func (v *verification) end(ctx context.Context, tx pgx.Tx) error {
	size := v.edge.size
	if len(v.outside) > 0 {
		c := v.outside[0]
		return &Finding{What: Truncated, Index: size, Last: v.outside[len(v.outside)-1].Size - 1,
			Text: fmt.Sprintf("the log ends with %d events, but a checkpoint that %s proves that it had %d: its end was cut off", size, c.kept(), c.Size)}
	}
	beyond, err := selectCheckpoints(ctx, tx, size, 1<<62)
	if err != nil {
		return err
	}
	if len(beyond) > 0 {
		return &Finding{What: Truncated, Index: size, Last: beyond[len(beyond)-1].size - 1,
			Text: fmt.Sprintf("the log ends with %d events, but has a checkpoint of size %d: its end was cut off", size, beyond[0].size)}
	}
	if v.agreed != size {
		return &Finding{What: Inserted, Index: v.agreed, Last: size - 1,
			Text: fmt.Sprintf("no checkpoint covers index %d: rows were put in, or a checkpoint was taken away", v.agreed)}
	}
	leaves, nodes, checkpoints, err := countRows(ctx, tx)
	if err != nil {
		return err
	}
	complete := int64(0)
	for level := size >> tileHeight; level > 0; level >>= tileHeight {
		complete += level
	}
	if leaves != size || nodes != complete || checkpoints != int64(v.report.Checkpoints) {
		return &Finding{What: Inserted, Index: -1, Last: -1,
			Text: fmt.Sprintf("there are %d index, %d tree and %d checkpoint rows more than belong to %d events",
				leaves-size, nodes-complete, checkpoints-int64(v.report.Checkpoints), size)}
	}
	return nil
}

// explain adds to a finding what a look at the rest of the tables can tell.
func (v *verification) explain(ctx context.Context, tx pgx.Tx, err error) error {
	var f *Finding
	if !errors.As(err, &f) || f.Index < 0 {
		return err
	}
	if f.Event == 0 && f.Index == f.Last && (f.What == Rewritten || f.What == Inserted) {
		if f.Event, f.Kind, err = selectEventAt(ctx, tx, f.Index); err != nil {
			return err
		}
	}
	if f.What == Altered {
		other, event, err := selectTwin(ctx, tx, f.Event, f.Index)
		if err != nil {
			return err
		}
		if other >= 0 {
			f.What = Moved
			f.Text = fmt.Sprintf("event %d (index %d) has the body of event %d (index %d): rows were moved", f.Event, f.Index, event, other)
		}
	}
	return f
}
