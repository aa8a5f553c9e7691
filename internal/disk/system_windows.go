package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// everything is a length that no file reaches: the whole file is locked.
const everything = ^uint32(0)

func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, everything, everything, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func unlockFile(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, everything, everything, &windows.Overlapped{})
}

// SyncFolder does nothing: Windows opens no folder for writing, and NTFS keeps a journal of renames.
func SyncFolder(string) error { return nil }

// OpenToOthers reports nothing on Windows: a mode says nothing there, and folders below a person's own inherit who may enter.
func OpenToOthers(fs.FileInfo) bool { return false }

// ChangedByOthers reports nothing on Windows, likewise.
func ChangedByOthers(fs.FileInfo) bool { return false }

// noRoom reports whether an error of the system says that the disk, or the user's quota, is full.
func noRoom(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
