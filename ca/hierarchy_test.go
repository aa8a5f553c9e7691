package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestHierarchy(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, key := range []ca.KeyAlgorithm{ca.P256, ca.P384, ca.RSA3072, ca.RSA4096} {
		h := pkitest.NewHierarchyWith(t, now, pkitest.RSAKey(t, key, 0), pkitest.RSAKey(t, key, 1))
		i := h.Issuing
		if !i.IsCA || !i.MaxPathLenZero || i.MaxPathLen != 0 || i.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
			t.Errorf("%s: issuing: CA %v, path %d, usage %b", key, i.IsCA, i.MaxPathLen, i.KeyUsage)
		}
		if h.Root.MaxPathLen != -1 || len(h.Root.ExtKeyUsage)+len(h.Root.UnknownExtKeyUsage) != 0 {
			t.Errorf("%s: root: path %d, usages %v", key, h.Root.MaxPathLen, h.Root.ExtKeyUsage)
		}
		for _, u := range i.ExtKeyUsage {
			if u == x509.ExtKeyUsageOCSPSigning || u == x509.ExtKeyUsageAny {
				t.Errorf("%s: issuing may %v", key, u)
			}
		}
		if len(i.PermittedEmailAddresses) != 0 || len(i.CRLDistributionPoints) != 1 || len(i.IssuingCertificateURL) != 1 {
			t.Errorf("%s: issuing: %v %v %v", key, i.PermittedEmailAddresses, i.CRLDistributionPoints, i.IssuingCertificateURL)
		}
		lintAuthority(t, h.Root)
		lintAuthority(t, h.Issuing)
		crl, err := x509.ParseRevocationList(h.RootCRL(t, now))
		if err != nil || crl.CheckSignatureFrom(h.Root) != nil || crl.Number.Int64() != 1 || crl.NextUpdate.Before(now.AddDate(0, 11, 0)) {
			t.Errorf("%s: root's list: %+v, %v", key, crl, err)
		}
	}
}

// lintAuthority runs every lint of the RFCs. The root has no policies and no addresses, as a root should.
func lintAuthority(t *testing.T, c *x509.Certificate) {
	t.Helper()
	reg, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280, lint.RFC5480, lint.RFC8813}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zx509.ParseCertificate(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range zlint.LintCertificateEx(z, reg).Results {
		if r.Status >= lint.Warn {
			t.Errorf("%s: %s %v %s", c.Subject.CommonName, name, r.Status, r.Details)
		}
	}
}

func TestNameConstraints(t *testing.T) {
	t.Parallel()
	h := pkitest.NewHierarchy(t, time.Now())
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.CreateIssuing(h.Root, h.RootKey, h.IssuingKey.Public(), ca.CACertificate{CommonName: "Constrained", Now: time.Now(),
		Usages: usages, CRL: []string{"http://pki.example.test/root.crl"}, MailDomains: []string{"example.test"}})
	if err != nil || !c.PermittedDNSDomainsCritical || len(c.PermittedEmailAddresses) != 1 {
		t.Errorf("%v, %v", c, err)
	}
}

func TestAuthorityFaults(t *testing.T) {
	t.Parallel()
	h := pkitest.NewHierarchy(t, time.Now())
	for name, c := range map[string]ca.CACertificate{
		"no name":                {Now: time.Now(), CRL: []string{"http://a/b.crl"}},
		"no usages":              {CommonName: "A", Now: time.Now(), CRL: []string{"http://a/b.crl"}},
		"no list":                {CommonName: "A", Now: time.Now()},
		"https":                  {CommonName: "A", Now: time.Now(), CRL: []string{"https://a/b.crl"}},
		"https for the root":     {CommonName: "A", Now: time.Now(), CRL: []string{"http://a/b.crl"}, CAIssuers: "https://a/r.cer"},
		"country of three codes": {CommonName: "A", Now: time.Now(), CRL: []string{"http://a/b.crl"}, Organisation: ca.Organisation{Country: "GER"}},
	} {
		if _, err := ca.CreateIssuing(h.Root, h.RootKey, h.IssuingKey.Public(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ca.CreateRoot(pkitest.NewKey(t, ca.Ed25519), ca.CACertificate{CommonName: "A", Now: time.Now()}); !errors.Is(err, ca.ErrConfig) {
		t.Errorf("Ed25519 root: %v", err)
	}
	if _, err := ca.CreateRoot(pkitest.RSAKey(t, ca.RSA2048, 0), ca.CACertificate{CommonName: "A", Now: time.Now()}); !errors.Is(err, ca.ErrConfig) {
		t.Errorf("RSA-2048 root: %v", err)
	}
}

// TestOutsideRoot has OpenSSL play a root outside: it signs our request, and we take the answer back.
func TestOutsideRoot(t *testing.T) {
	t.Parallel()
	now := time.Now()
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	if err != nil {
		t.Fatal(err)
	}
	key := pkitest.NewKey(t, ca.P256)
	csr, err := ca.IssuingRequest(key, ca.CACertificate{CommonName: "Issuing of Example", Organisation: pkitest.Organisation(), Now: now, Usages: usages})
	if err != nil {
		t.Fatal(err)
	}
	root, sign := outsideRoot(t, csr)
	good := sign("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n" +
		"authorityKeyIdentifier=keyid\ncrlDistributionPoints=URI:http://outside.test/root.crl\n")
	if err := ca.AcceptIssuing(key.Public(), []*x509.Certificate{good, root}, usages, time.Now()); err != nil { // OpenSSL's own clock was a moment later
		t.Errorf("a good answer: %v", err)
	}
	h := pkitest.NewHierarchy(t, now)
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		says  string
	}{
		"no chain":       {[]*x509.Certificate{good}, "needs the issuing certificate and those above it"},
		"another root":   {[]*x509.Certificate{good, h.Root}, "certificate 0 is not signed by the next"},
		"not a root":     {[]*x509.Certificate{good, h.Issuing}, "the last certificate is not a root"},
		"another key":    {[]*x509.Certificate{h.Issuing, h.Root}, "is for another key"},
		"not a CA":       {[]*x509.Certificate{sign("basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\n"), root}, "may not sign certificates and lists"},
		"no list":        {[]*x509.Certificate{sign("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"), root}, "names no revocation list"},
		"missing usages": {[]*x509.Certificate{sign("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\nextendedKeyUsage=emailProtection\n"), root}, "does not allow the extended key usage"},
	} {
		if err := ca.AcceptIssuing(key.Public(), c.chain, usages, now); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ca.AcceptIssuing(key.Public(), []*x509.Certificate{good, root}, usages, now.AddDate(30, 0, 0)); err == nil {
		t.Error("accepted after its end")
	}
}

// outsideRoot makes a root with OpenSSL, and a function by which it signs the request with the given extensions.
func outsideRoot(t *testing.T, csr []byte) (*x509.Certificate, func(extensions string) *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	read := func(name string) *x509.Certificate {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("r.csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
	run("req", "-in", "r.csr", "-noout", "-verify")
	run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Outside Root", "-days", "3650")
	return read("root.pem"), func(extensions string) *x509.Certificate {
		write("ext.cnf", []byte(extensions))
		run("x509", "-req", "-in", "r.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7", "-days", "365", "-extfile", "ext.cnf", "-out", "i.pem")
		return read("i.pem")
	}
}

// TestSignCRL lets the issuer's key sign lists and nothing that looks like a certificate.
func TestSignCRL(t *testing.T) {
	r := setup(t)
	i, err := r.Issuer(pkitest.IssuerID)
	if err != nil {
		t.Fatal(err)
	}
	der := r.CRL(t, 7, r.now, x509.RevocationListEntry{SerialNumber: big.NewInt(99), RevocationTime: r.now.Add(-time.Hour), ReasonCode: 1})
	list, err := x509.ParseRevocationList(der)
	if err != nil || list.CheckSignatureFrom(r.Issuing) != nil {
		t.Fatalf("%v", err)
	}
	tbs := list.RawTBSRevocationList
	for _, pieces := range [][][]byte{{tbs}, {tbs[:len(tbs)-30], tbs[len(tbs)-30 : len(tbs)-29], {}, tbs[len(tbs)-29:]}} {
		sig, err := i.SignCRL(pieces...)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Issuing.CheckSignature(list.SignatureAlgorithm, tbs, sig); err != nil {
			t.Error(err)
		}
	}
	if _, err := i.SignCRL(tbs[:20], tbs[20:]); err == nil {
		t.Error("signed without seeing the issuer's name first")
	}
	other := pkitest.NewHierarchy(t, r.now)
	foreign, err := x509.ParseRevocationList(other.RootCRL(t, r.now))
	if err != nil {
		t.Fatal(err)
	}
	for name, tbs := range map[string][]byte{
		"a certificate": r.Issuing.RawTBSCertificate, "nothing": nil, "garbage": []byte("hello"), "another's list": foreign.RawTBSRevocationList,
		"a list with something behind": append(list.RawTBSRevocationList[:len(list.RawTBSRevocationList):len(list.RawTBSRevocationList)], 0),
	} {
		if _, err := i.SignCRL(tbs); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if err := i.CheckSigner(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRetiredIssuer answers for what it issued and signs nothing.
func TestRetiredIssuer(t *testing.T) {
	t.Parallel()
	h := pkitest.NewHierarchy(t, time.Now())
	c := h.Config()
	c.Issuers[0].Signer = nil
	draft, err := ca.Drafter(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft(pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())); !errors.Is(err, ca.ErrNoSigner) {
		t.Errorf("got %v", err)
	}
}
