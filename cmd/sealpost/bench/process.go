package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/child"
)

// process is this program, run once more with another command.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{}
	log  string // file with what it said
}

// start runs the program. What it writes to stderr goes to the log file, stdout to out.
func start(program []string, args []string, log string, out io.Writer) (*process, error) {
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	args = append(program[1:len(program):len(program)], args...)
	p := &process{cmd: exec.Command(program[0], args...), log: log}
	p.cmd.Stderr, p.cmd.Stdout = f, out
	p.done, err = child.StartBound(p.cmd, syscall.SIGTERM)
	return p, err
}

// stop ends the process as an operator would.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ended returns why the process is no longer there, nil while it is.
func (p *process) ended() error {
	select {
	case <-p.done:
		b, err := os.ReadFile(p.log)
		if len(b) > 1000 {
			b = b[len(b)-1000:]
		}
		return errors.Join(fmt.Errorf("%s ended by itself: …%s", p.cmd.Args[1], b), err)
	default:
		return nil
	}
}

// tick is the unit of /proc's CPU times on Linux, everywhere but on machines of long ago.
const tick = 10 * time.Millisecond

// cpuOf returns the CPU time, user and system, that a process and its children have used; 0 where there is no /proc.
func cpuOf(pid int) time.Duration {
	used, _ := stat(pid, true)
	if others, err := filepath.Glob("/proc/[0-9]*"); err == nil {
		for _, dir := range others {
			child, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				continue
			}
			if one, parent := stat(child, false); parent == pid {
				used += one
			}
		}
	}
	return used
}

// stat returns the CPU time of a process, if asked with that of children that have ended, and its parent.
func stat(pid int, ended bool) (used time.Duration, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may hold anything; the third field comes after it (proc(5)).
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 15 {
		return 0, 0
	}
	times := fields[11:13]
	if ended {
		times = fields[11:15]
	}
	for _, f := range times {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0
		}
		used += time.Duration(n) * tick
	}
	parent, err = strconv.Atoi(fields[1])
	if err != nil {
		return 0, 0
	}
	return used, parent
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration { return cpuTime(unix.RUSAGE_SELF) }

func cpuTime(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchMemory looks how much memory of a process is resident at most, until peak is called. What the kernel says when it has
// ended is no use: that counts its parent's, from which it was forked.
func watchMemory(pid int) (peak func() float64) {
	return watch(func() float64 { _, most := memoryOf(pid); return most })
}

// watch keeps the most that look returns.
func watch(look func() float64) (peak func() float64) {
	done, result := make(chan struct{}), make(chan float64)
	go func() {
		var most float64
		for {
			most = max(most, look())
			select {
			case <-done:
				result <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() float64 { close(done); return <-result }
}

// watchResident looks how much memory of a process is resident at most from now on, until peak is called: of what the kernel says, only
// the present counts here.
func watchResident(pid int) (peak func() float64) {
	return watch(func() float64 { now, _ := memoryOf(pid); return now })
}

// forgetPeak gives back what memory it can and has the kernel forget how much of this process was resident at most. It returns how
// much is now, in MiB.
func forgetPeak() (float64, error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // proc(5)
		return 0, err
	}
	now, _ := memoryOf(os.Getpid())
	return now, nil
}

// memoryOf returns how much memory of a process is resident now, and was at most, in MiB; 0 where there is no /proc.
func memoryOf(pid int) (now, peak float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		var kib float64
		if n, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil && n == 1 {
			now = kib / 1024
		}
		if n, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil && n == 1 {
			peak = kib / 1024
		}
	}
	return now, peak
}
