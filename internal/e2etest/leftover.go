package e2etest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// NothingRuns fails the test when, after a moment, there still are processes that have something to do with a folder: by
// their arguments, their environment, their working folder or their program.
func NothingRuns(t testing.TB, folder string) {
	t.Helper()
	Eventually(t, func() error {
		if left := processesOf(folder); len(left) > 0 {
			return fmt.Errorf("processes are left of %s:\n%s", folder, strings.Join(left, "\n"))
		}
		return nil
	})
}

// Runs fails the test unless a process that has something to do with a folder has this word in its command line: what
// NothingRuns would see.
func Runs(t testing.TB, folder, word string) {
	t.Helper()
	for _, p := range processesOf(folder) {
		if strings.Contains(p, word) {
			return
		}
	}
	t.Errorf("no %s is running of %s", word, folder)
}

// processesOf returns the command lines of the processes that have something to do with a folder. Those that may not be
// looked at are somebody else's.
func processesOf(folder string) []string {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var out []string
	for _, proc := range folders {
		if proc == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		arguments, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		if err != nil || len(arguments) == 0 { // ended, or a zombie
			continue
		}
		traces := arguments
		if environment, err := os.ReadFile(filepath.Join(proc, "environ")); err == nil {
			traces = append(traces, environment...)
		}
		for _, link := range []string{"cwd", "exe"} {
			if to, err := os.Readlink(filepath.Join(proc, link)); err == nil {
				traces = append(traces, to...)
			}
		}
		if bytes.Contains(traces, []byte(folder)) {
			out = append(out, filepath.Base(proc)+" "+strings.ReplaceAll(string(arguments), "\x00", " "))
		}
	}
	return out
}

// Empty fails the test when there is anything in a folder.
func Empty(t testing.TB, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left in %s", e.Name(), folder)
	}
}
