package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/disk"
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
