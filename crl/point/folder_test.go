package point_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/point"
)

func folder(t testing.TB, c point.FolderConfig) *point.Folder {
	t.Helper()
	p, err := point.NewFolder(c)
	must(t, err)
	return p
}

func TestFolderConfig(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		config point.FolderConfig
		word   string
	}{
		"no path":       {point.FolderConfig{}, "path:"},
		"relative":      {point.FolderConfig{Path: "www/crl"}, "path:"},
		"no such user":  {point.FolderConfig{Path: "/x", Owner: "nobody-of-this-name"}, "owner:"},
		"no such group": {point.FolderConfig{Path: "/x", Group: "no-group-of-this-name"}, "group:"},
		"mode":          {point.FolderConfig{Path: "/x", Mode: "rw-r--r--"}, "mode:"},
		"setuid":        {point.FolderConfig{Path: "/x", Mode: "4755"}, "mode:"},
		"unreadable":    {point.FolderConfig{Path: "/x", Mode: "0022"}, "mode:"},
	} {
		if _, err := point.NewFolder(c.config); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFolderOwnerAndMode(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	me, err := user.Current()
	must(t, err)
	dir := t.TempDir()
	must(t, folder(t, point.FolderConfig{Path: dir, Owner: me.Username, Group: me.Gid, Mode: "0640"}).Put(t.Context(), ca.full(t, 1)))
	info, err := os.Stat(filepath.Join(dir, "issuing.crl"))
	must(t, err)
	if info.Mode() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, folder(t, point.FolderConfig{Path: dir}).Put(t.Context(), ca.full(t, 2)))
	if info, err = os.Stat(filepath.Join(dir, "issuing.crl")); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		must(t, folder(t, point.FolderConfig{Path: dir, Owner: "65534", Group: "65534"}).Put(t.Context(), ca.full(t, 3)))
		info, err = os.Stat(filepath.Join(dir, "issuing.crl"))
		must(t, err)
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 65534 || s.Gid != 65534 {
			t.Errorf("owner %d, group %d", s.Uid, s.Gid)
		}
		return
	}
	is(t, "another owner", folder(t, point.FolderConfig{Path: dir, Owner: "root"}).Put(t.Context(), ca.full(t, 3)), point.ErrRefused)
}

// What is wrong with a folder is said, and nothing is written elsewhere.
func TestFolderIsWrong(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	real, link, plain, taken := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "file"), filepath.Join(dir, "taken")
	must(t, errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link), os.WriteFile(plain, nil, 0o644), os.MkdirAll(filepath.Join(taken, "issuing.crl"), 0o755)))
	for path, word := range map[string]string{
		filepath.Join(dir, "none"): "There is no folder", link: "symbolic link", plain: "not a folder", taken: "not a file",
	} {
		err := folder(t, point.FolderConfig{Path: path}).Put(t.Context(), ca.full(t, 1))
		is(t, path, err, point.ErrRefused)
		if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// A link in the place of the file is not followed, neither for reading nor for writing.
	must(t, os.WriteFile(plain, ca.der(t, 99, 0), 0o644))
	must(t, os.Symlink(plain, filepath.Join(real, "issuing.crl")))
	is(t, "a link for a file", folder(t, point.FolderConfig{Path: real}).Put(t.Context(), ca.full(t, 1)), point.ErrRefused)
	if got := names(real)(t); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

// What writers that were killed left behind goes; what others put there stays, and so does the work of a writer that lives.
func TestFolderLeftovers(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	now := time.Now()
	name := func(age time.Duration) string {
		return fmt.Sprintf(".sealpost-%08x-abcdefghijklmnop.tmp", now.Add(-age).Unix())
	}
	stay := []string{name(time.Minute), name(-24 * time.Hour), "x.tmp", ".sealpost-1-x.tmp", ".issuing.crl.swp"}
	for _, n := range append(stay, name(2*time.Hour), name(1000*time.Hour)) {
		must(t, os.WriteFile(filepath.Join(dir, n), []byte("x"), 0o600))
	}
	must(t, folder(t, point.FolderConfig{Path: dir}).Put(t.Context(), ca.full(t, 1)))
	if got := names(dir)(t); len(got) != len(stay)+1 {
		t.Errorf("there are %v", got)
	}
	for _, n := range stay {
		if _, err := os.Stat(filepath.Join(dir, n)); err != nil {
			t.Error(err)
		}
	}
}

// A process that is killed while it writes leaves the old list whole, and the next one goes on.
func TestFolderWriterIsKilled(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	p := folder(t, point.FolderConfig{Path: dir})
	old, next := ca.full(t, 1), ca.full(t, 2)
	must(t, p.Put(t.Context(), old))
	cmd := again(t, "kill", dir)
	if err := cmd.Run(); err == nil {
		t.Fatal("the writer was not killed")
	}
	shows(t, p, old)
	if left := names(dir)(t); len(left) != 2 {
		t.Errorf("the writer was not killed in the middle: %v", left)
	}
	later := folder(t, point.FolderConfig{Path: dir, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
	must(t, later.Put(t.Context(), next))
	shows(t, p, next)
	if left := names(dir)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// The disk is full: the old list stays whole, nothing is left, and the error says so.
func TestFolderDiskFull(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	p := folder(t, point.FolderConfig{Path: dir})
	old := ca.full(t, 1)
	must(t, p.Put(t.Context(), old))
	if out, err := again(t, "full", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shows(t, p, old)
	if left := names(dir)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// again runs TestFolderWriter in a process of its own.
func again(t *testing.T, how, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command("/bin/sh", "-c", `trap "" XFSZ; `+map[string]string{"full": "ulimit -f 1024; ", "kill": ""}[how]+`exec "$0" "$@"`,
		self, "-test.run=^TestFolderWriter$", "-test.short")
	cmd.Env = append(os.Environ(), "SEALPOST_TEST_WRITER="+how, "SEALPOST_TEST_FOLDER="+dir)
	return cmd
}

// TestFolderWriter is what again runs. It does nothing else.
func TestFolderWriter(t *testing.T) {
	how, dir := os.Getenv("SEALPOST_TEST_WRITER"), os.Getenv("SEALPOST_TEST_FOLDER")
	if how == "" {
		return
	}
	ca := newIssuer(t, "Issuing")
	f := ca.large(t, 100, 4<<20)
	f.Head.Issuer = nil // of whoever there may be: what counts here is the writing
	p := folder(t, point.FolderConfig{Path: dir})
	other := f
	other.Name = "other.crl"
	switch how {
	case "kill":
		_ = p.Put(t.Context(), during(other, 1<<20, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }))
		t.Error("still alive")
	case "full":
		err := p.Put(t.Context(), other)
		is(t, "full", err, point.ErrFull)
		if err == nil || !strings.Contains(err.Error(), "no room left") {
			t.Error(err)
		}
	}
}

func TestFolderWithoutRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Log("root may do everything; the rest is tested as another user")
		return
	}
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	p := folder(t, point.FolderConfig{Path: dir})
	must(t, p.Put(t.Context(), ca.full(t, 1)))
	must(t, os.Chmod(dir, 0o555))
	is(t, "not writable", p.Put(t.Context(), ca.full(t, 2)), point.ErrRefused)
	must(t, os.Chmod(dir, 0o000))
	is(t, "not searchable", p.Put(t.Context(), ca.full(t, 2)), point.ErrRefused)
	must(t, os.Chmod(dir, 0o755))
}

// A folder that hangs (here: another process has its lock) ends with the caller's time, and gets the newest list later.
func TestFolderHangs(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	p := folder(t, point.FolderConfig{Path: dir})
	held, err := os.Open(dir)
	must(t, err)
	must(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
	is(t, "held", p.Put(soon(t), ca.full(t, 1)), point.ErrUnreachable)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Put(canceled, ca.full(t, 1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	must(t, held.Close())
	must(t, p.Put(t.Context(), ca.full(t, 2)))
}

// Who gives up in the middle of a slow writing replaces nothing any more, also when it goes on.
func TestFolderGivesUp(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	dir := t.TempDir()
	p := folder(t, point.FolderConfig{Path: dir})
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	slow := during(ca.full(t, 1), 1, func() { cancel(); <-hold })
	if err := p.Put(ctx, slow); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	is(t, "while the slow one is at it", p.Put(soon(t), ca.full(t, 2)), point.ErrUnreachable)
	close(hold)
	two := ca.full(t, 2)
	must(t, p.Put(t.Context(), two))
	shows(t, p, two)
	if left := names(dir)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
