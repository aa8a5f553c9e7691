package gal_test

import (
	"bytes" // what gpgsm's list of trusted roots has
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// gnupg is a home of GnuPG that trusts a root, and whose dirmngr asks a directory for certificates.
type gnupg struct {
	*gpgtest.Home
	t *testing.T
}

func newGnuPG(t *testing.T, b *bundle) *gnupg {
	t.Helper()
	g := &gnupg{gpgtest.New(t, b.PKI.Root), t}
	server, err := url.Parse(b.Slapd.StartTLSURL())
	must(t, err)
	g.Write("dirmngr_ldapservers.conf", []byte(fmt.Sprintf("%s:%s:::%s\n", server.Hostname(), server.Port(), slapdtest.People)))
	g.Import(b.PKI.Root.Raw, b.PKI.Issuing.Raw)
	return g
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
	g.Write("found.pem", pkitest.PEM(found...))
	_, _ = g.Try("gpgsm", "--batch", "--disable-crl-checks", "--import", g.Path("found.pem")) // it says that the other authority is unknown
	g.Write("mail.txt", []byte("for alice"))
	g.Run("gpgsm", "--batch", "--disable-crl-checks", "--encrypt", "--output", g.Path("mail.p7m"), "-r", who.Mailbox, g.Path("mail.txt"))

	key, err := x509.MarshalPKCS8PrivateKey(pkitest.RSAKey(t, ca.RSA3072, len(keys)+2))
	must(t, err)
	out := g.Run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", g.Path("mail.p7m"), "-inkey", g.Write("key.der", key), "-keyform", "DER",
		"-recip", g.Write("recipient.pem", pkitest.PEM(current.DER)))
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
	for line := range strings.Lines(g.Run("dirmngr-client", "--lookup", mailbox)) {
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
