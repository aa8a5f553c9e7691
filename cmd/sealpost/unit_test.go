package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mostExposed is the worst that systemd may say of the unit's rights, in tenths of its scale, which ends with 100.
const mostExposed = "20"

// The unit for systemd is one, and systemd finds that it gives the server few rights.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("true")
	must(t, err)
	unit := filepath.Join(t.TempDir(), "sealpost.service")
	text := read(t, "../../docs/sealpost.service")
	const installed = "/usr/local/bin/sealpost"
	if strings.Count(text, installed) != 1 {
		t.Fatalf("the unit does not run %s", installed)
	}
	write(t, unit, strings.Replace(text, installed, program, 1))
	for _, args := range [][]string{{"verify", "--man=no", "--recursive-errors=no", unit}, {"security", "--offline=true", "--threshold=" + mostExposed, unit}} {
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=")
		if out, err := cmd.CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
