//go:build !windows

package mozilla

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Running reports whether a program has the profile open. It holds a lock of fcntl on .parentlock and, on Linux, a symbolic
// link "lock" that names its process; where a file system knows no locks, the link alone counts. A link that a crash left
// does not.
func Running(profile string) (bool, error) {
	held, err := Locked(filepath.Join(profile, ".parentlock"))
	if held || err == nil {
		return held, nil
	}
	if !errors.Is(err, errNoLocks) {
		return false, ErrProfile.Withf("Whether a program uses the profile %s cannot be told.", profile).Because(err)
	}
	return linked(profile), nil
}

var errNoLocks = errors.New("the file system knows no locks")

// Locked reports whether another process has a lock of fcntl on any part of a file.
func Locked(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock)
	if errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return false, errNoLocks
	}
	return err == nil && lock.Type != unix.F_UNLCK, err
}

// linked reports whether the link names a process that lives ("192.0.2.1:+4711").
func linked(profile string) bool {
	target, err := os.Readlink(filepath.Join(profile, "lock"))
	if err != nil {
		return false
	}
	_, process, _ := strings.Cut(target, ":")
	pid, err := strconv.Atoi(strings.TrimPrefix(process, "+"))
	if err != nil || pid <= 0 {
		return false
	}
	err = syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
