package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// desk is somebody's workstation: the agent as a process, with a home of its own.
type desk struct {
	*running
	t           *testing.T
	login, home string
}

func (r *running) desk(t *testing.T, login string) *desk {
	t.Helper()
	d := &desk{r, t, login, t.TempDir()}
	write(t, d.file("mail.txt"), "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: Meeting\r\n\r\nAt ten, in the small room.\r\n")
	return d
}

func (d *desk) file(name ...string) string {
	return filepath.Join(append([]string{d.home}, name...)...)
}

// enroll is the first enrolment, into the folder "out", by password unless a token is given.
func (d *desk) enroll(args ...string) e2etest.Command {
	all := append([]string{"--server", d.url(), "--roots", d.path("pki/root.pem"), "--out", d.file("out")}, args...)
	if !strings.Contains(strings.Join(args, " "), "--token-file") {
		all = append(all, "--login", d.login)
	}
	return d.agent(d.home, d.login, "enroll", all...)
}

// does runs the agent as somebody who is known by their certificate, which must succeed.
func (d *desk) does(line string, args ...string) string {
	d.t.Helper()
	return e2etest.Good(d.t, d.byCertificate(line, args...))
}

// byCertificate is a run of the agent that is given no password.
func (d *desk) byCertificate(line string, args ...string) e2etest.Command {
	c := d.agent(d.home, d.login, line, args...)
	c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD="}
	return c
}

// list returns the person's certificates as the agent lists them.
func (d *desk) list() []api.Certificate {
	d.t.Helper()
	var out []api.Certificate
	must(d.t, json.Unmarshal([]byte(d.does("list --json")), &out))
	return out
}

// tool runs an independent program in the folder with the files.
func (d *desk) tool(name string, args ...string) string {
	d.t.Helper()
	return e2etest.Tool(d.t, d.file("out"), name, args...)
}

// key has openssl take the key of one certificate out of its PKCS#12 file for gpgsm.
func (d *desk) key(file string) string {
	d.t.Helper()
	key := d.file(file + ".key")
	d.tool("openssl", "pkcs12", "-legacy", "-in", filepath.Join("gpgsm", file+".p12"), "-passin", "file:identity.password", "-nocerts", "-nodes", "-out", key)
	return key
}

// verifies demands that openssl finds both certificates right for their purpose.
func (d *desk) verifies() {
	d.t.Helper()
	for file, purpose := range map[string]string{"signing.pem": "smimesign", "encryption.pem": "any"} {
		if out := d.tool("openssl", "verify", "-x509_strict", "-CAfile", d.path("pki/root.pem"), "-untrusted", "chain.pem", "-purpose", purpose, file); !strings.Contains(out, ": OK") {
			d.t.Errorf("%s: %s", file, out)
		}
	}
	d.subjectIs("signing.pem")
	d.subjectIs("encryption.pem")
}

func (d *desk) subjectIs(file string) {
	d.t.Helper()
	if out := d.tool("openssl", "x509", "-in", file, "-noout", "-email"); !strings.HasPrefix(out, d.login+"@example.test\n") {
		d.t.Errorf("%s is for %s", file, out)
	}
}

// fails demands that a run of the agent fails with one line for people and a code.
func fails(t testing.TB, c e2etest.Command, code string, words ...string) {
	t.Helper()
	said := e2etest.Bad(t, c, append(words, "("+code+")")...)
	var lines []string
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "· ") && !strings.HasPrefix(line, "  The server's log has it as urn:uuid:") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "sealpost-agent: ") || len(lines[0]) > 400 {
		t.Errorf("%s: this is no single line that a person can read:\n%s", c, said)
	}
}

// count demands how much of a person the server has: certificates for mail, and archived keys.
func (d *desk) count(certificates, archived int64) {
	d.t.Helper()
	person := fmt.Sprintf(`(select id from directory.person where login = '%s')`, d.login)
	if n := d.db.Count(d.t, `select count(*) from ca.certificate join ca.prepared p using (issuer, serial) where p.profile like 'smime-%' and p.person = `+person); n != certificates {
		d.t.Errorf("%s has %d certificates, want %d", d.login, n, certificates)
	}
	if n := d.db.Count(d.t, `select count(*) from archive.record where person = `+person); n != archived {
		d.t.Errorf("%s has %d archived keys, want %d", d.login, n, archived)
	}
}

// nothingBegun demands that the agent keeps neither a request nor an identity.
func (d *desk) nothingBegun() {
	d.t.Helper()
	for _, pattern := range []string{"state/*/pending.json", "state/*/identity.json", "out/identity.p12"} {
		if found, err := filepath.Glob(d.file(filepath.FromSlash(pattern))); err != nil || len(found) > 0 {
			d.t.Errorf("left behind: %v, %v", found, err)
		}
	}
}

// gnupg is a folder for gpgsm, whose path is short because sockets lie in it, and a way to run gpgsm there.
func (d *desk) gnupg() (home string, gpgsm func(args ...string) e2etest.Command) {
	d.t.Helper()
	home, err := os.MkdirTemp("", "gpgsm-")
	must(d.t, err)
	env := []string{"GNUPGHOME=" + home}
	d.t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--kill", "all")
		kill.Env = append(os.Environ(), env...)
		must(d.t, kill.Run())
		must(d.t, os.RemoveAll(home))
	})
	return home, func(args ...string) e2etest.Command {
		return e2etest.Command{Path: "gpgsm", Dir: d.home, Env: env, Stdin: read(d.t, d.file("out", "identity.password")),
			Args: append([]string{"--batch", "--disable-crl-checks", "--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)}
	}
}

// registrar is somebody who may endorse and make tokens.
const registrar = "rita"

// token is a file with an enrolment token that the registrar made for an address.
func (d *desk) token(mailbox string) string {
	d.t.Helper()
	c := d.as(d.t, registrar)
	defer c.Close()
	token, err := c.MakeToken(d.t.Context(), api.TokenRequest{Mailbox: mailbox, Hours: 1})
	must(d.t, err)
	file := d.file("token.txt")
	write(d.t, file, token.Token+"\n")
	return file
}
