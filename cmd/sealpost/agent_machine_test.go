package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// A computer enrols for the person whose it is, with the keys in its keytab, before anybody logs in: at a real KDC and a real directory.
func TestAgentByKeytab(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	i := newInstallation(t)
	const base = "ou=machines," + slapdtest.Base
	i.edit(t, map[string]any{"kerberos": map[string]any{"keytab": realm.Keytab(t, "HTTP/localhost", ""), "principals": []string{"HTTP/localhost@EXAMPLE.TEST"},
		"realms":   []any{map[string]any{"realm": "EXAMPLE.TEST", "filter": "(uid={name})"}},
		"machines": map[string]any{"base": base, "filter": "(cn={name})"}}})
	i.run(t, "check")
	r := i.serve(t)
	const ws1 = "host/ws1.example.test"
	i.slapd.Modify(t, "dn: "+base+"\nchangetype: add\nobjectClass: organizationalUnit\nou: machines\n")
	i.slapd.Modify(t, "dn: cn=ws1,"+base+"\nchangetype: add\nobjectClass: device\ncn: ws1\ncn: "+ws1+"\nowner: "+slapdtest.PersonDN("alice")+"\n")
	d := r.desk(t, "alice")
	keytab := realm.Keytab(t, ws1, "")
	stale := realm.Keytab(t, "host/ws2.example.test", "")
	realm.Keytab(t, "host/ws2.example.test", "") // which makes the keys before it old
	other := realm.Keytab(t, "host/ws3.example.test", "")
	by := func(args ...string) e2etest.Command {
		c := d.agent(d.home, d.login, "enroll", append([]string{"--server", d.url(), "--roots", d.path("pki/root.pem"), "--out", d.file("out"), "--kerberos"}, args...)...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + filepath.Join(d.home, "none")}
		return c
	}
	garbage := d.file("garbage")
	write(t, garbage, "\x05\x02\x00\x00\x7f\xff\x00\x01")
	fails(t, by("--keytab", d.file("none"), "--principal", ws1+"@EXAMPLE.TEST"), "kerberos-keytab")
	fails(t, by("--keytab", garbage, "--principal", ws1+"@EXAMPLE.TEST"), "kerberos-keytab")
	fails(t, by("--keytab", keytab), "kerberos-keytab", "--principal")
	fails(t, by("--keytab", keytab, "--principal", "host/ws2.example.test@EXAMPLE.TEST"), "kerberos-keytab", "has no keys of")
	fails(t, by("--keytab", stale, "--principal", "host/ws2.example.test@EXAMPLE.TEST"), "kerberos-keytab", "does not take the keys")
	fails(t, by("--keytab", other, "--principal", "host/ws3.example.test@EXAMPLE.TEST"), "kerberos-machine")
	if out := e2etest.Good(t, by("--keytab", keytab, "--principal", ws1+"@EXAMPLE.TEST")); !strings.Contains(out, "Alice Anders <alice@example.test>") {
		t.Errorf("enroll says: %s", out)
	}
	d.count(2, 1)
	d.verifies()
}
