package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// published collects who was published, and may refuse.
type published struct {
	mu     sync.Mutex
	people []uuid.UUID
	refuse func(person uuid.UUID, before int) error // before: how often they were published
	came   chan struct{}
}

func (p *published) publish(_ context.Context, people []uuid.UUID) []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed := make([]error, len(people))
	for n, person := range people {
		before := 0
		for _, q := range p.people {
			if q == person {
				before++
			}
		}
		p.people = append(p.people, person)
		if p.refuse != nil {
			failed[n] = p.refuse(person, before)
		}
	}
	p.came <- struct{}{}
	return failed
}

func (p *published) times(person uuid.UUID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(p.people), func(q uuid.UUID) bool { return q != person }))
}

func (p *published) handle(q *jobs.Queue) {
	p.came = make(chan struct{}, 100)
	p.register(q)
}

func (p *published) register(q *jobs.Queue) {
	q.HandlePublications(jobs.Publications{Publish: p.publish, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	jobs.Handle(q, time.Second, func(context.Context, jobs.TellCase) error { return nil }) // the queue wants one
}

func add(t *testing.T, db *pg.DB, role pg.Role, people ...uuid.UUID) {
	t.Helper()
	b := &pgx.Batch{}
	for _, p := range people {
		jobs.QueuePublication(b, time.Now(), p)
	}
	if err := db.Batch(t.Context(), role, b); err != nil {
		t.Fatal(err)
	}
}

func emptied(t *testing.T, d pgtest.Database) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); d.Count(t, `select count(*) from publication.due`) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("somebody is still on the list")
		}
	}
}

func TestPublicationIsRetriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := uuid.New(), uuid.New()
	p := &published{refuse: func(person uuid.UUID, before int) error {
		if person == bob && before == 0 {
			return errors.New("directory away")
		}
		return nil
	}}
	p.handle(q)
	add(t, db, "enroll", alice, bob, alice)
	add(t, db, "ca", alice)
	// What is rolled back is never done.
	carol := uuid.New()
	b := &pgx.Batch{}
	jobs.QueuePublication(b, time.Now(), carol)
	pg.Require(b, errors.New("no"), `select require.that(false)`)
	if err := db.Batch(t.Context(), "ca", b); err == nil {
		t.Fatal("committed")
	}
	start(t, q)
	emptied(t, d)
	if a, b, c := p.times(alice), p.times(bob), p.times(carol); a != 1 || b != 2 || c != 0 {
		t.Errorf("alice %d times, bob %d, carol %d; want 1, 2, 0", a, b, c)
	}
}

// Who is added while their entry is being looked at is looked at again.
func TestNobodyIsMissedByAPublicationAtWork(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	alice := uuid.New()
	p := &published{}
	p.refuse = func(_ uuid.UUID, before int) error {
		if before == 0 {
			add(t, db, "ca", alice)
		}
		return nil
	}
	p.handle(q)
	add(t, db, "enroll", alice)
	start(t, q)
	emptied(t, d)
	if n := p.times(alice); n != 2 {
		t.Errorf("published %d times, want 2", n)
	}
}

// Two servers share the list: each person is published once.
func TestServersShareTheList(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	p := &published{}
	var people []uuid.UUID
	for range 600 {
		people = append(people, uuid.New())
	}
	add(t, pgtest.Open(t, d), "enroll", people...)
	p.came = make(chan struct{}, 100)
	for range 2 {
		q, err := jobs.New(jobs.Config{DB: pgtest.Open(t, d)})
		if err != nil {
			t.Fatal(err)
		}
		p.register(q)
		start(t, q)
	}
	emptied(t, d)
	for _, person := range people {
		if n := p.times(person); n != 1 {
			t.Fatalf("published %d times", n)
		}
	}
}
