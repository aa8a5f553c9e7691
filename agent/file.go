package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile writes a file so that a crash leaves the old one or the new one, never a part, and that the new one is on
// disk when it returns.
func writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return ErrDisk.Withf("%s cannot be written.", path).Because(err)
	}
	defer func() {
		if err != nil {
			err = ErrDisk.Withf("%s cannot be written.", path).Because(errors.Join(err, f.Close(), remove(f.Name())))
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return syncDir(dir)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes renames and removals in a folder last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return ErrDisk.Because(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return ErrDisk.Because(err)
	}
	return nil
}

// makePrivateDir makes a folder for nobody but its owner, and refuses one that is open to others.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ErrDisk.Withf("The folder %s cannot be made.", dir).Because(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ErrDisk.Because(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return ErrOpenToOthers.Withf("The folder %s is open to other users, and private keys are kept in it. Close it: chmod 700 %s", dir, dir)
	}
	return syncDir(filepath.Dir(dir))
}
