package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealpost/sealpost/internal/pgtest"
)

const program = "sealpost-agent"

// TestMain is the program itself when it is called by its name, and else the tests.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == program {
		main()
	}
	pgtest.Main(m)
}

// link puts the program into a folder.
func link(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(dir, program))
}

// prepare gives a script the program and a home.
func prepare(e *testscript.Env) error {
	bin := filepath.Join(e.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	return link(bin)
}

// The scripts run the real program: what it prints, where, and how it exits. No server is there.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: prepare})
}
