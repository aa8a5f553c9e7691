// Package disktest makes small real file systems for tests: ones that can be full, and have room again. It is imported by tests only.
//
// Each is a tmpfs in a mount namespace of its own, which needs no rights but those to make a user namespace, or root's: outside, nobody sees it.
// A program sees it when it is started by Enter; a test, below Outside. What fills it and what is in it is for others to arrange.
package disktest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
)

// Disk is a file system.
type Disk struct {
	Dir     string // where it is for programs that Enter starts; an empty folder for all others
	Outside string // where it is for the test: /proc/PID/root and so on, which SQLite, for one, takes for another place

	pid   int
	enter []string // options of nsenter
}

// filler takes the room.
const filler = "filler"

// New makes a file system of a size in bytes, which is rounded up to pages. It ends with the test.
func New(t testing.TB, size int64) *Disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	d, err := mount(t, dir, size, []string{"--user", "--map-root-user"}, "--user", "--mount", "--preserve-credentials")
	if err != nil && os.Geteuid() == 0 { // who is in a chroot gets no user namespace, and cannot reach its outermost mount; root needs neither
		t.Logf("without a user namespace, because: %v", err)
		d, err = mount(t, dir, size, []string{"--propagation", "unchanged"}, "--mount", "--root")
	}
	if err != nil {
		t.Fatalf("no file system of its own: %v. It needs a user namespace. Linux lets root have them, and others where kernel.unprivileged_userns_clone, "+
			"user.max_user_namespaces and AppArmor allow it.", err)
	}
	return d
}

// mount makes it in a mount namespace, with further options of unshare, and of nsenter for who enters. Whoever is in a user namespace of their own may
// mount in it. It lasts as long as somebody is there: cat, until its input ends.
func mount(t testing.TB, dir string, size int64, unshare []string, enter ...string) (*Disk, error) {
	t.Helper()
	hold := exec.Command("unshare", append(unshare, "--mount", "sh", "-c", fmt.Sprintf(`mount -t tmpfs -o mode=0700,size=%d disktest "$0" && echo ready && cat; umount -l "$0"`, size), dir)...)
	var said bytes.Buffer
	hold.Stderr = &said
	in, err := hold.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := hold.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ended, err := child.StartBound(hold, syscall.SIGKILL)
	if err != nil {
		return nil, fmt.Errorf("%w: is util-linux installed?", err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		_ = in.Close() // it has ended
		<-ended
		return nil, fmt.Errorf("%q, %v: %s", line, err, said.String())
	}
	t.Cleanup(func() {
		_ = in.Close() // it may have ended
		<-ended
	})
	d := &Disk{Dir: dir, pid: hold.Process.Pid, enter: enter}
	d.Outside = filepath.Join("/proc", strconv.Itoa(d.pid), "root", dir)
	return d, nil
}

// Enter returns how a program is started such that it sees the file system.
func (d *Disk) Enter(path string, args ...string) (string, []string) {
	return "nsenter", slices.Concat([]string{"--target", strconv.Itoa(d.pid)}, d.enter, []string{"--", path}, args)
}

// Leave fills the file system such that so many bytes are left, a multiple of the page's size.
func (d *Disk) Leave(t testing.TB, free int64) {
	t.Helper()
	d.Free(t)
	f, err := os.OpenFile(filepath.Join(d.Outside, filler), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	room := d.Room(t)
	if room < free {
		t.Fatalf("only %d bytes are left, want %d", room, free)
	}
	if room > free {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, room-free)
	}
	if closed := f.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
	if left := d.Room(t); left != free {
		t.Fatalf("%d bytes are left, want %d", left, free)
	}
}

// Free gives the room back that Leave took.
func (d *Disk) Free(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.Outside, filler)); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Room returns how many bytes are left.
func (d *Disk) Room(t testing.TB) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.Outside, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}
