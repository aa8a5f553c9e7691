package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/openidtest"
)

var shownCode = regexp.MustCompile(`open (\S+) on any device, and type the code (\S+) there`)

// A person's computer enrols with their account at a real identity provider, where they sign in with a browser elsewhere. No
// password comes near the agent, and nothing of the token stays on its disk.
func TestAgentAtProvider(t *testing.T) {
	t.Parallel()
	p := openidtest.New(t)
	i := newInstallation(t)
	settings := map[string]any{"device_login": map[string]any{"issuer": p.Issuer, "client_id": ""}}
	i.edit(t, settings)
	e2etest.Bad(t, i.command("check"), "device_login.client_id: is missing")
	settings["device_login"] = map[string]any{"issuer": p.Issuer, "client_id": openidtest.Client}
	i.edit(t, settings)
	i.run(t, "check")
	r := i.serve(t)
	d := r.desk(t, "alice")
	by := func(args ...string) e2etest.Command {
		c := d.agent(d.home, d.login, "enroll", append([]string{"--server", d.url(), "--roots", d.path("pki/root.pem"), "--out", d.file("out")}, args...)...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD="}
		return c
	}
	fails(t, by(), "secret-missing", "--openid")
	fails(t, by("--openid", "--login", "alice"), "secret-missing")
	signIn := func(name string, yes bool, code int, says string) string {
		t.Helper()
		agent := e2etest.Start(t, by("--openid", "--verbose"))
		agent.Await(t, "type the code")
		shown := shownCode.FindStringSubmatch(agent.Stderr())
		if shown == nil || !strings.HasPrefix(shown[1], p.Issuer) {
			t.Fatalf("the agent says: %s", agent.Stderr())
		}
		p.Decide(t, shown[2], name, yes)
		if got := agent.Wait(t); got != code || !strings.Contains(agent.Stdout()+agent.Stderr(), says) {
			t.Errorf("%s: %d\n%s%s", name, got, agent.Stdout(), agent.Stderr())
		}
		return agent.Stdout() + agent.Stderr()
	}
	signIn("alice", false, 1, "(openid-denied)")
	signIn("dave", true, 1, "(person-disabled)")
	signIn("bob", true, 1, "(address-unverified)")
	said := signIn("alice", true, 0, "Alice Anders <alice@example.test>")
	d.count(2, 1)
	d.verifies()
	if !strings.Contains(r.Stderr(), `"by":"openid"`) {
		t.Error("the server's log does not say how she showed who she is")
	}
	p.EndCodes()
	e2etest.Bad(t, by("--openid", "--again"), "(openid-expired)")
	signedHeader := "eyJ" // of every JSON object in base64
	if strings.Contains(said+r.Stderr(), " "+signedHeader) {
		t.Error("a token was printed or logged")
	}
	must(t, filepath.WalkDir(d.home, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "policy.json" { // which has the server's signature, in the same form
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), `.`+signedHeader) {
			t.Errorf("%s holds a token", path)
		}
		return err
	}))
}
