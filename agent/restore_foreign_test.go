package agent_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// imported has a registrar bring a key of alice's that another authority certified, years ago.
func (o *office) imported() (old, leaf *x509.Certificate) {
	o.t.Helper()
	t := o.t
	caKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	issuer := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old Authority"}, NotBefore: time.Now().AddDate(-9, 0, 0),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	must(t, err)
	certify := func(template, parent *x509.Certificate, public any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, caKey)
		must(t, err)
		c, err := x509.ParseCertificate(der)
		must(t, err)
		return c
	}
	old = certify(issuer, issuer, caKey.Public())
	leaf = certify(&x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "Anders, Alice"}, EmailAddresses: []string{"alice@example.test"},
		NotBefore: time.Now().AddDate(-3, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0), KeyUsage: x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, old, key.Public())
	c, err := client.New(client.Config{BaseURL: o.url, Roots: o.tls, Login: "rita", Password: slapdtest.Password("rita")})
	must(t, err)
	defer c.Close()
	subject := api.ImportSubject{Certificate: leaf.Raw}
	drafts, err := c.DraftImports(t.Context(), api.ImportQuery{Items: []api.ImportSubject{subject}})
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: api.ImportIdentifier(drafts.Items[0].Person, leaf.Raw, drafts.Exchange.Nonce)}.Marshal()
	must(t, err)
	exchange, err := x509.ParseCertificate(drafts.Exchange.Certificate)
	must(t, err)
	message, err := cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	must(t, err)
	_, err = c.ImportKey(t.Context(), api.ImportRequest{ImportSubject: subject, Chain: [][]byte{old.Raw}, Key: message})
	must(t, err)
	return old, leaf
}

// A key that was imported comes back with the certificate that mail was encrypted to, and nobody trusts its authority for it.
func TestRestoreOfAnImportedKey(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	old, leaf := o.imported()
	mail := encryptedTo(t, leaf.Raw, "an old mail")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	kase, _ := m.opened(agent.RestoreOptions{})
	o.approve(kase, "olivia", "oscar")
	nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
	r, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Stores: agent.Stores{NSS: agent.Databases{nss}}})
	must(t, err)
	if r.Keys != 3 || r.New != 2 || r.Loose != nil || len(r.Identity.History) != 2 || !r.Identity.History[1].Foreign {
		t.Fatalf("%+v", r)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	run(t, "", "openssl", "pkcs12", "-in", filepath.Join(r.Identity.Folder, agent.GPGSMFolder, "04.p12"), "-passin", "file:"+filepath.Join(r.Identity.Folder, agent.PasswordFile), "-nodes", "-out", key)
	if out := run(t, "", "openssl", "cms", "-decrypt", "-inform", "PEM", "-in", mail, "-recip", key, "-inkey", key); !strings.Contains(out, "an old mail") {
		t.Errorf("openssl decrypts %q", out)
	}
	if _, err := m.agent(false).Fill(t.Context(), agent.FillOptions{}); err != nil {
		t.Error(err)
	}
	for _, line := range strings.Split(run(t, "", "certutil", "-L", "-d", "sql:"+nss.Dir), "\n") {
		if strings.Contains(line, old.Subject.CommonName) && !strings.HasSuffix(strings.TrimSpace(line), ",,") {
			t.Errorf("NSS trusts the old authority: %s", line)
		}
	}
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 4 {
		t.Errorf("NSS has:\n%s", keys)
	}
	// It is handed to no other device, which could not check it, and that is said.
	second := o.machine("alice")
	second.enrolled(1, "P-256")
	received, sent, err, sendErr := handedOver(t, m.agent(false), second.agent(false), patient, asShown)
	if err != nil || sendErr != nil || sent.Left != 1 || received.Keys != 2 {
		t.Errorf("%v, %v: %s", err, sendErr, fmt.Sprint(sent))
	}
}
