package server

import (
	"context"
	"sync"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/notice"
	"github.com/sealpost/sealpost/web"
)

// watchEvery is how often drills are looked at; warnEvery is how often one server says in its log that one is overdue.
const (
	watchEvery = time.Hour
	warnEvery  = 7 * 24 * time.Hour
)

// drillWatch remembers when this server last said that a drill is overdue.
type drillWatch struct {
	mu     sync.Mutex
	warned time.Time
}

// again reports whether it is time to say so, once more or for the first time, and takes it as said.
func (w *drillWatch) again(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.warned.IsZero() && now.Sub(w.warned) < warnEvery {
		return false
	}
	w.warned = now
	return true
}

// watchDrills warns in the log, and has operators told, if a drill is overdue and nothing was said of it for a week. It is a
// periodic job.
func (s *Server) watchDrills(ctx context.Context, _ jobs.WatchDrills) error {
	d, err := s.Archive.Drills(ctx)
	if err != nil {
		return err
	}
	var matters []notice.Matter
	if d.Overdue {
		matters = append(matters, notice.Matter{Key: "the recovery officers' drill", Every: warnEvery, About: &notice.Drill{Last: d.Last, Due: d.Due}})
		if s.drills.again(s.now()) {
			s.Log.Warn(DrillWarning(d), "last_drill", d.Last, "due", d.Due)
		}
	}
	return s.Notice.Attend(ctx, areaDrill, matters)
}

// DrillWarning says that a drill is overdue, and what to do.
func DrillWarning(d archive.Drills) string {
	said := "the recovery officers have never shown that they can still open archived keys"
	if !d.Last.IsZero() {
		said = "the recovery officers last showed on " + d.Last.UTC().Format(time.DateOnly) + " that they can still open archived keys"
	}
	return said + "; the next drill was due by " + d.Due.UTC().Format(time.DateOnly) + ": docs/runbooks/drill.md"
}

// drillGauges are what monitoring is told of drills.
func (s *Server) drillGauges() []web.Gauge {
	if s.Archive == nil {
		return nil
	}
	read := func(what func(archive.Drills) time.Time) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			d, err := s.Archive.Drills(ctx)
			if err != nil || what(d).IsZero() {
				return 0, err
			}
			return float64(what(d).Unix()), nil
		}
	}
	return []web.Gauge{
		{Name: "sealpost_archive_last_drill_timestamp_seconds", Help: "When the recovery officers last passed a drill, Unix time; 0 if they never did.",
			Read: read(func(d archive.Drills) time.Time { return d.Last })},
		{Name: "sealpost_archive_drill_due_timestamp_seconds", Help: "Until when they are to pass the next one, Unix time.",
			Read: read(func(d archive.Drills) time.Time { return d.Due })},
	}
}
