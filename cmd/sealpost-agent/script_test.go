package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sealpost-agent": main})
}

// The scripts run the real program: what it prints, where, and how it exits. The journeys against a real server are
// tested where there is one, in cmd/sealpost.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir+"/home")
		return nil
	}})
}
