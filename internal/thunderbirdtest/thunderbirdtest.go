// Package thunderbirdtest runs the real Thunderbird for tests, without a display, in a profile and a home of its own, and drives it
// through Marionette, Mozilla's protocol for tests. It is imported by tests only.
//
// It knows how a person would send a mail and look at one. What certificates there are, and which of them an account uses, is
// for others to arrange: it does not touch either.
package thunderbirdtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// patience bounds a start, and each thing that Thunderbird is asked to do. The machine may be busy.
const patience = 3 * time.Minute

// Config says whose profile it is, and by which servers their mail comes and goes.
type Config struct {
	Address   string
	IMAP      int    // port of 127.0.0.1, TLS
	Password  string // of the mailbox
	TrustFile string // PEM, of the server's certificate
	SMTP      int    // port of 127.0.0.1, without TLS or login
}

// Thunderbird is a profile with one account, and the program once it was started.
type Thunderbird struct {
	Home    string // with .thunderbird in it, as a person's
	Profile string

	config  Config
	port    int
	cmd     *exec.Cmd
	done    <-chan struct{}
	session *marionette
}

// New makes the profile. With -short the test is skipped; a missing Thunderbird fails it.
func New(t testing.TB, c Config) *Thunderbird {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Thunderbird; not run with -short")
	}
	tb := &Thunderbird{Home: t.TempDir(), config: c}
	tb.Profile = filepath.Join(tb.Home, ".thunderbird", "abcd1234.default-esr")
	if err := os.MkdirAll(tb.Profile, 0o700); err != nil {
		t.Fatal(err)
	}
	ports, err := child.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	tb.port = ports[0]
	tb.write(t, "../profiles.ini", "[Profile0]\nName=default-esr\nIsRelative=1\nPath=abcd1234.default-esr\nDefault=1\n\n[General]\nStartWithLastProfile=1\nVersion=2\n")
	tb.write(t, "prefs.js", tb.prefs(t))
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "mail server", "-t", "C,,", "-i", c.TrustFile}} {
		if out, err := exec.Command("certutil", append(args, "-d", "sql:"+tb.Profile)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v: %s", err, out)
		}
	}
	t.Cleanup(func() { tb.kill() })
	return tb
}

// prefs are the preferences of a profile with one account, and of a program that asks nobody outside anything.
func (tb *Thunderbird) prefs(t testing.TB) string {
	c := tb.config
	name, _, _ := strings.Cut(c.Address, "@")
	all := map[string]any{
		"marionette.port": tb.port, "app.update.enabled": false, "datareporting.policy.dataSubmissionEnabled": false, "toolkit.telemetry.enabled": false,
		"mail.provider.suppress_dialog_on_startup": true, "mailnews.start_page.enabled": false, "mail.shell.checkDefaultClient": false, "mail.rights.version": 1,
		"mailnews.database.global.indexer.enabled": false, "mail.inappnotifications.enabled": false, "app.donation.eoy.version.viewed": 999,
		"mail.biff.play_sound": false, "mail.biff.show_alert": false, "mail.openMessageBehavior": 0,
		"offline.startup_state": 3, "offline.autoDetect": false, // until it has the password, which it would ask for
		"network.captive-portal-service.enabled": false, "network.connectivity-service.enabled": false, "services.settings.server": "http://127.0.0.1:9/",
		"extensions.update.enabled": false, "extensions.getAddons.cache.enabled": false,
		"mail.accountmanager.accounts": "account1,account2", "mail.accountmanager.localfoldersserver": "server2", "mail.account.account2.server": "server2",
		"mail.server.server2.type": "none", "mail.server.server2.hostname": "Local Folders", "mail.server.server2.userName": "nobody", "mail.server.server2.name": "Local Folders",
		"mail.accountmanager.defaultaccount": "account1",
		"mail.account.account1.identities":   "id1", "mail.account.account1.server": "server1",
		"mail.identity.id1.useremail": c.Address, "mail.identity.id1.fullName": name, "mail.identity.id1.valid": true, "mail.identity.id1.smtpServer": "smtp1",
		"mail.identity.id1.compose_html": false, "mail.identity.id1.doFcc": false,
		"mail.server.server1.type": "imap", "mail.server.server1.hostname": "127.0.0.1", "mail.server.server1.port": c.IMAP, "mail.server.server1.socketType": 3,
		"mail.server.server1.userName": name, "mail.server.server1.login_at_startup": false, "mail.server.server1.check_new_mail": false, "mail.server.server1.using_subscription": false,
		"mail.smtpservers": "smtp1", "mail.smtp.defaultserver": "smtp1", "mail.smtpserver.smtp1.hostname": "127.0.0.1", "mail.smtpserver.smtp1.port": c.SMTP, "mail.smtpserver.smtp1.type": "smtp",
		"mail.smtpserver.smtp1.try_ssl": 0, "mail.smtpserver.smtp1.authMethod": 1,
	}
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

func (tb *Thunderbird) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(tb.Profile, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start starts the program, which ends with the test at the latest.
func (tb *Thunderbird) Start(t testing.TB) {
	t.Helper()
	path, err := child.FindProgram("thunderbird", "/usr/lib/thunderbird", "/usr/lib/thunderbird-esr")
	if err != nil {
		t.Fatal(err)
	}
	tb.cmd = exec.Command(path, "--headless", "--no-remote", "--profile", tb.Profile, "--marionette", "--remote-allow-system-access")
	tb.cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + tb.Home, "LC_ALL=C.UTF-8", "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1", "DBUS_SESSION_BUS_ADDRESS=disabled:"}
	tb.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others
	if tb.done, err = child.StartBound(tb.cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if tb.session, err = connect(tb.port, tb.done); err != nil {
		t.Fatalf("Thunderbird does not answer: %v", err)
	}
	tb.Run(t, `MailServices.accounts.defaultAccount.incomingServer.password = a0; Services.io.offline = false;`, tb.config.Password)
}

// Quit ends the program as a person does, so that it writes what it has to write.
func (tb *Thunderbird) Quit(t testing.TB) {
	t.Helper()
	if _, err := tb.session.command("Marionette:Quit", map[string]any{"flags": []string{"eAttemptQuit"}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-tb.done:
	case <-time.After(patience):
		t.Error("Thunderbird does not end")
	}
	tb.kill()
}

// kill ends whatever is left of it.
func (tb *Thunderbird) kill() {
	if tb.cmd == nil {
		return
	}
	_ = tb.session.close()
	_ = syscall.Kill(-tb.cmd.Process.Pid, syscall.SIGKILL) // its whole group; there may be nobody left
	<-tb.done
	tb.cmd = nil
}

// Run has Thunderbird run a script with all rights, as the body of an async function of a0, a1, …, and returns what it returns.
func (tb *Thunderbird) Run(t testing.TB, script string, args ...any) any {
	t.Helper()
	v, err := tb.session.run(script, args...)
	if err != nil {
		t.Fatalf("Thunderbird: %v", err)
	}
	return v
}
