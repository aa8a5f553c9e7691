package token_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The static agent has no tokens, and says so.
func TestWithoutCgo(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "sealpost-agent")
	build := exec.Command("go", "build", "-o", program, "./testdata/asks")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "token-not-built-in") || !strings.Contains(string(out), "no token support") {
		t.Errorf("%v\n%s", err, out)
	}
}
