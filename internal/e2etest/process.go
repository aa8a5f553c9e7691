package e2etest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// Process is a program that is running.
type Process struct {
	command Command
	cmd     *exec.Cmd
	stdout  output
	stderr  output
	done    <-chan struct{}
}

// output is what a process has written, while it writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a program. If it still runs when the test ends, or this process dies, it is killed.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	p := &Process{command: c, cmd: exec.Command(c.Path, c.Args...)}
	p.cmd.Dir, p.cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	var err error
	if p.done, err = child.StartBound(p.cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.done
	})
	return p
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stdout returns what it has written to standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what it has written to standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Signal sends a signal; it may have ended already.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Ended reports whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for its end and returns its exit code, -1 after a signal.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(runTimeout):
		t.Fatalf("%s does not end\n%s", p.command, p.Stderr())
		return 0
	}
}

// Await waits until it has written words, to either channel.
func (p *Process) Await(t testing.TB, words string) {
	t.Helper()
	Eventually(t, func() error {
		said := strings.Contains(p.Stdout(), words) || strings.Contains(p.Stderr(), words)
		switch {
		case said:
			return nil
		case p.Ended():
			t.Fatalf("%s ended before it said %q\n%s%s", p.command, words, p.Stdout(), p.Stderr())
			return nil
		}
		return fmt.Errorf("%s has not said %q: %w", p.command, words, errors.New(p.Stdout()+p.Stderr()))
	})
}
