package pkcs12_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/pkcs12"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pki is one CA and its customers. It is made once and only read.
type pki struct {
	caKey crypto.Signer
	ca    *x509.Certificate

	rsa, rsa2, p256, p384, x25519 pkcs12.Entry
}

var thePKI = sync.OnceValue(func() *pki {
	p := &pki{caKey: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	p.ca = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, p.caKey.Public(), p.caKey))))
	p.rsa = p.issue("S/MIME encryption 2025", must(rsa.GenerateKey(rand.Reader, 3072)))
	p.rsa2 = p.issue("S/MIME encryption 2026 – gültig", must(rsa.GenerateKey(rand.Reader, 2048)))
	p.p256 = p.issue("S/MIME encryption 2024", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	p.p384 = p.issue("", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	p.x25519 = p.issueX25519("S/MIME encryption 2027")
	return p
})

var serial atomic.Int64

func (p *pki) issue(name string, key crypto.Signer) pkcs12.Entry {
	n := serial.Add(1) + 100
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "alice@example.test", SerialNumber: big.NewInt(n).String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageKeyEncipherment, EmailAddresses: []string{"alice@example.test"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	cert := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, p.ca, key.Public(), p.caKey))))
	return pkcs12.Entry{Key: key, Certificate: cert, Name: name}
}

// issueX25519 has openssl certify an X25519 key, which crypto/x509 cannot.
func (p *pki) issueX25519(name string) pkcs12.Entry {
	dir := must(os.MkdirTemp("", "p12"))
	defer os.RemoveAll(dir)
	key := must(ecdh.X25519().GenerateKey(rand.Reader))
	pub := writePEM(dir, "pub", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.PublicKey())))
	caKey := writePEM(dir, "ca.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p.caKey)))
	ca := writePEM(dir, "ca.crt", "CERTIFICATE", p.ca.Raw)
	csr, crt := filepath.Join(dir, "csr"), filepath.Join(dir, "crt")
	must(exec.Command("openssl", "req", "-new", "-key", caKey, "-subj", "/CN=alice x25519", "-out", csr).Output())
	must(exec.Command("openssl", "x509", "-req", "-in", csr, "-force_pubkey", pub, "-CA", ca, "-CAkey", caKey, "-set_serial", "99", "-out", crt).Output())
	block, _ := pem.Decode(must(os.ReadFile(crt)))
	return pkcs12.Entry{Key: key, Certificate: must(x509.ParseCertificate(block.Bytes)), Name: name}
}

func writePEM(dir, name, typ string, der []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	return path
}

// run runs a program and returns what it wrote to stdout and stderr.
func run(t testing.TB, env []string, input []byte, name string, args ...string) (stdout, stderr []byte) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out.Bytes(), errs.Bytes())
	}
	return out.Bytes(), errs.Bytes()
}

func encode(t testing.TB, entries []pkcs12.Entry, chain []*x509.Certificate, passphrase string, p pkcs12.Profile) []byte {
	t.Helper()
	p12, err := pkcs12.Encode(entries, chain, passphrase, p)
	if err != nil {
		t.Fatal(err)
	}
	return p12
}

// compareEntries compares keys by their PKCS #8 encoding.
func compareEntries(t testing.TB, want, got []pkcs12.Entry) {
	t.Helper()
	type flat struct {
		Key, Certificate []byte
		Name             string
	}
	flatten := func(entries []pkcs12.Entry) (list []flat) {
		for _, e := range entries {
			f := flat{Key: must(x509.MarshalPKCS8PrivateKey(e.Key)), Name: e.Name}
			if e.Certificate != nil {
				f.Certificate = e.Certificate.Raw
			}
			list = append(list, f)
		}
		return list
	}
	if d := cmp.Diff(flatten(want), flatten(got)); d != "" {
		t.Error(d)
	}
}

func compareChain(t testing.TB, want, got []*x509.Certificate) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("the chain has %d certificates, not %d", len(got), len(want))
		return
	}
	for i := range want {
		if !want[i].Equal(got[i]) {
			t.Errorf("certificate %d of the chain is %v", i, got[i].Subject)
		}
	}
}
