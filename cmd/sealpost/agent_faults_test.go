package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// Whatever is wrong, the agent says so in one line, and neither it nor the server has begun anything.
func TestAgentFaults(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	away := freeAddress(t)
	t.Run("each", func(t *testing.T) { agentFaults(t, r, away) })
	r.desk(t, "alice").count(0, 0)
}

func agentFaults(t *testing.T, r *running, away string) {
	for what, c := range map[string]struct {
		code  string
		words string
		spoil func(d *desk, c *e2etest.Command)
	}{
		"a wrong password": {"wrong-credentials", "password", func(d *desk, c *e2etest.Command) { c.Env[0] = "SEALPOST_PASSWORD=guessed" }},
		"no password":      {"secret-missing", "nobody to ask", func(d *desk, c *e2etest.Command) { c.Env[0] = "SEALPOST_PASSWORD=" }},
		"a server that is not there": {"server-unreachable", "cannot be reached", func(d *desk, c *e2etest.Command) {
			c.Args = replace(c.Args, d.url(), "https://"+away)
		}},
		"a server that is another's": {"server-not-trusted", "", func(d *desk, c *e2etest.Command) {
			openssl(d.t, d.home, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "stranger.key", "-subj", "/CN=Stranger", "-out", "stranger.pem")
			c.Args = replace(c.Args, d.path("pki/root.pem"), d.file("stranger.pem"))
		}},
		"plain HTTP": {"client-config", "https://", func(d *desk, c *e2etest.Command) { c.Args = replace(c.Args, d.url(), "http://"+d.public) }},
		"no roots":   {"file", "nowhere", func(d *desk, c *e2etest.Command) { c.Args = replace(c.Args, d.path("pki/root.pem"), "nowhere") }},
		"a folder for files that cannot be made": {"disk", "cannot be", func(d *desk, c *e2etest.Command) {
			c.Args = replace(c.Args, d.file("out"), d.file("mail.txt", "out"))
		}},
		"a folder that takes no files": {"disk", "cannot be written", func(d *desk, c *e2etest.Command) { c.Args = replace(c.Args, d.file("out"), "/proc") }},
		"a folder for keys that is none": {"state-damaged", "cannot be read", func(d *desk, c *e2etest.Command) {
			c.Args = replace(c.Args, d.home+"/state", d.file("mail.txt", "state"))
		}},
		"a folder for keys that is open to others": {"state-open-to-others", "chmod 700", func(d *desk, c *e2etest.Command) {
			must(d.t, os.Mkdir(d.file("state"), 0o755))
		}},
		"a key that the server does not take": {"key-algorithm", "RSA-4096", func(d *desk, c *e2etest.Command) { c.Args = append(c.Args, "--signing-key", "DSA-1024") }},
		"somebody who has left": {"person-disabled", "", func(d *desk, c *e2etest.Command) {
			c.Env[0], c.Args = "SEALPOST_PASSWORD=dave-sample", replace(c.Args, "alice", "dave")
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := r.desk(t, "alice")
			run := d.enroll()
			c.spoil(d, &run)
			fails(t, run, c.code, c.words)
			d.nothingBegun()
		})
	}
}

func replace(args []string, old, new string) []string {
	out := append([]string(nil), args...)
	for i := range out {
		if out[i] == old {
			out[i] = new
		}
	}
	return out
}

// The disk runs full at one place after another: each time one line says so, and the next run goes on from there to
// the same pair.
func TestAgentDiskFull(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	whole := d.enroll()
	failures := map[string]bool{}
	for limit := 1; ; limit++ { // of each file, in blocks of 512 bytes
		run := e2etest.Command{Path: "sh", Dir: d.home, Env: whole.Env,
			Args: append([]string{"-c", fmt.Sprintf(`ulimit -f %d; exec "$0" "$@"`, limit), whole.Path}, whole.Args...)}
		got := e2etest.Run(t, run)
		if got.Code == 0 {
			break
		}
		fails(t, run, "disk", "cannot be written")
		file, _, _ := strings.Cut(lastLine(got.Stderr), " cannot be written")
		failures[filepath.Base(file)] = true
		if limit > 100 {
			t.Fatalf("still: %s", got.Stderr)
		}
	}
	for _, file := range []string{"settings.json", "pending.json", "identity.json"} {
		if !failures[file] {
			t.Errorf("%s always had room; failed were %v", file, failures)
		}
	}
	d.count(2, 1)
	d.verifies()
	d.tool("openssl", "pkcs12", "-in", "identity.p12", "-passin", "file:identity.password", "-noout")
	if left, err := filepath.Glob(d.file("*", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := filepath.Glob(d.file("state", "*", "pending.json")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "sealpost-agent: ")
}

// The agent is killed as soon as it leaves each of its traces, and at moments between: the next run finishes or starts
// over. There is one pair in the end, and never a key in a store without its certificate.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	enroll := d.enroll("--nss", d.file("profile"))
	traces := []string{"settings.json", "state/*/pending.json", "state/*/identity.json", "out/identity.p12", "profile/cert9.db"}
	killed := 0
	for i, trace := range traces {
		if i == 0 {
			trace = "state/settings.json"
		}
		p := e2etest.Start(t, enroll)
		for !p.Ended() {
			if found, err := filepath.Glob(d.file(filepath.FromSlash(trace))); err != nil || len(found) > 0 {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		p.Signal(syscall.SIGKILL)
		if p.Wait(t) != 0 {
			killed++
		}
		d.stores()
	}
	for after := 5 * time.Millisecond; ; after += max(5*time.Millisecond, after/8) {
		p := e2etest.Start(t, enroll)
		timer := time.AfterFunc(after, func() { p.Signal(syscall.SIGKILL) })
		code := p.Wait(t)
		timer.Stop()
		d.stores()
		if code == 0 {
			break
		}
		killed++
	}
	t.Logf("killed %d times", killed)
	if killed < len(traces) {
		t.Errorf("killed only %d times", killed)
	}
	d.count(2, 1)
	d.verifies()
	if keys := d.tool("certutil", "-K", "-d", "sql:"+d.file("profile")); strings.Count(keys, "\n<") != 2 {
		t.Errorf("keys:\n%s", keys)
	}
	for _, pattern := range []string{"state/*/pending.json", "state/.*", "state/*/.*", "state/*.new", "state/*/*.new", "out/.*", "out/*.new", "out/gpgsm/*.new"} {
		if left, err := filepath.Glob(d.file(filepath.FromSlash(pattern))); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// stores demands that no key is in the database or in identity.p12 without its certificate.
func (d *desk) stores() {
	d.t.Helper()
	if _, err := os.Stat(d.file("profile", "key4.db")); err == nil {
		out := e2etest.Run(d.t, e2etest.Command{Path: "certutil", Args: []string{"-K", "-d", "sql:" + d.file("profile")}})
		if strings.Contains(out.Stdout, "(orphan)") {
			d.t.Errorf("the database has a key without certificate:\n%s", out.Stdout)
		}
	}
	if _, err := os.Stat(d.file("out", "identity.p12")); err == nil {
		out := d.tool("openssl", "pkcs12", "-in", "identity.p12", "-passin", "file:identity.password", "-nodes")
		if keys, certificates := strings.Count(out, "BEGIN PRIVATE KEY"), strings.Count(out, "BEGIN CERTIFICATE"); keys != 2 || certificates < 3 {
			d.t.Errorf("identity.p12 holds %d keys and %d certificates", keys, certificates)
		}
	}
}
