package main

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/internal/openidtest"
)

// A registrar imports keys with the ticket of their login, at a real KDC, and with their account at an identity provider, where the server
// leaves people their roles. Nobody else does, and nothing is archived then.
func TestImportBySignIn(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice", "rita")
	p := openidtest.New(t)
	i := newInstallation(t)
	i.withMachines(t, realm)
	device := map[string]any{"issuer": p.Issuer, "client_id": openidtest.Client}
	i.edit(t, map[string]any{"device_login": device})
	r := i.serve(t)
	d := r.desk(t, "rita")
	makeForeignKeys(t, d.home)
	list := d.file("passwords.csv")
	write(t, list, strings.ReplaceAll(read(t, list), "battery,", "battery,departed"))
	by := func(cache string, args ...string) e2etest.Command {
		c := d.agent(d.home, "rita", "import", append(args, "--server", d.url(), "--roots", d.path("pki/root.pem"))...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + cache}
		return c
	}
	zip := []string{"keys.zip", "--passwords", list}
	blobs := []string{"blobs", "--agent-key", "kra.pfx", "--agent-password-file", "kra.password"}
	archived := func(want int64) {
		t.Helper()
		if n := r.db.Count(t, `select count(*) from archive.record where state = 'kept'`); n != want {
			t.Errorf("%d records, want %d", n, want)
		}
	}
	// signIn runs an import for which somebody signs in at the provider, in a browser elsewhere.
	signIn := func(name string, code int, says string, args ...string) {
		t.Helper()
		agent := e2etest.Start(t, by(d.file("none"), append(args, "--openid")...))
		agent.Await(t, "type the code")
		shown := shownCode.FindStringSubmatch(agent.Stderr())
		if shown == nil {
			t.Fatalf("the agent says: %s", agent.Stderr())
		}
		p.Decide(t, shown[2], name, true)
		if got := agent.Wait(t); got != code || !strings.Contains(agent.Stdout()+agent.Stderr(), says) {
			t.Errorf("%s: %d, want %d and %q\n%s%s", name, got, code, says, agent.Stdout(), agent.Stderr())
		}
	}
	fails(t, by(d.file("none"), zip...), "import-login", "--kerberos")
	e2etest.Bad(t, by(d.file("none"), append(zip, "--kerberos")...), "(kerberos-no-ticket)")
	e2etest.Bad(t, by(realm.Kinit(t, "alice"), append(zip, "--kerberos")...), "(role-required)")
	signIn("alice", 1, "(role-required)", zip...)
	signIn("rita", 1, "not for roles", zip...) // the provider's word makes nobody a registrar, unless the server is told so
	archived(0)

	rita := realm.Kinit(t, "rita")
	if out := e2etest.Good(t, by(rita, append(zip, "--kerberos", "--dry-run")...)); !strings.Contains(out, "3 ready") {
		t.Errorf("the dry run says: %s", out)
	}
	archived(0)
	if out := e2etest.Good(t, by(rita, append(zip, "--kerberos")...)); !strings.Contains(out, "3 archived") {
		t.Errorf("by ticket: %s", out)
	}
	archived(3)
	r.stop(t)
	device["all_roles"] = true
	i.edit(t, map[string]any{"device_login": device})
	r = i.serve(t)
	signIn("rita", 0, "1 archived", blobs...)
	signIn("rita", 0, "3 already-archived", zip...)
	archived(4)
	for method, want := range map[string]int64{"kerberos": 3, "openid": 1} {
		if n := r.db.Count(t, `select count(*) from audit.event where kind = 'archive.imported' and body like '%"method":"`+method+`"%'`); n != want {
			t.Errorf("the record has %d keys imported by %s, want %d", n, method, want)
		}
	}
}
