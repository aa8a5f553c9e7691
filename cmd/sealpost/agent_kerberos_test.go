package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
)

// A person's computer enrols with the ticket of their login at a real KDC, and no password: the server is configured by its file,
// which `check` reads with the keytab. What can be wrong with a ticket is said.
func TestAgentByTicket(t *testing.T) {
	t.Parallel()
	other := kdctest.New(t, "OTHER.TEST")
	other.Add(t, "mallory")
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice", "dave")
	keytab := realm.Keytab(t, "HTTP/localhost", "")
	weak := realm.Keytab(t, "HTTP/old.example.test", "")
	i := newInstallation(t)
	settings := func(keytab, principal string) map[string]any {
		return map[string]any{"kerberos": map[string]any{"keytab": keytab, "principals": []string{principal}, "channel_bindings": "required",
			"realms": []any{map[string]any{"realm": "EXAMPLE.TEST", "filter": "(uid={name})"}}}}
	}
	i.edit(t, settings(weak, "HTTP/localhost@EXAMPLE.TEST"))
	e2etest.Bad(t, i.command("check"), "kerberos.keytab: has no AES key of HTTP/localhost@EXAMPLE.TEST")
	open := filepath.Join(t.TempDir(), "open")
	content, err := os.ReadFile(keytab)
	must(t, err)
	must(t, os.WriteFile(open, content, 0o644))
	i.edit(t, settings(open, "HTTP/localhost@EXAMPLE.TEST"))
	e2etest.Bad(t, i.command("check"), "kerberos.keytab:", "thers may read")
	i.edit(t, settings(keytab, "localhost"))
	e2etest.Bad(t, i.command("check"), "kerberos.principals[0]:")
	i.edit(t, settings(keytab, "HTTP/localhost@EXAMPLE.TEST"))
	i.run(t, "check")
	r := i.serve(t)

	d := r.desk(t, "alice")
	by := func(realm *kdctest.Realm, cache string) e2etest.Command {
		c := d.agent(d.home, d.login, "enroll", "--server", d.url(), "--roots", d.path("pki/root.pem"), "--out", d.file("out"), "--kerberos")
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + cache}
		return c
	}
	garbage := d.file("garbage")
	write(t, garbage, "\x05\x04\x00\x0c\x00\x01\x00\xff")
	short := realm.Kinit(t, "alice", "-l", "2s")
	time.Sleep(3 * time.Second)
	fails(t, by(realm, d.file("none")), "kerberos-no-ticket")
	fails(t, by(realm, garbage), "kerberos-cache")
	fails(t, by(realm, "KEYRING:persistent:0"), "kerberos-cache")
	fails(t, by(realm, short), "kerberos-ticket-expired")
	fails(t, by(other, other.Kinit(t, "mallory")), "kerberos-realm")
	fails(t, by(realm, realm.Kinit(t, "dave")), "person-disabled")
	if out := e2etest.Good(t, by(realm, "FILE:"+realm.Kinit(t, "alice"))); !strings.Contains(out, "Alice Anders <alice@example.test>") {
		t.Errorf("enroll says: %s", out)
	}
	d.count(2, 1)
	d.verifies()
	if !strings.Contains(r.Stderr(), `"by":"kerberos"`) {
		t.Error("the server's log does not say how she showed who she is")
	}
}
