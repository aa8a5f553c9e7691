package schedule_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent/schedule"
)

// awkward are arguments that every quoting gets wrong at first.
var awkward = []string{"run", "--state", `/srv/a b/100% "$HOME" \t`, "--quiet"}

func job(t *testing.T) schedule.Job {
	t.Helper()
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	return schedule.Job{Program: program, Args: awkward, Daemon: append([]string{"daemon"}, awkward[1:]...), Every: time.Hour, Spread: 15 * time.Minute}
}

func verify(t *testing.T, unit string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", unit)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// systemd itself reads the units.
func TestSystemd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, everybody := range []bool{false, true} {
		p, err := schedule.Systemd(job(t), dir, everybody)
		if err != nil || len(p.Files) != 2 || len(p.Enable) == 0 || len(p.Disable) == 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		if global := slices.Contains(p.Enable[0], "--global"); global != everybody {
			t.Errorf("for everybody %v: %q", everybody, p.Enable)
		}
		p.Enable = nil // no systemd runs here
		if err := p.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Files {
			out, err := verify(t, f.Path)
			// It warns of what is not right, too, and says what it thinks the command is where that cannot be run.
			if err != nil || strings.Contains(out, "sealpost-agent") {
				t.Errorf("%s: %v\n%s", f.Path, err, out)
			}
		}
	}
	// A program that is not there: systemd says which one it understood.
	bad := job(t)
	bad.Program = dir + `/50% off $HOME/agent`
	p, err := schedule.Systemd(bad, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	p.Enable = nil
	if err := p.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := verify(t, p.Files[0].Path)
	if err == nil || !strings.Contains(out, bad.Program) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Python's plistlib reads what launchd is given.
func TestLaunchd(t *testing.T) {
	t.Parallel()
	p, err := schedule.Launchd(job(t), t.TempDir(), "gui/501")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-I", "-c", "import json,plistlib,sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))")
	cmd.Stdin = strings.NewReader(p.Files[0].Text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Label            string
		ProgramArguments []string
		StartInterval    int
		RunAtLoad        bool
		Umask            int
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := append([]string{job(t).Program}, awkward...)
	if !slices.Equal(got.ProgramArguments, want) || got.StartInterval != 3600 || !got.RunAtLoad || got.Umask != 0o077 || got.Label != "org.sealpost.agent" {
		t.Errorf("%+v", got)
	}
	if p, err = schedule.Launchd(job(t), "/Library/LaunchAgents", ""); err != nil || len(p.Enable) != 0 {
		t.Errorf("for everybody: %+v, %v", p, err)
	}
}

// The quotes are those of the documentation of CommandLineToArgvW; nothing here can run them.
func TestTaskScheduler(t *testing.T) {
	t.Parallel()
	j := job(t)
	j.Program = `C:\Program Files\Sealpost\sealpost-agent.exe`
	j.Args = []string{"run", "--state", `C:\Users\Al & ice\x\`, `a"b`, `a\\b c`, `\"`, ""}
	for everybody, principal := range map[bool]string{false: "InteractiveToken", true: "S-1-5-32-545"} {
		p, err := schedule.TaskScheduler(j, t.TempDir(), everybody)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Triggers struct {
				LogonTrigger struct{ Repetition struct{ Interval string } }
			}
			Principals struct {
				Principal struct{ LogonType, GroupId, RunLevel string }
			}
			Actions struct {
				Exec struct{ Command, Arguments string }
			}
		}
		if err := xml.Unmarshal([]byte(p.Files[0].Text), &got); err != nil {
			t.Fatal(err)
		}
		const want = `run --state "C:\Users\Al & ice\x\\" "a\"b" "a\\b c" "\\\"" ""`
		if got.Actions.Exec.Command != j.Program || got.Actions.Exec.Arguments != want || got.Triggers.LogonTrigger.Repetition.Interval != "PT3600S" {
			t.Errorf("%+v\nwant %s", got, want)
		}
		if who := got.Principals.Principal; who.LogonType+who.GroupId != principal || who.RunLevel != "LeastPrivilege" {
			t.Errorf("%+v", who)
		}
	}
}

// The entry is quoted as the Desktop Entry Specification says.
func TestAutostart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := schedule.Autostart(job(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := p.Installed(); err != nil || !there {
		t.Errorf("%v, %v", there, err)
	}
	text, err := os.ReadFile(p.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	// The specification's two layers: a string's escapes, then the command line's quotes.
	const want = ` "--state" "/srv/a b/100%% \\"\\$HOME\\" \\\\t" "--quiet"`
	if !strings.Contains(string(text), want) {
		t.Errorf("%s\nwant %s", text, want)
	}
	for range 2 {
		if err := p.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*schedule.Job){
		"relative program": func(j *schedule.Job) { j.Program = "agent" },
		"too often":        func(j *schedule.Job) { j.Every, j.Spread = time.Second, 0 },
		"too seldom":       func(j *schedule.Job) { j.Every = 30 * 24 * time.Hour },
		"spread":           func(j *schedule.Job) { j.Spread = 2 * time.Hour },
		"line end":         func(j *schedule.Job) { j.Args = []string{"a\nExecStartPre=/bin/sh"} },
		"zero":             func(j *schedule.Job) { j.Daemon = []string{"a\x00b"} },
	} {
		j := job(t)
		change(&j)
		_, e1 := schedule.Systemd(j, "/x", false)
		_, e2 := schedule.Launchd(j, "/x", "")
		_, e3 := schedule.TaskScheduler(j, "/x", false)
		_, e4 := schedule.Autostart(j, "/x")
		for _, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, schedule.ErrJob) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	quoted := job(t)
	quoted.Program = `/opt/"x"/agent`
	if _, err := schedule.Systemd(quoted, "/x", false); !errors.Is(err, schedule.ErrJob) {
		t.Errorf("a program that systemd refuses: %v", err)
	}
	p := schedule.Plan{System: "x", Files: []schedule.File{{Path: filepath.Join(t.TempDir(), "a", "b"), Text: "x"}}, Enable: [][]string{{"false"}}}
	if err := p.Install(t.Context()); !errors.Is(err, schedule.ErrRefused) {
		t.Errorf("a system that refuses: %v", err)
	}
}
