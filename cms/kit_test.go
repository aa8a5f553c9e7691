package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cms"
)

// holder is a person with a key and a certificate, in memory and as files.
type holder struct {
	name     string
	key      crypto.Signer // nil for X25519
	agree    *ecdh.PrivateKey
	cert     *x509.Certificate
	keyFile  string
	certFile string
}

func (h *holder) decrypter() cms.Decrypter {
	if h.agree != nil {
		return h.agree
	}
	return h.key.(cms.Decrypter)
}

func (h *holder) recipient() cms.Recipient {
	return cms.Recipient{Certificate: h.cert, Key: h.decrypter()}
}

// pki is one CA and everybody it has certified. It is made once and only read.
type pki struct {
	dir    string
	caKey  crypto.Signer
	ca     *x509.Certificate
	caFile string

	rsa, rsa2, p256, p256b, p384, p521, x25519 *holder // may sign and decrypt
}

var thePKI = sync.OnceValue(makePKI)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := thePKI().dir; dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func makePKI() *pki {
	p := &pki{dir: must(os.MkdirTemp("", "cms"))}
	p.caKey = fixedEC(elliptic.P256(), "ca")
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	p.ca = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, p.caKey.Public(), p.caKey))))
	p.caFile = p.write("ca.crt", "CERTIFICATE", p.ca.Raw)
	p.rsa = p.issue("alice-rsa", must(rsa.GenerateKey(rand.Reader, 2048)), nil)
	p.rsa2 = p.issue("bob-rsa", must(rsa.GenerateKey(rand.Reader, 3072)), nil)
	p.p256 = p.issue("alice-p256", fixedEC(elliptic.P256(), "alice"), nil)
	p.p256b = p.issue("bob-p256", fixedEC(elliptic.P256(), "bob"), nil)
	p.p384 = p.issue("alice-p384", fixedEC(elliptic.P384(), "alice"), nil)
	p.p521 = p.issue("alice-p521", fixedEC(elliptic.P521(), "alice"), nil)
	p.x25519 = p.issueX25519("alice-x25519")
	return p
}

// fixedBytes and fixedEC make keys that are the same in every process: a fuzzing
// worker has to open what its coordinator sealed.
func fixedBytes(name string, n int) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:n]
}

func fixedEC(curve elliptic.Curve, name string) *ecdsa.PrivateKey {
	scalar := make([]byte, (curve.Params().BitSize+7)/8)
	copy(scalar[len(scalar)-24:], fixedBytes(name, 24))
	return must(ecdsa.ParseRawPrivateKey(curve, scalar))
}

func (p *pki) write(name, typ string, der []byte) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	return path
}

var serials = struct {
	sync.Mutex
	last int64
}{last: 100}

// issue certifies a key. change may alter the template.
func (p *pki) issue(name string, key crypto.Signer, change func(*x509.Certificate)) *holder {
	serials.Lock()
	serials.last++
	serial := serials.last
	serials.Unlock()
	keyID := fixedBytes(name, 20)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, SubjectKeyId: keyID,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
	}
	if change != nil {
		change(tmpl)
	}
	h := &holder{name: name, key: key}
	h.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, p.ca, key.Public(), p.caKey))))
	h.certFile = p.write(name+".crt", "CERTIFICATE", h.cert.Raw)
	if pkcs8, err := x509.MarshalPKCS8PrivateKey(key); err == nil {
		h.keyFile = p.write(name+".key", "PRIVATE KEY", pkcs8)
	}
	return h
}

// issueX25519 has openssl certify an X25519 key, which crypto/x509 cannot.
func (p *pki) issueX25519(name string) *holder {
	h := &holder{name: name, agree: must(ecdh.X25519().NewPrivateKey(fixedBytes("alice", 32)))}
	h.keyFile = p.write(name+".key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(h.agree)))
	pub := p.write(name+".pub", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(h.agree.PublicKey())))
	caKey := p.write("ca.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p.caKey)))
	csr := filepath.Join(p.dir, name+".csr")
	h.certFile = filepath.Join(p.dir, name+".crt")
	for _, args := range [][]string{
		{"req", "-new", "-key", caKey, "-subj", "/CN=" + name, "-out", csr},
		{"x509", "-req", "-in", csr, "-force_pubkey", pub, "-CA", p.caFile, "-CAkey", caKey, "-set_serial", "99", "-out", h.certFile},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
	block, _ := pem.Decode(must(os.ReadFile(h.certFile)))
	h.cert = must(x509.ParseCertificate(block.Bytes))
	return h
}

// openssl runs openssl with input on stdin and returns stdout.
func openssl(t testing.TB, input []byte, args ...string) []byte {
	t.Helper()
	out, err := tryOpenssl(input, args...)
	if err != nil {
		t.Fatalf("openssl %v: %v", args, err)
	}
	return out
}

func tryOpenssl(input []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, &opensslError{err, stderr.String()}
	}
	return stdout.Bytes(), nil
}

type opensslError struct {
	err    error
	stderr string
}

func (e *opensslError) Error() string { return e.err.Error() + ": " + e.stderr }

func certs(holders ...*holder) []*x509.Certificate {
	var list []*x509.Certificate
	for _, h := range holders {
		list = append(list, h.cert)
	}
	return list
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return pool
}
