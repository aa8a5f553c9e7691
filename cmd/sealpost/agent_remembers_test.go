package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// withMachines has a server take tickets of a realm, those of people by their login and those of computers, and puts alice's computer
// into the directory. It returns the computer's name.
func (i *installation) withMachines(t *testing.T, realm *kdctest.Realm) string {
	t.Helper()
	const base, ws1 = "ou=machines," + slapdtest.Base, "host/ws1.example.test"
	i.edit(t, map[string]any{"kerberos": map[string]any{"keytab": realm.Keytab(t, "HTTP/localhost", ""), "principals": []string{"HTTP/localhost@EXAMPLE.TEST"},
		"realms":   []any{map[string]any{"realm": "EXAMPLE.TEST", "filter": "(uid={name})"}},
		"machines": map[string]any{"base": base, "filter": "(cn={name})"}}})
	i.slapd.Modify(t, "dn: "+base+"\nchangetype: add\nobjectClass: organizationalUnit\nou: machines\n")
	i.slapd.Modify(t, "dn: cn=ws1,"+base+"\nchangetype: add\nobjectClass: device\ncn: ws1\ncn: "+ws1+"\nowner: "+slapdtest.PersonDN("alice")+"\n")
	return ws1
}

// revokeCurrent revokes what somebody signs with here, and has the next run hear of it: a kept policy is good for half an hour.
func (d *desk) revokeCurrent() {
	d.t.Helper()
	var status struct {
		Identities []struct {
			Pairs []struct{ Signing struct{ Serial string } }
		}
	}
	must(d.t, json.Unmarshal([]byte(d.does("status --json")), &status))
	d.does("revoke", status.Identities[0].Pairs[0].Signing.Serial, "--reason", "keyCompromise", "--yes")
	kept, err := filepath.Glob(d.file("state", "*", "policy.json"))
	must(d.t, err)
	for _, file := range kept {
		must(d.t, os.Remove(file))
	}
}

// Who was asked for once, at enroll or at install, is who asks in the runs that nobody starts: with the computer's keys, or with the ticket
// of whoever may not read them.
func TestRunRemembersWhoAsks(t *testing.T) {
	t.Parallel()
	realm := kdctest.New(t, "EXAMPLE.TEST")
	realm.Add(t, "alice", "bob")
	i := newInstallation(t)
	ws1 := i.withMachines(t, realm)
	r := i.serve(t)
	keytab := realm.Keytab(t, ws1, "")
	bobs, err := child.TempDir("sp-bob-") // which others than the administrator can work in
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(bobs)) })
	everybody := filepath.Join(bobs, "agent.json")
	named := []string{"--server", r.url(), "--roots", r.path("pki/root.pem"), "--kerberos", "--keytab", keytab, "--principal", ws1 + "@EXAMPLE.TEST"}
	by := func(home, line string, args ...string) e2etest.Command {
		c := r.agent(home, "alice", line, args...)
		c.Env = []string{"HOME=" + home, "SEALPOST_PASSWORD=", "SEALPOST_AGENT_SETTINGS=" + everybody, "XDG_CONFIG_HOME=",
			"KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + filepath.Join(home, "none")}
		return c
	}
	ran := func(home string, more ...string) string {
		t.Helper()
		return e2etest.Good(t, by(home, "run --force", more...))
	}

	// enroll: a request that waits is gone on with by the same computer, and one whose certificate was revoked enrols anew.
	d := r.desk(t, "alice")
	if got := e2etest.Run(t, by(d.home, "enroll --enrolment smime-endorsed --wait 0s", named...)); got.Code != 3 {
		t.Fatalf("enroll: %+v", got)
	}
	if got := e2etest.Run(t, by(d.home, "run --force --wait 0s")); got.Code != 3 || !strings.Contains(got.Stdout, "waits for a registrar") {
		t.Errorf("run, while a registrar has to act: %+v", got)
	}
	d = r.desk(t, "alice")
	e2etest.Good(t, by(d.home, "enroll", append(named, "--out", d.file("out"))...))
	d.count(2, 2)
	d.revokeCurrent()
	ran(d.home)
	d.count(4, 3)
	// Somebody who chose a ticket of their own later is not asked for the computer's keys.
	own := by(d.home, "enroll --kerberos --again --out", d.file("out"))
	own.Env = append(own.Env, "KRB5CCNAME="+realm.Kinit(t, "alice"))
	e2etest.Good(t, own)
	d.revokeCurrent()
	fails(t, by(d.home, "run --force"), "signing-certificate-revoked")
	own = by(d.home, "run --force")
	own.Env = append(own.Env, "KRB5CCNAME="+realm.Kinit(t, "alice"))
	e2etest.Good(t, own)
	d.count(8, 5)

	// install, for one person: mistakes are said at once.
	home := t.TempDir()
	fails(t, by(home, "install --by autostart", named[:len(named)-2]...), "kerberos-keytab", "--principal")
	fails(t, by(home, "install --by autostart", append(named[:4:4], "--keytab", keytab)...), "secret-missing", "--kerberos")
	fails(t, by(home, "install --by autostart", append(named[:5:5], "--keytab", filepath.Join(home, "none"), "--principal", ws1+"@EXAMPLE.TEST")...), "kerberos-keytab")
	if out := e2etest.Good(t, by(home, "install --no-restore --by autostart", named...)); !strings.HasPrefix(out, "enrolled\n") {
		t.Errorf("install says: %s", out)
	}
	d = &desk{r, t, "alice", home}
	d.revokeCurrent()
	if out := ran(home); !strings.Contains(out, "certificates renewed") {
		t.Errorf("run says: %s", out)
	}

	// install for everybody: what it would write is what a run reads. Who may read the keys is the person whose computer it is, and who may
	// not shows a ticket.
	home = t.TempDir()
	var plan struct{ Files map[string]string }
	must(t, json.Unmarshal([]byte(e2etest.Good(t, withoutState(by(home, "install --all-users --no-restore --print --json --by autostart", named...)))), &plan))
	write(t, everybody, plan.Files[everybody])
	must(t, os.Chmod(everybody, 0o644))
	if out := ran(home); !strings.HasPrefix(out, "enrolled\n") {
		t.Errorf("run as administrator says: %s", out)
	}
	// Who finds a ticket of their own goes on with what the administrator settles.
	home = t.TempDir()
	own = by(home, "enroll")
	own.Env = append(own.Env, "KRB5CCNAME="+realm.Kinit(t, "alice"))
	e2etest.Good(t, own)
	if _, err := os.Stat(filepath.Join(home, "state", "settings.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("settings of their own: %v", err)
	}
	home = t.TempDir()
	daemon := e2etest.Start(t, by(home, "daemon"))
	daemon.Await(t, "next run")
	daemon.Signal(syscall.SIGTERM)
	if code := daemon.Wait(t); code != 0 {
		t.Errorf("daemon ends with %d: %s", code, daemon.Stderr())
	}
	if ids, err := filepath.Glob(filepath.Join(home, "state", "*", "identity.json")); err != nil || len(ids) != 1 {
		t.Errorf("the daemon enrolled %v, %v: %s", ids, err, daemon.Stderr())
	}
	ticket := filepath.Join(bobs, "ticket")
	write(t, ticket, read(t, realm.Kinit(t, "bob")))
	must(t, child.Own(ticket))
	must(t, os.Chmod(keytab, 0)) // for whoever runs the tests as no administrator
	c := by(bobs, "run --force")
	said, err := os.Create(filepath.Join(home, "said"))
	must(t, err)
	defer said.Close()
	err = child.Run(t.Context(), child.Config{Path: c.Path, Args: c.Args, Dir: bobs, Log: said,
		Env: []string{"HOME=" + bobs, "SEALPOST_AGENT_SETTINGS=" + everybody, "KRB5_CONFIG=" + realm.Conf, "KRB5CCNAME=" + ticket}})
	if err != nil {
		t.Fatalf("run as somebody else: %v\n%s", err, read(t, said.Name()))
	}
	ids, err := filepath.Glob(filepath.Join(bobs, "state", "*", "identity.json"))
	if err != nil || len(ids) != 1 || !strings.Contains(read(t, ids[0]), "Bob Brown") {
		t.Errorf("%v, %v\n%s", ids, err, read(t, said.Name()))
	}
	var kept agent.Settings
	must(t, json.Unmarshal([]byte(plan.Files[everybody]), &kept))
	if !kept.Kerberos || kept.Keytab != keytab || kept.Principal != ws1+"@EXAMPLE.TEST" {
		t.Errorf("settings for everybody: %+v", kept)
	}
}

// withoutState is a command without the option --state, which names one person's folder.
func withoutState(c e2etest.Command) e2etest.Command {
	for i, a := range c.Args {
		if a == "--state" {
			c.Args = append(c.Args[:i:i], c.Args[i+2:]...)
			break
		}
	}
	return c
}
