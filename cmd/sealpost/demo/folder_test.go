package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder with a long path has its sockets elsewhere, and the next demo removes them when this one is killed.
func TestScratchIsFoundAgain(t *testing.T) {
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"short", strings.Repeat("long", 30)} {
		dir := filepath.Join(tmp, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := mark(dir, ""); err != nil {
			t.Fatal(err)
		}
		scratch, err := makeScratch(dir)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(scratch + "/gnupg/S.gpg-agent.browser"); n > 107 || strings.HasPrefix(scratch, dir) != (len(dir) <= longestDir) {
			t.Errorf("%s has its sockets at %s: %d bytes", dir, scratch, n)
		}
		if err := removeScratch(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(scratch); len(dir) > longestDir && !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", scratch, err)
		}
	}
}

// Nothing else is removed, whatever a marker says.
func TestMarkerIsNotTrusted(t *testing.T) {
	dir, precious := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	for _, outside := range []string{precious, "../precious", "sp-demo-1", ""} {
		if err := mark(dir, outside); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(precious, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := removeScratch(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(precious); err != nil {
			t.Error(err)
		}
	}
}
