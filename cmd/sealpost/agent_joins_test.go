package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
)

// A computer joins, its administrator has settled one file, somebody logs in: the next run has both certificates, nobody having been asked
// anything. Later the ticket is gone, and is not needed.
func TestWorkstationJoins(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice", "dave")
	i := newInstallation(t)
	i.edit(t, map[string]any{"kerberos": map[string]any{"keytab": realm.Keytab(t, "HTTP/localhost", ""), "principals": []string{"HTTP/localhost@EXAMPLE.TEST"},
		"channel_bindings": "required", "realms": []any{map[string]any{"realm": "EXAMPLE.TEST", "filter": "(uid={name})"}}}})
	r := i.serve(t)
	d := r.desk(t, "alice")
	root, err := os.ReadFile(d.path("pki/root.pem"))
	must(t, err)
	everybody := d.file("agent.json")
	must(t, agent.Settings{Server: d.url(), Roots: string(root), Kerberos: true, Restore: true}.SaveForAll(everybody))
	run := func(home, cache string, args ...string) e2etest.Command {
		c := d.agent(home, d.login, "run --force", args...)
		c.Env = []string{"HOME=" + home, "SEALPOST_AGENT_SETTINGS=" + everybody, "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + cache}
		return c
	}
	home := t.TempDir()
	fails(t, run(home, filepath.Join(home, "none")), "kerberos-no-ticket")
	if kept := read(t, filepath.Join(home, "state", "runs.json")); !strings.Contains(kept, `"kerberos-no-ticket"`) { // for status, and whoever looks
		t.Errorf("runs.json: %s", kept)
	}
	fails(t, run(t.TempDir(), realm.Kinit(t, "dave")), "person-disabled")
	if out := e2etest.Good(t, run(home, realm.Kinit(t, "alice"))); !strings.HasPrefix(out, "enrolled\n") {
		t.Errorf("run says: %s", out)
	}
	if out := e2etest.Good(t, run(home, filepath.Join(home, "none"))); strings.Contains(out, "enrolled") || !strings.Contains(out, "next run") {
		t.Errorf("without a ticket, run says: %s", out)
	}
	second := t.TempDir()
	if out := e2etest.Run(t, run(second, realm.Kinit(t, "alice"))); out.Code != 3 || !strings.Contains(out.Stdout, "waits for the officers") {
		t.Errorf("on a second computer, run ends with %d and says: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	d.count(4, 2)
}
