// Package disk reads and writes the small files of programs on people's machines: homes, and folders that others write to
// as well, on shared drives and sticks. A file is written whole or not at all, and none is read beyond a limit.
//
// It owns no names and no formats. Reading and writing do not lock: two who write one file at once get one of the two. Who
// must be alone in a folder takes a lock in it (TryLock).
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrDisk is returned when a file cannot be read or written; the detail names it. ErrFull is returned in its place where that is because
// there is no room.
var (
	ErrDisk = fault.New(fault.Unavailable, "disk", "A file cannot be read or written.")
	ErrFull = fault.New(fault.Unavailable, "disk-full", "The disk is full. Make room on it and run this again; nothing that was there is lost.")
)

// Cannot returns ErrFull if err says that there is no room, else ErrDisk. The detail says what cannot be done.
func Cannot(err error, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if Full(err) {
		return ErrFull.Withf("The disk is full. %s Make room on it and run this again; nothing that was there is lost.", detail).Because(err)
	}
	return ErrDisk.Withf("%s", detail).Because(err)
}

// Full reports whether err says that a disk, or somebody's share of it, is full.
func Full(err error) bool {
	return errors.Is(err, ErrFull) || noRoom(err)
}

// Room tries whether a folder takes that many bytes, and returns what Cannot does if not.
func Room(dir string, size int) error {
	f, err := os.CreateTemp(dir, ".sealpost-try-*")
	if err != nil {
		return Cannot(err, "Nothing can be written into %s.", dir)
	}
	if _, err = f.Write(make([]byte, size)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return Cannot(err, "Nothing can be written into %s.", dir)
	}
	return nil
}

// IsThere reports whether there is something at a path that this user can see.
func IsThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Read reads a regular file of at most so many bytes; nil if there is none.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	case int64(len(b)) > most:
		return nil, ErrDisk.Withf("%s is larger than anything that belongs here (%d bytes).", path, most)
	case b == nil:
		b = []byte{}
	}
	return b, nil
}

// Open opens a regular file for reading; nil if there is none. Whatever else has the name, such as a pipe that nobody
// writes to, is refused.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	case !info.Mode().IsRegular():
		return nil, ErrDisk.Withf("%s is not a file.", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	}
	return f, nil
}

// Write writes a file so that a crash, or a stick that is pulled out, leaves the old one or the new one, never a part.
func Write(path string, data []byte, mode fs.FileMode) error {
	if err := replace(path, data, mode); err != nil {
		return Cannot(err, "%s cannot be written.", path)
	}
	return nil
}

// Publish writes a file, mode 0644, that others read and nobody changes any more: one that is there already, with the same
// content, is left alone. With other content, of which most bytes are read, it is left alone too, and fs.ErrExist returned.
func Publish(path string, data []byte, most int64) error {
	old, err := Read(path, most)
	switch {
	case err != nil:
		return err
	case old == nil:
		return Write(path, data, 0o644)
	case !bytes.Equal(old, data):
		return fs.ErrExist
	}
	return nil
}

func replace(path string, data []byte, mode fs.FileMode) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return SyncFolder(filepath.Dir(path))
}

// ErrLocked says that another process has a lock.
var ErrLocked = errors.New("locked by another process")

// TryLock takes an open file's lock for this process, or returns ErrLocked; either way it looks after the file. The kernel gives the lock
// back when the process ends, however it ends.
func TryLock(f *os.File) (unlock func() error, err error) {
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return errors.Join(unlockFile(f), f.Close()) }, nil
}
