package mozilla

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Running reports whether a program has the profile open: then nobody else may open parent.lock. It has never been run on
// Windows.
func Running(profile string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(profile, "parent.lock"), os.O_RDWR, 0)
	switch {
	case err == nil:
		return false, f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, fs.ErrPermission):
		return true, nil
	}
	return false, ErrProfile.Withf("Whether a program uses the profile %s cannot be told.", profile).Because(err)
}

// Locked is for systems with locks of fcntl.
func Locked(string) (bool, error) { return false, nil }
