package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxProgram is how large the agent may be, in bytes.
const maxProgram = 20 << 20

func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false") // a copy has no history
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// The agent is one small program without cgo for each system, and the same bytes wherever it is built.
func TestPrograms(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	must(t, err)
	out := t.TempDir()
	runIn(t, root, "scripts/agents", out, "linux/amd64", "darwin/arm64", "windows/amd64")
	for _, name := range []string{"sealpost-agent-linux-amd64", "sealpost-agent-darwin-arm64", "sealpost-agent-windows-amd64.exe"} {
		path := filepath.Join(out, name)
		info, err := os.Stat(path)
		must(t, err)
		if info.Size() >= maxProgram {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		build, err := buildinfo.ReadFile(path)
		must(t, err)
		settings := map[string]string{}
		for _, s := range build.Settings {
			settings[s.Key] = s.Value
		}
		if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
			t.Errorf("%s: %v", name, settings)
		}
		data, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(data, []byte(root)) {
			t.Errorf("%s holds the folder that it was built in", name)
		}
	}
	e, err := elf.Open(filepath.Join(out, "sealpost-agent-linux-amd64"))
	must(t, err)
	defer e.Close()
	if libraries, err := e.ImportedLibraries(); err != nil || len(libraries) > 0 || e.Section(".interp") != nil {
		t.Errorf("not static: %v, %v", libraries, err)
	}
	m, err := macho.Open(filepath.Join(out, "sealpost-agent-darwin-arm64"))
	must(t, err)
	must(t, m.Close())
	p, err := pe.Open(filepath.Join(out, "sealpost-agent-windows-amd64.exe"))
	must(t, err)
	must(t, p.Close())

	// Once more, from a copy in another folder.
	elsewhere := filepath.Join(t.TempDir(), "another", "place")
	must(t, os.MkdirAll(elsewhere, 0o700))
	runIn(t, root, "sh", "-c", `tar --exclude=./.git --exclude=./bin --exclude=node_modules -cf - . | tar -xf - -C "$1"`, "sh", elsewhere)
	again := t.TempDir()
	runIn(t, elsewhere, "scripts/agents", again, "linux/amd64")
	first, err := os.ReadFile(filepath.Join(out, "sealpost-agent-linux-amd64"))
	must(t, err)
	second, err := os.ReadFile(filepath.Join(again, "sealpost-agent-linux-amd64"))
	must(t, err)
	if !bytes.Equal(first, second) {
		t.Error("built elsewhere, the program is another one")
	}
}
