package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sealpost/sealpost/internal/child"
)

// marker is the file by which a former demo's folder is known.
const marker = ".sealpost-demo"

// takeFolder makes the demo's folder ready: a new or empty one, or a former demo's, whose contents are removed. Anything
// else is left alone.
func takeFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s is neither empty nor a former demo's folder; choose another one", dir)
		} else if err != nil {
			return "", err
		}
		if err := removeScratch(dir); err != nil {
			return "", err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return "", err
			}
		}
	}
	if err := mark(dir, ""); err != nil {
		return "", err
	}
	return dir, reachable(dir)
}

// mark writes the marker, with the folder outside this one that the demo uses, if there is one.
func mark(dir, outside string) error {
	return os.WriteFile(filepath.Join(dir, marker), []byte("Made by the Sealpost demo, which may remove this folder's contents.\n"+outside+"\n"), 0o644)
}

const (
	scratchPrefix = "sp-demo-"
	// longestDir is how many bytes the demo's folder may have for Unix sockets to fit below it: their paths have at most
	// 107, and the longest is run/gnupg/S.gpg-agent.browser.
	longestDir = 107 - len("/run/gnupg/S.gpg-agent.browser")
)

// makeScratch makes a folder for Unix sockets and for what goes from one program to another. It is removed when the
// demo ends. Below a folder with a long path it would be no good, and is made among the machine's temporary files;
// the marker remembers it, for the next demo to remove what one that was killed left there.
func makeScratch(dir string) (string, error) {
	if len(dir) <= longestDir {
		scratch := filepath.Join(dir, "run")
		return scratch, child.MakeDir(scratch)
	}
	scratch, err := child.TempDir(scratchPrefix)
	if err != nil {
		return "", err
	}
	return scratch, mark(dir, scratch)
}

// removeScratch removes the folder outside that a former demo had.
func removeScratch(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, marker))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	outside := strings.TrimSuffix(rest, "\n")
	if !filepath.IsAbs(outside) || !strings.HasPrefix(filepath.Base(outside), scratchPrefix) {
		return nil
	}
	return os.RemoveAll(outside)
}

// reachable reports whether the unprivileged user that servers run as, when root starts the demo, can reach the folder.
func reachable(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().Perm()&0o001 == 0 && s.Uid == 0 {
			return fmt.Errorf("as root, the demo's servers run as another user, who cannot enter %s; choose a folder such as /tmp/sealpost-demo (--dir)", d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// DefaultFolder returns where the demo lives unless told otherwise: ./demo, or for root, whose own folders the servers
// cannot enter, a new folder for temporary files.
func DefaultFolder() (string, error) {
	dir, err := filepath.Abs("demo")
	if err != nil {
		return "", err
	}
	if reachable(filepath.Dir(dir)) == nil {
		return dir, nil
	}
	dir, err = child.TempDir("sealpost-demo-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
