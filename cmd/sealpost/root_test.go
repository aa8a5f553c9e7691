package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/kdctest"
)

// rootMachine is where a root is used: its folder, with what `sealpost init` made there.
func rootMachine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(dir, program)))
	e2etest.Good(t, e2etest.Command{Path: filepath.Join(dir, program), Args: []string{"init", "--dir", filepath.Join(dir, "ca"), "--organisation", "Example", "--mail-domain", "example.test",
		"--public-url", "http://pki.example.test", "--algorithm", "P-256"}})
	return dir
}

// Lists of a root follow each other, keep what they list, and openssl reads them.
func TestRootLists(t *testing.T) {
	t.Parallel()
	dir := rootMachine(t)
	pki := filepath.Join(dir, "ca", "pki")
	crl := func(args ...string) e2etest.Command {
		return e2etest.Command{Path: filepath.Join(dir, program), Dir: pki, Args: append([]string{"root", "crl"}, args...)}
	}
	e2etest.Good(t, crl("--last", "root.crl", "--out", "2.crl"))
	if out := e2etest.Good(t, crl("--last", "2.crl", "--out", "3.crl", "--revoke", "issuing.pem", "--reason", "superseded")); !strings.Contains(out, "number 3, 1 revoked") {
		t.Errorf("the third list: %s", out)
	}
	openssl(t, pki, "crl", "-inform", "DER", "-in", "3.crl", "-out", "3.pem")
	e2etest.Good(t, crl("--last", "3.pem", "--out", "4.crl")) // PEM is taken too
	text := openssl(t, pki, "crl", "-inform", "DER", "-in", "4.crl", "-CAfile", "root.pem", "-noout", "-text")
	for _, want := range []string{"verify OK", "X509v3 CRL Number: \n                4", "Superseded"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the fourth list:\n%s", want, text)
		}
	}
}

func TestRootRefuses(t *testing.T) {
	t.Parallel()
	dir, other := rootMachine(t), filepath.Join(rootMachine(t), "ca", "pki")
	pki := filepath.Join(dir, "ca", "pki")
	write(t, filepath.Join(pki, "garbage"), "x")
	write(t, filepath.Join(pki, "large"), strings.Repeat("x", 2<<20))
	write(t, filepath.Join(pki, "wrong.passphrase"), "something else\n")
	for what, c := range map[string]struct {
		args []string
		says string
	}{
		"a wrong passphrase":      {[]string{"crl", "--out", "new", "--passphrase-file", "wrong.passphrase"}, "key-passphrase"},
		"no passphrase":           {[]string{"crl", "--out", "new", "--passphrase-file", "none"}, "none"},
		"no key":                  {[]string{"crl", "--out", "new", "--key", "none"}, "none"},
		"no certificate":          {[]string{"crl", "--out", "new", "--root", "garbage"}, "no certificate"},
		"another's certificate":   {[]string{"crl", "--out", "new", "--root", filepath.Join(other, "root.pem")}, "certificate of another key"},
		"a list that is none":     {[]string{"crl", "--out", "new", "--last", "garbage"}, "the last list is none"},
		"a list without end":      {[]string{"crl", "--out", "new", "--last", "large"}, "too large"},
		"another's list":          {[]string{"crl", "--out", "new", "--last", filepath.Join(other, "root.crl")}, "not this root's"},
		"another's issuer":        {[]string{"crl", "--out", "new", "--revoke", filepath.Join(other, "issuing.pem")}, "not this root's"},
		"a reason that is none":   {[]string{"crl", "--out", "new", "--revoke", "issuing.pem", "--reason", "spite"}, "spite"},
		"a file that is there":    {[]string{"crl", "--out", "root.crl"}, "exists"},
		"a request that is none":  {[]string{"certify", "garbage", "--out", "new", "--name", "Two", "--public-url", "http://pki.example.test"}, "the request is none"},
		"an address nobody finds": {[]string{"certify", "garbage", "--out", "new", "--name", "Two"}, "public-url"},
	} {
		said := e2etest.Bad(t, e2etest.Command{Path: filepath.Join(dir, program), Dir: pki, Args: append([]string{"root"}, c.args...)}, c.says)
		oneLine(t, what, said)
	}
	if _, err := os.Stat(filepath.Join(pki, "new")); err == nil {
		t.Error("a file was written")
	}
}

// The example of the manual is a configuration that `sealpost check` finds nothing wrong with.
func TestExampleConfiguration(t *testing.T) {
	t.Parallel()
	dir := rootMachine(t)
	config := filepath.Join(dir, "ca", setup.ConfigFile)
	write(t, config, read(t, filepath.FromSlash("../../docs/config.example.yaml")))
	keytab := read(t, kdctest.New(t, "EXAMPLE.COM").Keytab(t, "HTTP/ca.example.com", ""))
	must(t, os.WriteFile(filepath.Join(dir, "ca", "http.keytab"), []byte(keytab), 0o600))
	out := e2etest.Good(t, e2etest.Command{Path: filepath.Join(dir, program), Args: []string{"check", "--config", config}})
	if !strings.Contains(out, "No fault was found") {
		t.Errorf("check: %s", out)
	}
}
