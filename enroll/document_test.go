package enroll_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A step is named where After is called with its name, or in issue's table.
var (
	stepInCode     = regexp.MustCompile(`\.After\("(\w+)"\)|\{"(\w+)", func\(\)`)
	stepInDocument = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
)

// TestEveryStepIsDocumented: docs/issuance-cycle.md has a row for each step at which a process may end, and no other.
func TestEveryStepIsDocumented(t *testing.T) {
	code, documented := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range stepInCode.FindAllStringSubmatch(text(t, f), -1) {
			code[m[1]+m[2]] = true
		}
	}
	for _, m := range stepInDocument.FindAllStringSubmatch(text(t, filepath.Join("..", "docs", "issuance-cycle.md")), -1) {
		documented[m[1]] = true
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(code)), slices.Sorted(maps.Keys(documented))); d != "" || len(code) < 8 {
		t.Errorf("steps of the code (-), of the document (+):\n%s", d)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
