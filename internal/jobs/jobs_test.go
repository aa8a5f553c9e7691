package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func setup(t *testing.T) (*pg.DB, *jobs.Queue) {
	t.Parallel()
	db := pgtest.New(t)
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return db, q
}

func start(t *testing.T, q *jobs.Queue) {
	t.Helper()
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestJobWaits(t *testing.T) {
	db, q := setup(t)
	const delay = 2 * time.Second
	begun := make(chan time.Time, 2)
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error {
		begun <- time.Now()
		return nil
	})
	start(t, q)
	asked := time.Now()
	err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error { return q.InsertAfter(t.Context(), tx, delay, jobs.TellCase{}) })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-begun:
		if waited := at.Sub(asked); waited < delay || waited > delay+10*time.Second {
			t.Errorf("the job waited for %v", waited)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("job was not done")
	}
}

func TestJobRunsAfterCommitAndIsRetriedUntilItSucceeds(t *testing.T) {
	db, q := setup(t)
	person := uuid.New()
	done := make(chan uuid.UUID, 4)
	var attempts atomic.Int64
	jobs.Handle(q, time.Second, func(_ context.Context, a jobs.TellCase) error {
		if attempts.Add(1) == 1 {
			return errors.New("directory away")
		}
		done <- a.Case
		return nil
	})
	start(t, q)
	for _, role := range []pg.Role{"ca", "enroll"} {
		err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
			return q.Insert(t.Context(), tx, jobs.TellCase{Case: person})
		})
		if err != nil {
			t.Fatalf("as %s: %v", role, err)
		}
	}
	for range 2 {
		select {
		case got := <-done:
			if got != person {
				t.Errorf("worked for %v, want %v", got, person)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("job was not done")
		}
	}
	if n := attempts.Load(); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
}

func TestRolledBackJobNeverRuns(t *testing.T) {
	db, q := setup(t)
	ran := make(chan struct{}, 1)
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error { ran <- struct{}{}; return nil })
	start(t, q)
	changed := errors.New("changed my mind")
	err := db.InTx(t.Context(), "gal", func(tx pgx.Tx) error {
		if err := q.Insert(t.Context(), tx, jobs.TellCase{}); err != nil {
			return err
		}
		return changed
	})
	if !errors.Is(err, changed) {
		t.Fatal(err)
	}
	select {
	case <-ran:
		t.Error("a job ran whose transaction was rolled back")
	case <-time.After(1500 * time.Millisecond):
	}
}

// A job that waits for a time begins when it has come, not when River looks next. One that failed waits as River says.
func TestJobBeginsInTime(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(t.Context(), "enroll", func(tx pgx.Tx) error {
		return q.InsertAfter(t.Context(), tx, time.Minute, jobs.TellCase{}, jobs.TellCase{}, jobs.TellCase{})
	}); err != nil {
		t.Fatal(err)
	}
	if n := d.Count(t, `select count(*) from river.river_job where state = 'scheduled'`); n != 3 {
		t.Fatalf("%d jobs wait", n)
	}
	d.Exec(t, `update river.river_job set scheduled_at = now() - interval '1 second' where id <> (select max(id) from river.river_job)`)
	d.Exec(t, `update river.river_job set state = 'retryable' where id = (select min(id) from river.river_job)`)
	if err := jobs.Release(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]int64{"available": 1, "retryable": 1, "scheduled": 1} {
		if n := d.Count(t, `select count(*) from river.river_job where state = '`+state+`'`); int64(n) != want {
			t.Errorf("%d jobs are %s, want %d", n, state, want)
		}
	}
}

// A process that is killed leaves its jobs at work. Another one does them, minutes later and not an hour.
func TestJobOfAKilledProcessIsDone(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(t.Context(), "enroll", func(tx pgx.Tx) error { return q.Insert(t.Context(), tx, jobs.TellCase{}) }); err != nil {
		t.Fatal(err)
	}
	// As the killed process left it, four minutes ago.
	d.Exec(t, `update river.river_job set state = 'running', attempt = 1, attempted_at = now() - interval '4 minutes', attempted_by = array['killed']`)
	done := make(chan struct{}, 1)
	jobs.Handle(q, time.Minute, func(context.Context, jobs.TellCase) error { done <- struct{}{}; return nil })
	start(t, q)
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Error("the job was not done")
	}
}

// A mail server that hangs keeps its own workers busy, and nobody else's.
func TestMessagesHoldUpNothingElse(t *testing.T) {
	db, q := setup(t)
	hang := make(chan struct{})
	defer close(hang)
	done := make(chan struct{}, 1)
	jobs.Handle(q, time.Minute, func(context.Context, jobs.SendNotice) error { <-hang; return nil })
	jobs.Handle(q, time.Minute, func(context.Context, jobs.ExpireCases) error { done <- struct{}{}; return nil })
	start(t, q)
	for _, args := range [][]jobs.Args{slices.Repeat([]jobs.Args{jobs.SendNotice{About: "x"}}, 50), {jobs.ExpireCases{}}} {
		if err := db.InTx(t.Context(), "notice", func(tx pgx.Tx) error { return q.Insert(t.Context(), tx, args...) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // they are taken up
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("another job waits for the mail server")
	}
}

func TestPeriodicJobRunsAtStart(t *testing.T) {
	_, q := setup(t)
	ran := make(chan struct{}, 1)
	jobs.Handle(q, time.Second, func(context.Context, jobs.ResumeEnrolments) error { ran <- struct{}{}; return nil })
	q.Every(time.Hour, jobs.ResumeEnrolments{})
	start(t, q)
	select {
	case <-ran:
	case <-time.After(30 * time.Second):
		t.Error("the periodic job did not run")
	}
}

// Of a job that is kept once, a second is not enqueued while the first waits; that is no error, nor for those beside it.
func TestSecondJobOfAKindThatIsKeptOnce(t *testing.T) {
	db, q := setup(t)
	deliver := func(number int64) jobs.Args {
		return jobs.DeliverCRL{Issuer: "issuing", Point: "ftp", File: "issuing.crl", Number: number}
	}
	for _, args := range [][]jobs.Args{{deliver(1)}, {deliver(1)}, {deliver(1), deliver(2), jobs.TellCase{}}} {
		if err := db.InTx(t.Context(), "crl", func(tx pgx.Tx) error { return q.Insert(t.Context(), tx, args...) }); err != nil {
			t.Fatal(err)
		}
	}
	var deliveries, all int
	err := db.Pool().QueryRow(t.Context(), `select count(*) filter (where kind = 'crl.deliver'), count(*) from river.river_job`).Scan(&deliveries, &all)
	if err != nil || deliveries != 2 || all != 3 {
		t.Errorf("%d deliveries of %d jobs, %v", deliveries, all, err)
	}
}

// A job that a server with a wrong clock has put off until tomorrow is done today.
func TestJobThatWaitsForTomorrow(t *testing.T) {
	db, q := setup(t)
	done := make(chan struct{}, 1)
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error { done <- struct{}{}; return nil })
	if err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error { return q.InsertAfter(t.Context(), tx, 24*time.Hour, jobs.TellCase{}) }); err != nil {
		t.Fatal(err)
	}
	start(t, q)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("it still waits")
	}
}
