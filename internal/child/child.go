// Package child runs real servers (PostgreSQL, slapd, …) as private child processes, for the demo and for tests: as an
// unprivileged user even when started by root, in a folder of their own, and never outliving their parent.
// It knows no particular server: that is for internal/pgtest and internal/slapdtest.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Config says what to run.
type Config struct {
	Path string    // the program
	Args []string  // without the program's name
	Dir  string    // working folder; must be searchable by the unprivileged user
	Env  []string  // added to a minimal environment
	Log  io.Writer // stdout and stderr; nil discards

	Input *os.File // stdin; nil is empty
	// Apart gives it a network, users and processes of its own (Linux namespaces): it may take any port of a loopback
	// interface that it must bring up itself, thinks that it is root, and all that it starts ends with it.
	Apart bool
	Files []*os.File // that it has open as 3, 4, …; sockets among them belong to our network still
}

// Process is a running child.
type Process struct {
	cmd  *exec.Cmd
	done <-chan struct{}
}

// credential returns whom children run as: the caller's own user, or for root the user "postgres" if there is one, else
// "nobody". PostgreSQL refuses to run as root, and nothing else here needs to.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}, nil
	}
	return nil, errors.New("there is no unprivileged user (postgres, nobody) to run servers as")
}

// MakeDir creates dir (mode 0700) and gives it to the user that children run as.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return Own(dir)
}

// Own gives a file or folder to the user that children run as.
func Own(path string) error {
	cred, err := credential()
	if err != nil || cred == nil {
		return err
	}
	return os.Chown(path, int(cred.Uid), int(cred.Gid))
}

// TempDir creates a folder with a short path, because the path of a Unix socket has at most 107 bytes, that children
// can write to. The caller removes it.
func TempDir(pattern string) (string, error) {
	base := os.TempDir()
	if len(base) > 40 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, pattern)
	if err != nil {
		return "", err
	}
	return dir, Own(dir)
}

// FindProgram returns the path of a program, looking in the given folders (patterns, the last match wins) and in PATH.
// Debian keeps some servers where PATH does not lead.
func FindProgram(name string, dirs ...string) (string, error) {
	for _, d := range append(dirs, "/usr/sbin", "/usr/local/sbin") {
		matches, err := filepath.Glob(filepath.Join(d, name))
		if err == nil && len(matches) > 0 {
			return matches[len(matches)-1], nil
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: run scripts/install", name)
	}
	return p, nil
}

// Run runs a program to its end, as Start would, and returns its output in the error if it fails.
func Run(ctx context.Context, c Config) error {
	cmd, err := command(c, apart)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = nil, nil
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill() // it may have ended already
		}
	})
	defer stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, out)
	}
	return nil
}

// Start starts a child in a process group of its own. When this process dies, however it dies, the child is interrupted
// (SIGINT), or killed if it is Apart.
func Start(c Config) (*Process, error) {
	cmd, err := command(c, apart)
	if err != nil {
		return nil, err
	}
	death := syscall.SIGINT
	if c.Apart {
		death = syscall.SIGKILL // the first process of a namespace need not heed others
	}
	done, err := StartBound(cmd, death)
	if c.Apart && errors.Is(err, syscall.EPERM) && os.Geteuid() == 0 {
		// Nobody may make a namespace of users here, as in a chroot; but root needs none.
		if cmd, err = command(c, apartAsRoot); err == nil {
			done, err = StartBound(cmd, death)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(c.Path), err)
	}
	return &Process{cmd: cmd, done: done}, nil
}

// StartBound starts a command that gets the signal death when this process dies, however it dies. The channel is closed
// when the command has ended; how, its ProcessState says then. What it writes is waited for five seconds after its end.
func StartBound(cmd *exec.Cmd, death syscall.Signal) (<-chan struct{}, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = death
	cmd.WaitDelay = 5 * time.Second
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends the parent-death signal when the *thread* that forked ends: keep it until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState has it
		}
		close(done)
	}()
	return done, <-started
}

func command(c Config, apart func(*syscall.SysProcAttr)) (*exec.Cmd, error) {
	cred, err := credential()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + c.Dir, "LC_ALL=C.UTF-8", "TZ=UTC"}, c.Env...)
	cmd.Stdout, cmd.Stderr = c.Log, c.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Setpgid: true}
	cmd.ExtraFiles = c.Files
	if c.Input != nil {
		cmd.Stdin = c.Input
	}
	cmd.WaitDelay = 5 * time.Second
	if c.Apart {
		apart(cmd.SysProcAttr)
	}
	return cmd, nil
}

// apart puts a child into namespaces of its own. Its root is the unprivileged user outside, and nobody else exists there.
func apart(a *syscall.SysProcAttr) {
	uid, gid := os.Geteuid(), os.Getegid()
	privileged := a.Credential != nil
	if privileged {
		uid, gid = int(a.Credential.Uid), int(a.Credential.Gid)
	}
	a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	// Only the privileged may, and need to, give up their further groups.
	a.GidMappingsEnableSetgroups = privileged
	a.Credential = &syscall.Credential{Uid: 0, Gid: 0, Groups: []uint32{}, NoSetGroups: !privileged}
}

// apartAsRoot is apart for root where that is not allowed: the child stays root outside, too.
func apartAsRoot(a *syscall.SysProcAttr) {
	a.Cloneflags, a.Credential = syscall.CLONE_NEWNET|syscall.CLONE_NEWPID, nil
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop sends sig to the child and waits for its end; after ten seconds it kills the child's process group.
func (p *Process) Stop(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	}
}
