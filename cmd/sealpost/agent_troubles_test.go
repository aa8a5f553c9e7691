package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
)

// What can be wrong between a computer and its organisation's KDC is told apart, each with what to do: with a person's ticket, and
// with a computer's keys.
func TestTicketTroubles(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice")
	i := newInstallation(t)
	ws1 := i.withMachines(t, realm)
	r := i.serve(t)
	d := r.desk(t, "alice")
	keytab := realm.Keytab(t, ws1, "")
	conf := realm.Conf
	enroll := func(cache string, args ...string) e2etest.Command {
		c := d.agent(d.home, d.login, "enroll", append([]string{"--server", d.url(), "--roots", d.path("pki/root.pem"), "--kerberos"}, args...)...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + conf, "KRB5CCNAME=" + cache}
		return c
	}
	person := func(cache string) e2etest.Command { return enroll(cache) }
	computer := func() e2etest.Command {
		return enroll(d.file("none"), "--keytab", keytab, "--principal", ws1+"@EXAMPLE.TEST")
	}

	cache := realm.Kinit(t, "alice")
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		realm.Restart(t, off)
		fails(t, person(cache), "kerberos-clock", "clock")
		fails(t, computer(), "kerberos-clock", "clock")
	}
	realm.Stop()
	fails(t, person(cache), "kerberos-unreachable", "VPN")
	fails(t, computer(), "kerberos-unreachable", "VPN")
	realm.Restart(t, 0)

	for _, c := range []struct{ how, back, code, says string }{
		{"-allow_tix", "+allow_tix", "kerberos-account-disabled", ws1},
		{"-expire 2020-01-01", "-expire never", "kerberos-account-disabled", ws1},
		{"-pwexpire 2020-01-01", "-pwexpire never", "kerberos-password-expired", ws1},
	} {
		realm.Change(t, ws1, c.how)
		fails(t, computer(), c.code, c.says)
		realm.Change(t, ws1, c.back)
	}
	// The server's own account is the organisation's business: nothing that the person does helps.
	realm.Change(t, "HTTP/localhost", "-allow_tix")
	fails(t, person(cache), "kerberos-realm", "HTTP/localhost")
	realm.Change(t, "HTTP/localhost", "+allow_tix")

	// A computer that knows another realm alone.
	other := filepath.Join(t.TempDir(), "krb5.conf")
	write(t, other, "[libdefaults]\n default_realm = OTHER.TEST\n dns_lookup_kdc = false\n[realms]\n OTHER.TEST = {\n  kdc = 127.0.0.1:1\n }\n")
	conf = other
	fails(t, person(cache), "kerberos-configuration", "EXAMPLE.TEST", "administrator")
	fails(t, computer(), "kerberos-configuration", "EXAMPLE.TEST", "administrator")
	conf = realm.Conf
	d.count(0, 0)
	d.nothingBegun()
	e2etest.Good(t, person(cache))
	d.count(2, 1)
}
