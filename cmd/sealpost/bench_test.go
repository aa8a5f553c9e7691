package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/cmd/sealpost/bench"
	"github.com/sealpost/sealpost/internal/child"
)

// A short run has every figure. How large they are is for docs/performance.md to say: a test that judges times fails on
// somebody's machine.
func TestBench(t *testing.T) {
	shared.open(t)
	dir, err := child.TempDir("sp-bench-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	cmd := exec.Command(shared.path(program), "bench", "--json", "--dir", filepath.Join(dir, "b"), "--rounds", "1", "--seconds", "0.3", "--clients", "1,2",
		"--people", "40", "--stored", "150", "--starts", "1")
	var out, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, progress.String())
	}
	var r bench.Report
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	must(t, d.Decode(&r))
	var measured []string
	for _, x := range append(r.Floor, r.Enrolments...) {
		measured = append(measured, x.Key)
		sane(t, x, len(x.Key) > 0)
	}
	if diff := cmp.Diff([]string{"", "", "P-256", "P-256", "RSA-3072", "RSA-3072"}, measured); diff != "" {
		t.Errorf("kinds of key measured (-want +got):\n%s", diff)
	}
	for _, c := range r.Cryptography {
		if len(c.Parts) < 6 || c.MS <= 0 {
			t.Errorf("cryptography: %+v", c)
		}
	}
	if len(r.Cryptography) != 2 || len(r.StartMS) != 1 || r.StartMS[0] <= 0 || r.Memory.Now <= 0 || r.Memory.Peak < r.Memory.Now {
		t.Errorf("%+v", r)
	}
	if r.Machine.Fsync != "on" || r.Machine.SyncAfter != "on" {
		t.Errorf("commits are not durable: %+v", r.Machine)
	}
	if s := r.Stored; s == nil || s.Pairs < 150 || s.Ratio <= 0 {
		t.Errorf("stored: %+v", s)
	} else {
		sane(t, s.Full, true)
		sane(t, s.Empty, true)
	}
}

func sane(t *testing.T, x bench.Rate, pairs bool) {
	t.Helper()
	if x.Answers < 1 || x.PerSecond <= 0 || x.P50 <= 0 || x.P99 < x.P50 || x.CPU.Load <= 0 || pairs && (x.Settled <= 0 || x.Settled > x.PerSecond) {
		t.Errorf("%+v", x)
	}
}

func TestBenchRefusesNonsense(t *testing.T) {
	shared.open(t)
	out, err := exec.Command(shared.path(program), "bench", "--rounds", "0", "--clients", "0", "--keys", "X25519", "--by", "magic").CombinedOutput()
	for _, want := range []string{"--rounds", "--clients", "--keys", "--by"} {
		if err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%v: %s, want %s", err, out, want)
		}
	}
}
