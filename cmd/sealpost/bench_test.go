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
		"--people", "40", "--stored", "150", "--starts", "1", "--deposits", "3", "--case-people", "3", "--case-keys", "2", "--list-entries", "20,2500", "--gal-entries", "300", "--workstations", "12")
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
	saneArchive(t, r.Archive)
	saneLists(t, r.Lists)
	if len(r.Delays) != 5 { // a kind of point each
		t.Errorf("%+v", r.Delays)
	}
	for _, d := range r.Delays {
		saneSpread(t, d.Kind, d.MS)
	}
	saneGAL(t, r.GAL)
	saneWorkstations(t, r.Workstations)
	if r.Pages == nil || r.Pages.Pairs < 150 || len(r.Pages.Each) < 15 || r.Pages.FirstLoad < 50_000 {
		t.Fatalf("%+v", r.Pages)
	}
	for _, p := range r.Pages.Each {
		if p.Answers < 9 || p.P50 <= 0 || p.P99 < p.P50 || p.Busy50 <= 0 || p.Busy99 < p.Busy50 || p.Size < 1000 {
			t.Errorf("%+v", p)
		}
	}
	if len(r.OCSP) != 2 {
		t.Errorf("%+v", r.OCSP)
	}
	for _, o := range r.OCSP {
		if o.PerSecond <= 0 || o.Floor <= 0 || o.Ratio <= 0 || o.P99 < o.P50 || o.Size < 100 {
			t.Errorf("%+v", o)
		}
	}
}

func saneLists(t *testing.T, all []bench.Lists) {
	t.Helper()
	if len(all) != 2 || all[0].Entries < 20 || all[1].Entries < 2500 {
		t.Fatalf("%+v", all)
	}
	for _, l := range all {
		for name, s := range map[string]bench.Spread{"next": l.Next, "standard": l.Standard, "signing": l.Signing, "delta": l.Delta} {
			saneSpread(t, name, s)
		}
		if l.Size < int64(40*l.Entries) || l.First <= 0 || l.AllocatedMiB <= 0 || l.Ratio <= 0 || l.DeltaEntries < 1000 {
			t.Errorf("%+v", l)
		}
	}
}

func saneGAL(t *testing.T, g *bench.GAL) {
	t.Helper()
	if g == nil || g.Entries != 300 || g.Each != 75 || g.PerSecond <= 0 || g.Raw <= 0 || g.Together <= 0 || g.Ratio <= 0 || g.RatioTogether <= 0 || len(g.Sweeps) != 3 {
		t.Fatalf("%+v", g)
	}
	for n, s := range g.Sweeps {
		want := 3 * g.Each
		if n == 2 { // everybody has been published
			want = 0
		}
		if s.Rate < 2000 || s.Seconds <= 0 || s.People <= 0 || s.People > s.Seconds || s.CPU <= 0 || s.Missing != want || s.Drift != want {
			t.Errorf("%+v", s)
		}
	}
}

func sane(t *testing.T, x bench.Rate, pairs bool) {
	t.Helper()
	if x.Answers < 1 || x.PerSecond <= 0 || x.P50 <= 0 || x.P99 < x.P50 || x.CPU.Load <= 0 || pairs && (x.Settled <= 0 || x.Settled > x.PerSecond) {
		t.Errorf("%+v", x)
	}
}

func saneArchive(t *testing.T, a *bench.Archive) {
	t.Helper()
	if a == nil || a.Case == nil || a.Reshare == nil {
		t.Fatalf("%+v", a)
	}
	var kinds []string
	for _, d := range a.Deposits {
		kinds = append(kinds, d.Key)
		saneSpread(t, d.Key, d.MS)
		saneSpread(t, d.Key, d.Cryptography)
		if s := d.Record; d.Each != 3 || d.Ratio <= 0 || d.PerSecond <= 0 || s.Key <= 0 || s.Inner <= s.Key+s.Capsule || s.Outer <= s.Inner {
			t.Errorf("%+v", d)
		}
	}
	if diff := cmp.Diff([]string{"P-256", "RSA-3072"}, kinds); diff != "" {
		t.Errorf("kinds of key deposited (-want +got):\n%s", diff)
	}
	if len(a.Officer) != 2 {
		t.Errorf("%+v", a.Officer)
	}
	for _, p := range a.Officer {
		saneSpread(t, p.Name, p.MS)
	}
	if c := a.Case; c.Key != "RSA-3072" || c.People != 3 || c.Each != 2 || c.ApproveCryptography <= 0 || c.Approve.PeakMiB <= 0 || c.Open.PeakMiB <= 0 {
		t.Errorf("%+v", c)
	}
	if a.Reshare.From != 3 || a.Reshare.To != 5 {
		t.Errorf("%+v", a.Reshare)
	}
	for name, e := range map[string]bench.Effort{"approve": a.Case.Approve, "open": a.Case.Open, "reshare": a.Reshare.Effort} {
		saneSpread(t, name, e.Wall)
		saneSpread(t, name, e.CPU)
		if e.Runs < 1 {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func saneWorkstations(t *testing.T, w *bench.Workstations) {
	t.Helper()
	if w == nil || w.Number != 12 || w.Within <= 0 || len(w.Waves) != 4 {
		t.Fatalf("workstations: %+v", w)
	}
	for _, wave := range w.Waves {
		if wave.Served != w.Number || len(wave.Failed) > 0 || wave.Longest <= 0 || wave.P50 > wave.P99 || wave.P99 > wave.Longest || wave.Peak < 1 {
			t.Errorf("%+v", wave)
		}
	}
}

func saneSpread(t *testing.T, what string, s bench.Spread) {
	t.Helper()
	if s.Min <= 0 || s.Median < s.Min {
		t.Errorf("%s: %+v", what, s)
	}
}

func TestBenchRefusesNonsense(t *testing.T) {
	shared.open(t)
	out, err := exec.Command(shared.path(program), "bench", "--rounds", "0", "--clients", "0", "--keys", "X25519", "--by", "magic",
		"--deposits", "-1", "--gal-entries", "-1", "--workstations", "0", "--case-keys", "0", "--kra", "nowhere/sealpost-kra").CombinedOutput()
	for _, want := range []string{"--rounds", "--clients", "--keys", "--by", "--deposits", "--gal-entries", "--workstations", "--case-keys", "--kra"} {
		if err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%v: %s, want %s", err, out, want)
		}
	}
}
