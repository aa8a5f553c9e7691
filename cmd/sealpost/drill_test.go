package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// That the officers' last drill is long ago is in the server's log, its metrics, its status and its check, and stops nothing.
func TestOverdueDrillIsSeen(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	status := func() (s archiveStatus) {
		must(t, json.Unmarshal([]byte(i.run(t, "archive status --json")), &s))
		return s
	}
	if s := status(); s.Overdue || s.LastDrill != nil || time.Until(s.DrillDue) < 199*24*time.Hour {
		t.Errorf("a new roster: %+v", s)
	}
	if said := e2etest.Run(t, i.command("check --connect")); said.Code != 0 || strings.Contains(said.Stderr, "drill") {
		t.Errorf("a new roster: %+v", said)
	}
	metrics := freeAddress(t)
	i.edit(t, map[string]any{"archive.drill_every": "1ms", "listen.metrics": metrics})
	if s := status(); !s.Overdue {
		t.Errorf("after a millisecond: %+v", s)
	}
	if out := i.run(t, "archive status"); !strings.Contains(out, "have not passed a drill yet") || !strings.Contains(out, "OVERDUE") {
		t.Error(out)
	}
	if said := e2etest.Run(t, i.command("check --connect")); said.Code != 0 || !strings.Contains(said.Stderr, "warning: the recovery officers have never shown") ||
		!strings.Contains(said.Stdout, "No fault") {
		t.Errorf("check: %+v", said)
	}
	r := i.serve(t) // and is well
	r.Await(t, `"msg":"the recovery officers have never shown`)
	if due := gauge(t, metrics, "sealpost_archive_drill_due_timestamp_seconds"); due <= 0 || due > float64(time.Now().Unix()) {
		t.Errorf("the drill was due at %v", due)
	}
	if last := gauge(t, metrics, "sealpost_archive_last_drill_timestamp_seconds"); last != 0 {
		t.Errorf("the last drill was at %v", last)
	}
	r.stop(t)
}

// gauge reads one number as monitoring does.
func gauge(t testing.TB, address, name string) float64 {
	t.Helper()
	for line := range strings.Lines(string(fetch(t, "http://"+address+"/metrics"))) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			must(t, err)
			return v
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
