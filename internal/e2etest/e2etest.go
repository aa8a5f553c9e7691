// Package e2etest runs real programs as processes, as people do, for the end-to-end tests of cmd/sealpost and of its
// demo: it builds ours, runs ours and others', waits for what they say, and finds what they leave behind. It is imported
// by tests only, and knows nothing of what the programs do.
package e2etest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// module is where our programs are built from.
const module = "github.com/sealpost/sealpost"

// runTimeout bounds one run of a program, on a busy machine.
const runTimeout = 2 * time.Minute

// Build builds our programs ("sealpost-agent") into a folder.
func Build(dir string, programs ...string) error {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, module+"/cmd/"+p)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

// Command is a run of a program.
type Command struct {
	Path  string // or a name that PATH leads to
	Args  []string
	Dir   string
	Env   []string // added to this process's
	Stdin string
}

// Result is how a run ended.
type Result struct {
	Code           int // exit code; -1 after a signal
	Stdout, Stderr string
}

// Run runs a program to its end.
func Run(t testing.TB, c Command) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Path, c.Args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin = c.Dir, append(os.Environ(), c.Env...), strings.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	timer := time.AfterFunc(runTimeout, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer timer.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", c, err)
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// String returns the command line.
func (c Command) String() string { return filepath.Base(c.Path) + " " + strings.Join(c.Args, " ") }

// Good runs a program that must succeed, and returns what it prints to standard output.
func Good(t testing.TB, c Command) string {
	t.Helper()
	r := Run(t, c)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", c, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Bad runs a program that must fail with exit code 1 and say the words on standard error, and returns what it says there.
func Bad(t testing.TB, c Command, words ...string) string {
	t.Helper()
	r := Run(t, c)
	if r.Code != 1 {
		t.Errorf("%s: exit code %d, want 1\n%s%s", c, r.Code, r.Stdout, r.Stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			t.Errorf("%s does not say %q:\n%s", c, w, r.Stderr)
		}
	}
	return r.Stderr
}

// Tool runs an independent program in a folder, which must succeed, and returns what it prints, both channels together.
func Tool(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	r := Run(t, Command{Path: name, Args: args, Dir: dir})
	if r.Code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// ToolRefuses runs an independent program in a folder, which must fail and say the words.
func ToolRefuses(t testing.TB, words, dir, name string, args ...string) {
	t.Helper()
	r := Run(t, Command{Path: name, Args: args, Dir: dir})
	if r.Code == 0 {
		t.Errorf("%s %s succeeded, and should have failed", name, strings.Join(args, " "))
	} else if !strings.Contains(r.Stdout+r.Stderr, words) {
		t.Errorf("%s %s does not say %q:\n%s%s", name, strings.Join(args, " "), words, r.Stdout, r.Stderr)
	}
}

// Eventually repeats what fails because it takes a moment; after a while its error fails the test.
func Eventually(t testing.TB, try func() error) {
	t.Helper()
	const patience = 3 * time.Minute // a busy machine takes long
	for begun := time.Now(); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Since(begun) > patience || t.Context().Err() != nil {
			t.Fatalf("after %v: %v", time.Since(begun).Round(time.Second), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
