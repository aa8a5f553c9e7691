package gal_test

import (
	"bytes"
	"context"
	"crypto/sha1" // what gpgsm's list of trusted roots has
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// gnupg is a home of GnuPG that trusts a root, and whose dirmngr asks a directory for certificates.
type gnupg struct {
	t    *testing.T
	home string
}

func newGnuPG(t *testing.T, b *bundle) *gnupg {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "sp-gpg-") // its sockets need a short path
	must(t, err)
	g := &gnupg{t, home}
	t.Cleanup(func() {
		_, _ = g.try("gpgconf", "--kill", "all")
		must(t, os.RemoveAll(home))
	})
	var colons []string
	for _, b := range sha1.Sum(b.PKI.Root.Raw) {
		colons = append(colons, fmt.Sprintf("%02X", b))
	}
	server, err := url.Parse(b.Slapd.StartTLSURL())
	must(t, err)
	g.write("trustlist.txt", []byte(strings.Join(colons, ":")+" S relax\n"))
	g.write("dirmngr_ldapservers.conf", []byte(fmt.Sprintf("%s:%s:::%s\n", server.Hostname(), server.Port(), slapdtest.People)))
	g.write("chain.pem", pkitest.PEM(b.PKI.Root.Raw, b.PKI.Issuing.Raw))
	g.run("gpgsm", "--batch", "--disable-crl-checks", "--import", g.path("chain.pem"))
	return g
}

func (g *gnupg) path(name string) string { return filepath.Join(g.home, name) }

func (g *gnupg) write(name string, content []byte) string {
	g.t.Helper()
	must(g.t, os.WriteFile(g.path(name), content, 0o600))
	return g.path(name)
}

func (g *gnupg) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.t.Context()), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+g.home, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (g *gnupg) run(name string, args ...string) string {
	g.t.Helper()
	out, err := g.try(name, args...)
	if err != nil {
		g.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// A correspondent's gpgsm finds the recipient's certificate in the directory by way of dirmngr, among another authority's,
// and encrypts to it; the recipient's key, and no other, opens the message. A revoked one is no longer found.
func TestGPGSMFindsTheCertificate(t *testing.T) {
	b := setup(t)
	p, err := b.Directory.ByLogin(t.Context(), "alice")
	must(t, err)
	who := pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]}
	var current ca.Certificate
	keys := []ca.KeyAlgorithm{ca.RSA3072, ca.RSA3072}
	for i := range keys { // the first is superseded
		current = b.PKI.Issue(t, who.Request(ca.SMIMEEncryption, pkitest.RSAKey(t, keys[i], i+3).Public()))[0]
		b.sweep(t, gal.Sweeping{Repair: true})
	}
	b.put(t, p.DN, certificates, b.twin(t).Raw)
	g := newGnuPG(t, b)
	found := g.lookup(who.Mailbox)
	if !slices.ContainsFunc(found, func(der []byte) bool { return bytes.Equal(der, current.DER) }) {
		t.Fatalf("dirmngr finds %d certificates", len(found))
	}
	g.write("found.pem", pkitest.PEM(found...))
	_, _ = g.try("gpgsm", "--batch", "--disable-crl-checks", "--import", g.path("found.pem")) // it says that the other authority is unknown
	g.write("mail.txt", []byte("for alice"))
	g.run("gpgsm", "--batch", "--disable-crl-checks", "--encrypt", "--output", g.path("mail.p7m"), "-r", who.Mailbox, g.path("mail.txt"))

	key, err := x509.MarshalPKCS8PrivateKey(pkitest.RSAKey(t, ca.RSA3072, len(keys)+2))
	must(t, err)
	out := g.run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", g.path("mail.p7m"), "-inkey", g.write("key.der", key), "-keyform", "DER",
		"-recip", g.write("recipient.pem", pkitest.PEM(current.DER)))
	if out != "for alice" {
		t.Errorf("the message is %q", out)
	}
	b.revoke(t, current)
	b.publish(t)
	if after := g.lookup(who.Mailbox); len(after) != 1 {
		t.Errorf("after the revocation dirmngr finds %d certificates", len(after))
	}
}

// lookup returns the certificates that dirmngr finds for an address.
func (g *gnupg) lookup(mailbox string) (out [][]byte) {
	g.t.Helper()
	text := ""
	for line := range strings.Lines(g.run("dirmngr-client", "--lookup", mailbox)) {
		text += strings.TrimSpace(line)
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		if _, err := x509.ParseCertificate(der); err == nil {
			out, text = append(out, der), ""
		}
	}
	return out
}
