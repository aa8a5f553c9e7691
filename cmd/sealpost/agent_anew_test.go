package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
)

// A registrar with a ticket makes tokens and enrols for somebody else once their password was asked for, or their card: at a real KDC, which
// says so in the ticket. The login's ticket alone is not enough, however new, and neither is a password of some minutes ago.
func TestTicketShownAnew(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "rita")
	i := newInstallation(t)
	i.withMachines(t, realm)
	r := i.serve(t)
	d := r.desk(t, "rita")
	by := func(cache, line string, args ...string) e2etest.Command {
		c := d.agent(d.home, "rita", line, append(args, "--server", d.url(), "--roots", d.path("pki/root.pem"), "--kerberos")...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + cache}
		return c
	}
	right, wrong, out := d.file("right"), d.file("wrong"), d.file("for-bob")
	write(t, right, kdctest.Password("rita")+"\n")
	write(t, wrong, "a-wrong-one\n")
	login := realm.Kinit(t, "rita")
	const make = "token make --for bob@example.test"
	e2etest.Bad(t, by(login, make), "(proof-needed)", "at a terminal", "rita@EXAMPLE.TEST", "--password-file")
	e2etest.Bad(t, by(login, make, "--password-file", wrong), "(kerberos-password)", "rita@EXAMPLE.TEST is wrong")
	fails(t, by(login, "enroll --on-behalf bob@example.test --password-file", wrong, "--out", out), "kerberos-password")
	if n := r.db.Count(t, `select count(*) from enroll.token`); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
	e2etest.Good(t, by(login, make, "--password-file", right))
	e2etest.Good(t, by(login, "enroll --on-behalf bob@example.test --password-file", right, "--out", out))
	bob := &desk{r, t, "bob", d.home}
	bob.count(2, 1)
	if _, err := os.Stat(filepath.Join(out, "identity.p12")); err != nil {
		t.Error(err)
	}
	// Who signs in with a card has no password: kinit gets the ticket to this server, and nothing else is in the cache.
	e2etest.Good(t, by(realm.Kinit(t, "rita", "-S", "HTTP/localhost"), "token make --for alice@example.test"))
	realm.Restart(t, -6*time.Minute)
	old := realm.Kinit(t, "rita", "-S", "HTTP/localhost")
	realm.Restart(t, 0)
	e2etest.Bad(t, by(old, "token make --for alice@example.test --name again"), "(proof-needed)")
	if n := r.db.Count(t, `select count(*) from enroll.token`); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
	// Nobody to ask: the KDC itself.
	realm.Stop()
	fails(t, by(login, make, "--password-file", right, "--name", "third"), "kerberos-unreachable")
}
