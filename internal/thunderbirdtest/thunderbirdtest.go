// Package thunderbirdtest runs the real Thunderbird for tests, without a display, in a profile and a home of its own, and drives it
// through Marionette, Mozilla's protocol for tests. It is imported by tests only.
//
// It knows how a person would send a mail and look at one. What certificates there are, and which of them an account uses, is
// for others to arrange: it does not touch either.
package thunderbirdtest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/marionettetest"
)

// prelude is there for every script.
const prelude = `
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const {MailUtils} = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");
`

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

	*marionettetest.Program

	config Config
	port   int
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
	t.Cleanup(func() { tb.Kill() })
	return tb
}

// prefs are the preferences of a profile with one account, and of a program that asks nobody outside anything.
func (tb *Thunderbird) prefs(t testing.TB) string {
	c := tb.config
	name, _, _ := strings.Cut(c.Address, "@")
	all := marionettetest.Preferences(tb.port)
	maps.Copy(all, map[string]any{
		"mail.provider.suppress_dialog_on_startup": true, "mailnews.start_page.enabled": false, "mail.shell.checkDefaultClient": false, "mail.rights.version": 1,
		"mailnews.database.global.indexer.enabled": false, "mail.inappnotifications.enabled": false, "app.donation.eoy.version.viewed": 999,
		"mail.biff.play_sound": false, "mail.biff.show_alert": false, "mail.openMessageBehavior": 0,
		"offline.startup_state": 3, "offline.autoDetect": false, // until it has the password, which it would ask for
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
	})
	return marionettetest.Prefs(t, all)
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
	tb.Program = marionettetest.Start(t, marionettetest.Config{Path: path, Home: tb.Home, Profile: tb.Profile, Port: tb.port, Prelude: prelude})
	tb.Run(t, `MailServices.accounts.defaultAccount.incomingServer.password = a0; Services.io.offline = false;`, tb.config.Password)
}
