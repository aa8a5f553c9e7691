package web

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// Failures to show who one is are events like all refusals, but anonymous ones: anybody can make as many as they like.
// So they are counted, and each minute in which there were some is one event.
type failureCount struct {
	metrics *metrics
	mu      sync.Mutex
	since   time.Time
	counts  map[string]int // by the fault's code: there are few
}

// failuresEvery is the time that one event covers.
const failuresEvery = time.Minute

// count counts a request that was refused for want of good credentials. Those that offered none are only asked for them.
func (f *failureCount) count(err error, now time.Time) {
	e := fault.Of(err)
	if e == nil || e.Code == signin.ErrMissing.Code {
		return
	}
	f.metrics.failures.WithLabelValues(e.Code).Inc()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.counts) == 0 {
		f.since, f.counts = now, make(map[string]int)
	}
	f.counts[e.Code]++
}

// take returns what was counted, and begins anew.
func (f *failureCount) take() (since time.Time, counts map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, counts, f.counts = f.since, f.counts, nil
	return since, counts
}

// putBack adds what could not be recorded to what was counted since.
func (f *failureCount) putBack(since time.Time, counts map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	for code, n := range counts {
		f.counts[code] += n
	}
	f.since = since
}

// recordFailures writes down what was counted, if anything was.
func (s *Server) recordFailures(ctx context.Context) error {
	since, counts := s.failures.take()
	if len(counts) == 0 {
		return nil
	}
	_, err := s.Audit.Record(ctx, audit.System("web"), audit.Event{Kind: "authentication.failures", Data: map[string]any{
		"since": since.UTC().Truncate(time.Second), "counts": maps.Clone(counts)}})
	if err != nil {
		s.failures.putBack(since, counts)
	}
	return err
}

// watchFailures records failures each minute until the context ends, and then the rest.
func (s *Server) watchFailures(ctx context.Context) {
	tick := time.NewTicker(failuresEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.recordFailures(ctx); err != nil {
				s.Log.Warn("failures to authenticate not recorded; they will be", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := s.recordFailures(last); err != nil {
				s.Log.Error("failures to authenticate not recorded", "error", err)
			}
			return
		}
	}
}
