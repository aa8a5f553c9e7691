package jobs_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
)

// What waits is counted by kind; what is not due does not wait.
func TestBacklogs(t *testing.T) {
	db, q := setup(t)
	err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
		if err := q.Insert(t.Context(), tx, jobs.TellCase{Case: uuid.New()}, jobs.TellCase{Case: uuid.New()}, jobs.BuildCRL{Issuer: "issuing"}); err != nil {
			return err
		}
		return q.InsertAfter(t.Context(), tx, time.Hour, jobs.BuildCRL{Issuer: "later"})
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Backlogs(t.Context(), time.Now())
	want := []jobs.Backlog{{Kind: "archive.tell-case", Waiting: 2}, {Kind: "crl.build", Waiting: 1}}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(jobs.Backlog{}, "Oldest")); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if len(got) > 0 && time.Since(got[0].Oldest) > time.Minute {
		t.Errorf("since %v", got[0].Oldest)
	}
	if last, failed, err := db.Archived(t.Context()); err != nil || !last.IsZero() || !failed.IsZero() {
		t.Errorf("a server that brings nothing away: %v %v %v", last, failed, err)
	}
}
