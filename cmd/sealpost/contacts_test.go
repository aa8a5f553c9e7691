package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// partnerCertificate makes another company's authority, and the certificate of one of its people for so many days.
func partnerCertificate(t *testing.T, mailbox string, days int) (root, person *x509.Certificate) {
	t.Helper()
	now := time.Now()
	key := pkitest.RSAKey(t, ca.RSA3072, 1)
	make := func(c, parent *x509.Certificate, public any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
		must(t, err)
		out, err := x509.ParseCertificate(der)
		must(t, err)
		return out
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Partner CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root = make(c, c, key.Public())
	return root, make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Erin Egan"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, days),
		EmailAddresses: []string{mailbox}, KeyUsage: x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, root, pkitest.RSAKey(t, ca.RSA3072, 2).Public())
}

// A contact's certificate is looked at, added and removed by commands; the server says so over REST, and what ldapsearch finds is
// what gpgsm encrypts to.
func TestContactCommands(t *testing.T) {
	t.Parallel()
	const erin = "erin@partner.test"
	i := newInstallation(t)
	dn := "cn=erin," + slapdtest.Contacts
	i.slapd.Modify(t, fmt.Sprintf("dn: %s\nobjectClass: organizationalUnit\nou: contacts\n\ndn: %s\nobjectClass: inetOrgPerson\ncn: erin\nsn: Egan\nmail: %s\n", slapdtest.Contacts, dn, erin))
	root, person := partnerCertificate(t, erin, 21)
	file := i.path("erin.pem")
	write(t, file, string(pkitest.PEM(person.Raw, root.Raw)))
	oneLine(t, "off", e2etest.Bad(t, i.command("gal contact add --note telephone --yes", erin, file), "gal.contacts.base"))
	write(t, i.path("partner.pem"), string(pkitest.PEM(root.Raw)))
	i.edit(t, map[string]any{"gal.contacts": map[string]any{"base": slapdtest.Contacts, "trust_file": "partner.pem"}})
	i.run(t, "check --connect")

	found := func() [][]byte {
		var out [][]byte
		for line := range strings.Lines(i.slapd.Search(t, slapdtest.Account{}, "-b", slapdtest.Contacts, "(mail="+erin+")", "userCertificate")) {
			if text, ok := strings.CutPrefix(line, "userCertificate;binary:: "); ok {
				der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
				must(t, err)
				out = append(out, der)
			}
		}
		return out
	}
	oneLine(t, "no note", e2etest.Bad(t, i.command("gal contact add --yes", erin, file), "how the certificate was verified"))
	oneLine(t, "another address", e2etest.Bad(t, i.command("gal contact add --note telephone --yes", "frank@partner.test", file), "does not name the address"))
	oneLine(t, "no file", e2etest.Bad(t, i.command("gal contact add --note telephone", erin, i.path("absent")), "no such file"))
	if out := i.run(t, "gal contact add --note telephone", erin, file); !strings.Contains(out, "CN=Erin Egan") || !strings.Contains(out, "Nothing was added") || len(found()) != 0 {
		t.Errorf("only shown: %s", out)
	}
	if out := i.run(t, "gal contact add --note telephone --yes", erin, file); !strings.Contains(out, "shown "+dn) {
		t.Errorf("added: %s", out)
	}
	if out := i.run(t, "gal contact list"); !strings.Contains(out, erin) || !strings.Contains(out, "ends in 20 days") {
		t.Errorf("list: %s", out)
	}
	if out := i.run(t, "gal status"); !strings.Contains(out, "1 contacts, 1 of them shown; 1 end within 30 days") {
		t.Errorf("status: %s", out)
	}
	var c api.Contact
	must(t, json.Unmarshal([]byte(i.run(t, "gal contact show --json", erin)), &c))
	if c.Trust != "anchors" || c.Shown != "shown" || !c.EndsSoon || c.Note != "telephone" {
		t.Errorf("%+v", c)
	}
	got := found()
	if len(got) != 1 || string(got[0]) != string(person.Raw) {
		t.Fatalf("ldapsearch finds %d", len(got))
	}
	g := gpgtest.New(t, root)
	g.Import(root.Raw, got[0])
	g.Write("mail.txt", []byte("for erin"))
	g.Run("gpgsm", "--batch", "--disable-crl-checks", "--encrypt", "--output", g.Path("mail.p7m"), "-r", erin, g.Path("mail.txt"))
	key, err := x509.MarshalPKCS8PrivateKey(pkitest.RSAKey(t, ca.RSA3072, 2))
	must(t, err)
	if out := g.Run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", g.Path("mail.p7m"), "-inkey", g.Write("key.der", key), "-keyform", "DER",
		"-recip", g.Write("erin.pem", pkitest.PEM(got[0]))); out != "for erin" {
		t.Errorf("the message is %q", out)
	}

	i.serve(t)
	list, err := i.as(t, "auditor").Contacts(t.Context(), client.ContactQuery{Mailbox: erin})
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].ID != c.ID || !strings.HasPrefix(list.Items[0].AddedBy, "command line") {
		t.Errorf("%+v", list)
	}
	// Its value is taken out by somebody; the server's daily look puts it back: here, as soon as it is due.
	i.slapd.Modify(t, "dn: "+dn+"\nchangetype: modify\ndelete: userCertificate;binary\n")
	i.db.Exec(t, "update gal.contact set due_at = now()")
	e2etest.Eventually(t, func() error {
		if n := len(found()); n != 1 {
			return fmt.Errorf("%d certificates", n)
		}
		return nil
	})
	if out := i.run(t, "gal contact remove --note left", erin); !strings.Contains(out, "removed") || len(found()) != 0 {
		t.Errorf("removed: %s", out)
	}
	if out := i.run(t, "gal contact list --former --json"); !strings.Contains(out, `"state":"removed"`) {
		t.Errorf("list: %s", out)
	}
	oneLine(t, "removed before", e2etest.Bad(t, i.command("gal contact remove --note left", erin), "There is no such contact"))
}
