package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/disktest"
	"github.com/sealpost/sealpost/internal/fault"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if b, err := disk.Read(path, 10); b != nil || err != nil {
		t.Errorf("a file that is not there: %q, %v", b, err)
	}
	if f, err := disk.Open(path); f != nil || err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, text := range []string{"one", "", "more text"} {
		if err := os.WriteFile(path+".new", []byte("left over"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := disk.Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := disk.Read(path, 9); b == nil || string(b) != text || err != nil {
			t.Errorf("%q became %q, %v", text, b, err)
		}
	}
	if _, err := disk.Read(path, 8); !errors.Is(err, disk.ErrDisk) {
		t.Errorf("too large: %v", err)
	}
	if _, err := disk.Read(dir, 8); !errors.Is(err, disk.ErrDisk) {
		t.Errorf("a folder: %v", err)
	}
	if err := disk.Write(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, disk.ErrDisk) {
		t.Errorf("no folder: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// What cannot be put in its place is taken away again.
func TestWriteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Write(blocked, []byte("secret"), 0o600); !errors.Is(err, disk.ErrDisk) {
		t.Errorf("a folder was replaced by a file: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// On a real file system without room the old file stays, nothing is left behind, and the fault says why.
func TestFull(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, 1<<20)
	path := filepath.Join(d.Outside, "file")
	if err := disk.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Leave(t, 4096)
	err := disk.Write(path, make([]byte, 5000), 0o600)
	if f := fault.Of(err); !errors.Is(err, disk.ErrFull) || errors.Is(err, disk.ErrDisk) || f == nil || !strings.Contains(f.Detail, path) {
		t.Errorf("written: %v", err)
	}
	if b, err := disk.Read(path, 10); string(b) != "old" || err != nil {
		t.Errorf("the old file is %q, %v", b, err)
	}
	if err := disk.Room(d.Outside, 4096); err != nil {
		t.Errorf("there is room: %v", err)
	}
	if err := disk.Room(d.Outside, 4097); !errors.Is(err, disk.ErrFull) {
		t.Errorf("there is none: %v", err)
	}
	if entries, err := os.ReadDir(d.Outside); err != nil || len(entries) != 2 { // with what fills it
		t.Errorf("left behind: %v, %v", entries, err)
	}
	d.Free(t)
	if err := disk.Write(path, make([]byte, 5000), 0o600); err != nil {
		t.Error(err)
	}
	if err := disk.Room(filepath.Join(d.Outside, "none"), 1); !errors.Is(err, disk.ErrDisk) || disk.Full(err) {
		t.Errorf("no such folder: %v", err)
	}
}
