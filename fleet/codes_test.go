package fleet_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/fleet"
)

var update = flag.Bool("update", false, "write codes.txt")

var declared = regexp.MustCompile(`fault\.New\([\w."]+,\s*"([a-z0-9-]+)"`)

// Every code that the agent can report is known: those of the agent and of what it calls, and those that the server answers with.
func TestCodes(t *testing.T) {
	t.Parallel()
	found := map[string]bool{"internal": true}
	must(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		return err
	}))
	if *update {
		must(t, os.WriteFile("codes.txt", []byte(strings.Join(slices.Sorted(maps.Keys(found)), "\n")+"\n"), 0o644))
		return
	}
	text, err := os.ReadFile("codes.txt")
	must(t, err)
	list := strings.Fields(string(text))
	if !slices.IsSorted(list) || len(list) < 100 {
		t.Errorf("codes.txt has %d codes, and must be sorted: go generate ./fleet", len(list))
	}
	for _, code := range list {
		if !found[code] {
			t.Errorf("codes.txt has %s, which nothing answers with any more: go generate ./fleet", code)
		}
	}
	for code, want := range map[string]bool{"server-unreachable": true, "key-store": true, "wrong-credentials": true, "disk": true, "made-up": false, "": false} {
		if fleet.KnownCode(code) != want {
			t.Errorf("%q is known: %v", code, !want)
		}
	}
}
