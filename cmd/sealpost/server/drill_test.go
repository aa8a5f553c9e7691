package server

import (
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive"
)

// A server says once a week that a drill is overdue, however often it looks.
func TestDrillWarningIsWeekly(t *testing.T) {
	t.Parallel()
	var w drillWatch
	now := time.Now()
	said := 0
	for range 24 * 7 * 3 {
		if w.again(now) {
			said++
		}
		now = now.Add(watchEvery)
	}
	if said != 3 {
		t.Errorf("said %d times in three weeks", said)
	}
}

func TestDrillWarning(t *testing.T) {
	t.Parallel()
	d := archive.Drills{Due: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}
	if said := DrillWarning(d); !strings.Contains(said, "never shown") || !strings.Contains(said, "2026-03-04") {
		t.Error(said)
	}
	d.Last = time.Date(2025, 8, 1, 9, 0, 0, 0, time.UTC)
	if said := DrillWarning(d); !strings.Contains(said, "2025-08-01") || strings.Contains(said, "never") {
		t.Error(said)
	}
}
