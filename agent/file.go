package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/disk"
)

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes renames and removals in a folder last.
func syncDir(dir string) error {
	if err := disk.SyncFolder(dir); err != nil {
		return disk.Cannot(err, "What was written into %s may not last.", dir)
	}
	return nil
}

// makePrivateDir makes a folder for nobody but its owner, and refuses one that is open to others.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return disk.Cannot(err, "The folder %s cannot be made.", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ErrDisk.Because(err)
	}
	if disk.OpenToOthers(info) {
		return ErrOpenToOthers.Withf("The folder %s is open to other users, and private keys are kept in it. Close it: chmod 700 %s", dir, dir)
	}
	return syncDir(filepath.Dir(dir))
}
