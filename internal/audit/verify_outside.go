package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
)

// outsider is a checkpoint that Verify measures the log by: one that was kept outside, or that officers countersigned.
type outsider struct {
	proof.Checkpoint
	by []string
}

// kept says why the checkpoint counts, after "a checkpoint that".
func (o outsider) kept() string {
	if len(o.by) == 0 {
		return "was kept outside"
	}
	return strings.Join(o.by, " and ") + " countersigned"
}

// openOutside opens what was kept outside and what witnesses countersigned.
func (v *verification) openOutside(ctx context.Context, db *pg.DB) error {
	for i, msg := range v.config.Outside {
		if err := v.openOutsider(msg); err != nil {
			return &Finding{What: BadNote, Index: -1, Last: -1,
				Text: fmt.Sprintf("checkpoint %d of %d kept outside: %v", i+1, len(v.config.Outside), err)}
		}
	}
	var stored []Countersignature
	err := db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		stored, err = selectWitnessed(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range stored {
		if err := v.openOutsider(s.Note); err != nil {
			return &Finding{What: BadNote, Index: s.Size - 1, Last: s.Size - 1,
				Text: fmt.Sprintf("the stored countersignature of size %d by %s: %v", s.Size, s.Witness, err)}
		}
	}
	slices.SortStableFunc(v.outside, func(a, b outsider) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	return nil
}

func (v *verification) openOutsider(msg []byte) error {
	if _, err := v.open(msg); err != nil {
		return err
	}
	c, err := proof.OpenCountersigned(msg, v.config.Verifiers, v.config.Witnesses)
	if err != nil {
		return err
	}
	o := outsider{Checkpoint: c.Checkpoint}
	for _, w := range c.By {
		o.by = append(o.by, w.Who())
		v.witnessed(w.Who(), c.Size)
	}
	v.outside = append(v.outside, o)
	return nil
}

// witnessed notes that somebody has countersigned so much.
func (v *verification) witnessed(who string, size int64) {
	i, found := slices.BinarySearchFunc(v.report.Witnessed, who, func(w Witnessed, who string) int { return strings.Compare(w.Who, who) })
	if !found {
		v.report.Witnessed = slices.Insert(v.report.Witnessed, i, Witnessed{Who: who})
	}
	v.report.Witnessed[i].Size = max(v.report.Witnessed[i].Size, size)
}
