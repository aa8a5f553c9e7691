package jobs_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// Each directory is told of everybody, whatever becomes of the others; and who is on the list of one that is in no
// configuration any more is forgotten in the end.
func TestListsOfFurtherDirectories(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	d.Exec(t, `insert into publication.due_further (directory, person, not_before) values ('gone', gen_random_uuid(), now() - interval '2 days'),
		('gone', gen_random_uuid(), now())`)
	alice, bob := uuid.New(), uuid.New()
	add(t, db, "enroll", alice, bob) // before any server knows of further directories
	refusing := func(uuid.UUID, int) error { return errors.New("away") }
	lists := map[string]*published{"": {}, "partners": {refuse: refusing}, "forest": {}}
	var queues []*jobs.Queue
	for range 2 {
		q, err := jobs.New(jobs.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range lists {
			if p.came == nil {
				p.came = make(chan struct{}, 1000)
			}
			if name == "" {
				p.register(q)
			} else {
				q.HandlePublications(jobs.Publications{Directory: name, Publish: p.publish, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			}
		}
		queues = append(queues, q)
	}
	for _, q := range queues {
		start(t, q)
	}
	emptied(t, d)
	for end := time.Now().Add(time.Minute); lists["forest"].times(bob) == 0 || lists["partners"].times(alice) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("somebody was not published")
		}
	}
	for name, want := range map[string]int64{"gone": 1, "forest": 0, "partners": 2} {
		for end := time.Now().Add(time.Minute); d.Count(t, `select count(*) from publication.due_further where directory = $1`, name) != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d on the list", name, d.Count(t, `select count(*) from publication.due_further where directory = $1`, name))
			}
		}
	}
	if a, b := lists[""].times(alice), lists["forest"].times(alice); a != 1 || b != 1 {
		t.Errorf("alice %d times at home, %d in the forest", a, b)
	}
}
