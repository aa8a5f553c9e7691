package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// FileSink appends checkpoints to a file, which it makes if need be, and never shortens or rotates. The file belongs on
// other storage than the database, best where nothing can be taken away (chattr +a, a WORM share). proof.ReadKept reads it.
type FileSink struct{ Path string }

// String names the file.
func (s FileSink) String() string { return "file " + s.Path }

// Keep appends a checkpoint and waits until it is on the disk.
func (s FileSink) Keep(_ context.Context, checkpoint []byte) (err error) {
	_, statErr := os.Stat(s.Path)
	f, err := os.OpenFile(s.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	torn, err := endsTorn(f)
	if err != nil {
		return err
	}
	if _, err := f.Write(proof.KeptBlock(checkpoint, torn)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return syncDir(filepath.Dir(s.Path))
	}
	return nil
}

// endsTorn reports whether the file has content that does not end with an empty line.
func endsTorn(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var end [2]byte
	if _, err := f.ReadAt(end[:], max(0, info.Size()-2)); err != nil {
		return false, fmt.Errorf("read the end of %s: %w", f.Name(), err)
	}
	return string(end[:]) != "\n\n", nil
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
