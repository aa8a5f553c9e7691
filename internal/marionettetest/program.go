package marionettetest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// Config says what to start, and where.
type Config struct {
	Path    string // of the program
	Home    string // a person's
	Profile string // whose preferences have Port as marionette.port
	Port    int
	Prelude string // comes before each script
}

// Program is one of Mozilla's programs that runs, without a display.
type Program struct {
	name    string
	cmd     *exec.Cmd
	done    <-chan struct{}
	session *session
}

// Start starts a program and waits until it does what it is asked. It ends with this process at the latest; Kill ends it before.
func Start(t testing.TB, c Config) *Program {
	t.Helper()
	p := &Program{name: c.Path, cmd: exec.Command(c.Path, "--headless", "--no-remote", "--profile", c.Profile, "--marionette", "--remote-allow-system-access")}
	p.cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + c.Home, "LC_ALL=C.UTF-8", "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1", "DBUS_SESSION_BUS_ADDRESS=disabled:"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others
	var err error
	if p.done, err = child.StartBound(p.cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if p.session, err = connect(c.Port, c.Prelude, p.done); err != nil {
		p.Kill()
		t.Fatalf("%s does not answer: %v", c.Path, err)
	}
	return p
}

// Run has the program run a script with all rights, as the body of an async function of a0, a1, …, and returns what it returns.
func (p *Program) Run(t testing.TB, script string, args ...any) any {
	t.Helper()
	v, err := p.session.run(script, args...)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return v
}

// Quit ends the program as a person does, so that it writes what it has to write.
func (p *Program) Quit(t testing.TB) {
	t.Helper()
	if _, err := p.session.command("Marionette:Quit", map[string]any{"flags": []string{"eAttemptQuit"}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("%s does not end", p.name)
	}
	p.Kill()
}

// Kill ends whatever is left of it. It may be none.
func (p *Program) Kill() {
	if p == nil || p.cmd == nil {
		return
	}
	_ = p.session.close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its whole group; there may be nobody left
	<-p.done
	p.cmd = nil
}

// Preferences are those that any of the programs should have in a test: it asks nobody outside anything.
func Preferences(port int) map[string]any {
	return map[string]any{"marionette.port": port, "app.update.enabled": false, "datareporting.policy.dataSubmissionEnabled": false, "toolkit.telemetry.enabled": false,
		"network.captive-portal-service.enabled": false, "network.connectivity-service.enabled": false, "services.settings.server": "http://127.0.0.1:9/",
		"extensions.update.enabled": false, "extensions.getAddons.cache.enabled": false}
}

// Prefs is the text of prefs.js.
func Prefs(t testing.TB, all map[string]any) string {
	t.Helper()
	var lines []string
	for name, value := range all {
		v, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("user_pref(%q, %s);\n", name, v))
	}
	slices.Sort(lines)
	return "// Mozilla User Preferences\n\n" + strings.Join(lines, "")
}
