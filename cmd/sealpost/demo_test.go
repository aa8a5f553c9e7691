package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/cmd/sealpost/demo"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// However the demo ends, it leaves no process, and nothing outside its folder; and over what it left it runs again.
func TestDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	shared.open(t)
	d := newDemo(t)

	p := d.start(t)
	p.Await(t, "Make root and issuing authority ")
	for _, server := range []string{"postgres", "slapd", "vsftpd"} {
		e2etest.Runs(t, d.dir, server)
	}
	p.Signal(syscall.SIGKILL)
	if code := p.Wait(t); code != -1 {
		t.Errorf("killed: exit code %d", code)
	}
	d.leftNothing(t, "SIGKILL")

	p = d.start(t)
	p.Await(t, "Bob enrols over REST ")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(t); code != 1 || !strings.Contains(p.Stderr(), "signal received") {
		t.Errorf("asked to end in the middle: exit code %d\n%s", code, p.Stderr())
	}
	d.leftNothing(t, "SIGTERM")

	p = d.start(t)
	p.Await(t, "Serving until interrupted")
	if steps := d.steps(t); len(steps) < 20 || !steps[len(steps)-1].OK {
		t.Errorf("%+v", steps)
	}
	p.Signal(syscall.SIGINT)
	if code := p.Wait(t); code != 0 {
		t.Errorf("interrupted: exit code %d\n%s", code, p.Stderr())
	}
	d.leftNothing(t, "SIGINT")
}

// A step that fails ends the tour: the exit code says that one did, tour.json and the last line which.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	shared.open(t)
	d := newDemo(t)
	d.env = append(d.env, "PATH="+pathWithout(t, "gpgsm"))
	said := e2etest.Bad(t, d.command("--once"), "gpgsm-reads-mail", "gpgsm")
	oneLine(t, "a program is missing", said)
	steps := d.steps(t)
	for n, s := range steps {
		if last := n == len(steps)-1; s.OK == last || last && (s.Name != "gpgsm-reads-mail" || !strings.Contains(s.Detail, "gpgsm")) {
			t.Errorf("step %d of %d: %+v", n+1, len(steps), s)
		}
	}
	d.leftNothing(t, "a failed step")
}

// A folder with other people's things is refused and left as it was.
func TestDemoRefusesAFolder(t *testing.T) {
	t.Parallel()
	shared.open(t)
	d := newDemo(t)
	write(t, filepath.Join(d.dir, "precious"), "x")
	oneLine(t, "a foreign folder", e2etest.Bad(t, d.command("--once"), "neither empty nor a former demo's"))
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 1 || read(t, filepath.Join(d.dir, "precious")) != "x" {
		t.Errorf("%v, %v", entries, err)
	}
	d.leftNothing(t, "a refusal")
}

// demoRun is where a demo runs: its folder, and one that it takes for the machine's folder of temporary files.
type demoRun struct {
	dir, tmp string
	env      []string
}

func newDemo(t testing.TB) *demoRun {
	t.Helper()
	base, err := child.TempDir("sp-d-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(base)) })
	d := &demoRun{dir: filepath.Join(base, "demo"), tmp: filepath.Join(base, "tmp")}
	for _, dir := range []string{base, d.dir, d.tmp} {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.Chmod(dir, 0o755))
	}
	d.env = []string{"TMPDIR=" + d.tmp}
	return d
}

func (d *demoRun) command(args ...string) e2etest.Command {
	return e2etest.Command{Path: shared.path(program), Args: append([]string{"demo", "--dir", d.dir}, args...), Env: d.env}
}

func (d *demoRun) start(t testing.TB) *e2etest.Process {
	t.Helper()
	return e2etest.Start(t, d.command())
}

func (d *demoRun) leftNothing(t testing.TB, after string) {
	t.Helper()
	for _, folder := range []string{d.dir, d.tmp} {
		e2etest.NothingRuns(t, folder)
	}
	if entries, err := os.ReadDir(d.tmp); err != nil || len(entries) > 0 {
		t.Errorf("after %s there are %v among the temporary files, %v", after, entries, err)
	}
}

func (d *demoRun) steps(t testing.TB) (steps []demo.Step) {
	t.Helper()
	must(t, json.Unmarshal([]byte(read(t, filepath.Join(d.dir, "tour.json"))), &steps))
	return steps
}

// pathWithout returns a PATH that leads to every program of this machine but one.
func pathWithout(t testing.TB, missing string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		programs, err := os.ReadDir(from)
		if err != nil {
			continue
		}
		for _, p := range programs {
			if p.Name() != missing {
				_ = os.Symlink(filepath.Join(from, p.Name()), filepath.Join(dir, p.Name())) // an earlier folder's comes first
			}
		}
	}
	return dir
}
