// Package jobs is work that must be done after a transaction committed, and until it has succeeded: publications, mails,
// periodic tasks. It owns River (a queue on the same PostgreSQL, with leader election), River's schema, and one args
// type per kind of job. What a job does is written in the room that registers its worker with Handle.
//
// A room enqueues in its own transaction with Insert: the job exists if and only if the change does.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sealpost/sealpost/internal/pg"
)

// Config says which database the queue lies in.
type Config struct {
	DB         *pg.DB
	MaxWorkers int          // jobs at work at once in this process; 0 means 8
	Log        *slog.Logger // nil discards
}

// Queue enqueues jobs, and after Start works on them. Handle and Every are called before Start; the rest is safe for
// concurrent use.
type Queue struct {
	config   river.Config
	driver   *riverpgxv5.Driver
	inserter *river.Client[pgx.Tx]
	worker   *river.Client[pgx.Tx]

	db           *pg.DB
	publications []*publisher // none if nothing is done for them here
	stopRecall   context.CancelFunc
}

// rescueAfter is how long a job may be at work before it counts as cut off by its process's end and is tried again. It is
// longer than any job's timeout. River's own hour is too long for a revocation list.
const rescueAfter = 3 * time.Minute

// fetchCooldown is the shortest pause between two fetches of jobs. With River's own, 100 ms, a process would get no more
// than ten times its workers' number of jobs in a second, however short they are: a company that enrols would wait long
// for its certificates to appear in the directory.
const fetchCooldown = 20 * time.Millisecond

// Messages have a queue and workers of their own: a mail server that hangs does not hold up a revocation list.
const (
	mailQueue   = "mail"
	mailWorkers = 4
)

// New returns a queue that can enqueue. It works on jobs after Start.
func New(c Config) (*Queue, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	workers := c.MaxWorkers
	if workers <= 0 {
		workers = 8
	}
	q := &Queue{driver: riverpgxv5.New(c.DB.Pool()), db: c.DB}
	base := river.Config{Schema: Schema, Logger: log}
	var err error
	if q.inserter, err = river.NewClient(q.driver, &base); err != nil {
		return nil, fmt.Errorf("job queue: %w", err)
	}
	q.config = base
	q.config.Workers = river.NewWorkers()
	q.config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}, mailQueue: {MaxWorkers: mailWorkers}}
	q.config.FetchCooldown = fetchCooldown
	q.config.CompletedJobRetentionPeriod = time.Hour
	q.config.RescueStuckJobsAfter = rescueAfter
	return q, nil
}

// Args is a job: one of this package's types, with what it needs.
type Args = river.JobArgs

// Insert enqueues jobs in the caller's transaction, whose role must be one that Migrate granted the right to.
func (q *Queue) Insert(ctx context.Context, tx pgx.Tx, args ...Args) error {
	return q.InsertAfter(ctx, tx, 0, args...)
}

// InsertAfter is Insert for jobs that wait before they are begun, from now on; a moment more is possible.
func (q *Queue) InsertAfter(ctx context.Context, tx pgx.Tx, delay time.Duration, args ...Args) error {
	params := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		params[i].Args = a
		if delay > 0 {
			params[i].InsertOpts = &river.InsertOpts{ScheduledAt: time.Now().Add(delay)}
		}
	}
	var err error
	if slices.ContainsFunc(args, keptOnce) {
		_, err = q.inserter.InsertManyTx(ctx, tx, params)
	} else {
		_, err = q.inserter.InsertManyFastTx(ctx, tx, params)
	}
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// keptOnce reports whether a second job like this is not wanted while the first waits. River's faster way to enqueue takes that
// for an error.
func keptOnce(a Args) bool {
	o, ok := a.(river.JobArgsWithInsertOpts)
	return ok && o.InsertOpts().UniqueOpts.ByState != nil
}

// Handle registers what is done for jobs of type T. work has timeout to finish; if it fails it is tried again, after a
// delay that doubles from one second to ten minutes, without end: only its success ends a job, or work itself by
// returning Cancel.
func Handle[T river.JobArgs](q *Queue, timeout time.Duration, work func(context.Context, T) error) {
	river.AddWorker(q.config.Workers, &worker[T]{timeout: timeout, work: work})
}

// Cancel returns an error that ends a job for good: it has been superseded, or can never succeed.
func Cancel(err error) error { return river.JobCancel(err) }

// Later returns an error that has a job tried again after d, without counting as a failure.
func Later(d time.Duration) error { return river.JobSnooze(d) }

// Point makes this process work on the jobs of a distribution point, one at a time.
func (q *Queue) Point(name string) {
	q.config.Queues[pointQueue(name)] = river.QueueConfig{MaxWorkers: 1}
}

// FurtherDirectory makes this process work on the sweeps through a further directory, one at a time.
func (q *Queue) FurtherDirectory(name string) {
	q.config.Queues[directoryQueue(name)] = river.QueueConfig{MaxWorkers: 1}
}

// Every enqueues args once per interval, in one process of all that share the database, and once at start.
func (q *Queue) Every(interval time.Duration, args river.JobArgs) {
	q.config.PeriodicJobs = append(q.config.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(interval),
		func() (river.JobArgs, *river.InsertOpts) { return args, nil }, &river.PeriodicJobOpts{RunOnStart: true}))
}

// Start begins to work on jobs, until Stop.
func (q *Queue) Start(ctx context.Context) error {
	var err error
	if q.worker, err = river.NewClient(q.driver, &q.config); err != nil {
		return fmt.Errorf("job queue: %w", err)
	}
	q.startPublications(ctx)
	recall, stop := context.WithCancel(ctx)
	q.stopRecall = stop
	go q.recallLost(recall)
	go q.beginDue(recall)
	return q.worker.Start(ctx)
}

// Stop waits for the jobs at work until ctx ends, then cancels them.
func (q *Queue) Stop(ctx context.Context) error {
	for _, p := range q.publications {
		p.stop()
	}
	if q.worker == nil {
		return nil
	}
	q.stopRecall()
	if err := q.worker.Stop(ctx); err == nil {
		return nil
	}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return q.worker.StopAndCancel(hard)
}

type worker[T river.JobArgs] struct {
	river.WorkerDefaults[T]
	timeout time.Duration
	work    func(context.Context, T) error
}

func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error { return w.work(ctx, job.Args) }

func (w *worker[T]) Timeout(*river.Job[T]) time.Duration { return w.timeout }

// NextRetry doubles the delay up to ten minutes, or what the job says. River's own reaches weeks, far too long for a CRL.
func (w *worker[T]) NextRetry(job *river.Job[T]) time.Time {
	longest := 10 * time.Minute
	if j, ok := any(job.Args).(interface{ LongestDelay() time.Duration }); ok {
		longest = j.LongestDelay()
	}
	delay := longest
	if job.Attempt < 10 {
		delay = min(longest, time.Second<<job.Attempt)
	}
	return time.Now().Add(delay)
}
