package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/kra"
)

// The first time that an officer sees the audit log, they compare its key with somebody; who hears other words signs nothing.
func TestFirstSightOfTheLog(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	roster := r.settle()
	a, _ := r.restoreCase(roster, "case")
	must(t, os.Remove(filepath.Join(r.home("olga"), "log.txt")))
	if _, errs, err := r.runs("olga", "approve", "case", "--fingerprint", record.Fingerprint(a.device).String()); err == nil || !strings.Contains(errs, "log trust") {
		t.Errorf("without a terminal: %v\n%s", err, errs)
	}
	if all, err := r.types("olga", record.Hash{1}, "approve", "case"); err == nil || !strings.Contains(all, "somebody has exchanged what you see") {
		t.Errorf("with other words: %v\n%s", err, all)
	}
	if out, _, err := r.runs("olga", "show", "case"); err != nil || !strings.Contains(out, "kra-log-unknown") {
		t.Errorf("show: %v\n%s", err, out)
	}
	p := &typist{passphrases: []string{"the five words of olga"}}
	p.heard = func() record.Hash { // first the key's words, then those of alice's device
		p.heard = func() record.Hash { return record.Fingerprint(a.device) }
		return kra.KeyHash(r.log.Key)
	}
	all, err := p.run(t, r.command("olga", "approve", "case"))
	if err != nil || !strings.Contains(all, "This is the first time that you see the server's audit log") || !strings.Contains(all, "The audit log has 2 events, signed by its key") {
		t.Errorf("%v\n%s", err, all)
	}
	if out, _, err := r.runs("olga", "log", "show", "--json"); err != nil || !strings.Contains(out, `"size": 2`) || !strings.Contains(out, r.log.Key) {
		t.Errorf("log show: %v\n%s", err, out)
	}
	if _, errs, err := r.runs("otto", "log", "check", "case/01-agent.checkpoint"); err == nil || !strings.Contains(errs, "--server") {
		t.Errorf("log check without a server: %v\n%s", err, errs)
	}
	if _, errs, err := r.runs("otto", "log", "check", "case/case.bin"); err == nil || !strings.Contains(errs, "no checkpoint") {
		t.Errorf("log check of a file without one: %v\n%s", err, errs)
	}
	out, _, err := r.runs("olga", "log", "forget")
	if files, _ := filepath.Glob(filepath.Join(r.home("olga"), "log-until-*.txt")); err != nil || len(files) != 1 || !strings.Contains(out, files[0]) {
		t.Errorf("log forget: %v\n%s", err, out)
	}
}
