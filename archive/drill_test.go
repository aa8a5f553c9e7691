package archive_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// A drill is due some time after the last one, or after the roster came, and not a moment before.
func TestDrillIsDue(t *testing.T) {
	const day = 24 * time.Hour
	for name, every := range map[string]time.Duration{"default": 0, "30 days": 30 * day} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			now := time.Now().UTC().Truncate(time.Second)
			c := b.config
			c.DrillEvery, c.Now = every, func() time.Time { return now }
			lasts := every
			if every == 0 {
				lasts = 200 * day
			}
			next := rostertest.New(t, 2, 3)
			c.Pins = []record.Hash{next.Hash(), b.roster.Hash()}
			a, err := archive.New(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Drills(t.Context()); !errors.Is(err, archive.ErrNoRoster) {
				t.Errorf("before the roster came: %v", err)
			}
			if _, err := a.AddRoster(t.Context(), by, next.Bytes()); err != nil {
				t.Fatal(err)
			}
			is := func(when string, want archive.Drills) {
				t.Helper()
				got, err := a.Drills(t.Context())
				if err != nil || !got.Last.Equal(want.Last) || !got.Due.Equal(want.Due) || got.Overdue != want.Overdue {
					t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
				}
			}
			due := now.Add(lasts)
			is("at the beginning", archive.Drills{Due: due})
			now = due
			is("on the last day", archive.Drills{Due: due})
			now = due.Add(time.Second)
			is("a moment later", archive.Drills{Due: due, Overdue: true})

			// The drill of officers who are not the active ones any more does not count.
			if err := a.RecordDrill(t.Context(), by, b.roster.Hash(), record.Hash{1}, now); err != nil {
				t.Fatal(err)
			}
			is("after others' drill", archive.Drills{Due: due, Overdue: true})
			passed := now.Add(-day)
			if err := a.RecordDrill(t.Context(), by, next.Hash(), record.Hash{2}, passed); err != nil {
				t.Fatal(err)
			}
			is("after a drill", archive.Drills{Last: passed, Due: passed.Add(lasts)})
			now = passed.Add(lasts + time.Second)
			is("long after it", archive.Drills{Last: passed, Due: passed.Add(lasts), Overdue: true})
		})
	}
}
