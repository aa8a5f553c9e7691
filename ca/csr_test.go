package ca_test

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 a kind of key that must be refused
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestParseCSR(t *testing.T) {
	t.Parallel()
	for _, a := range []ca.KeyAlgorithm{ca.P256, ca.P384, ca.Ed25519, ca.RSA3072} {
		key := pkitest.RSAKey(t, a, 0)
		c, err := ca.ParseCSR(pkitest.CSR(t, key, "Alice Example", "alice@EXAMPLE.test", "Other@example.test", "alice@example.test"))
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		if c.Algorithm != a || !bytes.Equal(c.PublicKey, pkitest.SPKI(key.Public())) || c.Subject.CommonName != "Alice Example" {
			t.Errorf("%s: %+v", a, c)
		}
		if diff := cmp.Diff([]string{"alice@example.test", "Other@example.test"}, c.Mailboxes); diff != "" {
			t.Errorf("%s: mailboxes (-want +got):\n%s", a, diff)
		}
	}
}

// TestParseCSROfOpenSSL reads a request that OpenSSL made, with addresses in all three places.
func TestParseCSROfOpenSSL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := "[req]\ndistinguished_name=dn\nreq_extensions=e\nprompt=no\nutf8=yes\n[dn]\nCN=Älice\nemailAddress=alice@example.test\n" +
		"[e]\nsubjectAltName=@n\n[n]\nemail=a.example@example.test\notherName.1=1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:älice@example.test\n" +
		"otherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:upn@example.test\n"
	if err := os.WriteFile(filepath.Join(dir, "c.cnf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "req", "-new", "-newkey", "rsa:3072", "-nodes", "-keyout", "k.pem", "-config", "c.cnf", "-outform", "DER", "-out", "r.der")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl req: %v\n%s", err, out)
	}
	der, err := os.ReadFile(filepath.Join(dir, "r.der"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.example@example.test", "älice@example.test", "alice@example.test"}, c.Mailboxes); diff != "" {
		t.Errorf("mailboxes (-want +got):\n%s", diff)
	}
}

func TestParseCSRRefuses(t *testing.T) {
	t.Parallel()
	good := pkitest.CSR(t, pkitest.NewKey(t, ca.P256), "Alice", "alice@example.test")
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := rsa.GenerateKey(rand.Reader, 2056)
	if err != nil {
		t.Fatal(err)
	}
	var many []string
	for range 65 {
		many = append(many, strings.Repeat("a", len(many)+1)+"@example.test")
	}
	for _, c := range []struct {
		name string
		der  []byte
		want error
		says string
	}{
		{"nothing", nil, ca.ErrCSRMalformed, ""},
		{"garbage", []byte("hello"), ca.ErrCSRMalformed, ""},
		{"PEM", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good}), ca.ErrCSRMalformed, ""},
		{"cut off", good[:len(good)-1], ca.ErrCSRMalformed, ""},
		{"something behind", append(bytes.Clone(good), 0), ca.ErrCSRMalformed, ""},
		{"10 MB", make([]byte, 10<<20), ca.ErrCSRTooLarge, "10485760"},
		{"signature altered", flip(len(good) - 1), ca.ErrCSRSignature, ""},
		{"name altered", flip(bytes.Index(good, []byte("Alice")) + 1), ca.ErrCSRSignature, ""},
		{"unsigned", unsigned(t, good), ca.ErrCSRSignature, ""},
		{"SHA-1", forged(t, []byte{0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0}, good), ca.ErrCSRAlgorithm, ""},
		{"unknown signature algorithm", forged(t, []byte{0x30, 5, 6, 3, 0x2b, 0x65, 0x7a}, good), ca.ErrCSRAlgorithm, ""},
		{"P-521", pkitest.CSR(t, p521, "A"), ca.ErrKeyAlgorithm, "P-521"},
		{"RSA-1024", pkitest.CSR(t, small, "A"), ca.ErrKeySize, "1024"},
		{"RSA of a strange size", pkitest.CSR(t, odd, "A"), ca.ErrKeySize, "2056"},
		{"DSA", csrWith(t, dsaKey(t)), ca.ErrKeyAlgorithm, ""},
		{"X25519", csrWith(t, []byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00"+strings.Repeat("\x09", 32))), ca.ErrKeyAlgorithm, ""},
		{"even modulus", csrWith(t, rsaKey(t, func(n *big.Int) { n.SetBit(n, 0, 0) }, 65537)), ca.ErrKeyWeak, "even"},
		{"divisible by 751", csrWith(t, rsaKey(t, divisible, 65537)), ca.ErrKeyWeak, "751"},
		{"exponent 3", csrWith(t, rsaKey(t, nil, 3)), ca.ErrKeyExponent, ""},
		{"even exponent", csrWith(t, rsaKey(t, nil, 65538)), ca.ErrKeyExponent, ""},
		{"close primes", csrWith(t, rsaKey(t, closePrimes(t), 65537)), ca.ErrKeyWeak, "close"},
		{"ROCA", csrWith(t, rsaKey(t, roca(t), 65537)), ca.ErrKeyWeak, "ROCA"},
		{"RSA without NULL", csrWith(t, bytes.Replace(pkitest.SPKI(pkitest.RSAKey(t, ca.RSA2048, 0).Public()), []byte{0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0}, []byte{0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 4, 0}, 1)), ca.ErrKeyEncoding, ""},
		{"a point that is not on the curve", csrWith(t, offCurve(t)), ca.ErrKeyEncoding, ""},
		{"65 addresses", pkitest.CSR(t, pkitest.NewKey(t, ca.P256), "A", many...), ca.ErrCSRMalformed, "at most 64"},
	} {
		if _, err := ca.ParseCSR(c.der); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// request is a CertificationRequest (RFC 2986 §4.2).
type request struct {
	Info      asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// forged returns the request with another signature algorithm.
func forged(t *testing.T, algorithm, der []byte) []byte {
	t.Helper()
	var r request
	if _, err := asn1.Unmarshal(der, &r); err != nil {
		t.Fatal(err)
	}
	r.Algorithm = asn1.RawValue{FullBytes: algorithm}
	out, err := asn1.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unsigned(t *testing.T, der []byte) []byte {
	t.Helper()
	var r request
	if _, err := asn1.Unmarshal(der, &r); err != nil {
		t.Fatal(err)
	}
	r.Signature = asn1.BitString{}
	out, err := asn1.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// csrWith returns a request for any key, with a signature that is not its own: the key is judged first.
func csrWith(t *testing.T, spki []byte) []byte {
	t.Helper()
	name, err := asn1.Marshal(pkix.Name{CommonName: "A"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	info, err := asn1.Marshal(struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0"`
	}{0, asn1.RawValue{FullBytes: name}, asn1.RawValue{FullBytes: spki}, nil})
	if err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal(request{asn1.RawValue{FullBytes: info}, asn1.RawValue{FullBytes: []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")},
		asn1.BitString{Bytes: []byte{1}, BitLength: 8}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rsaKey(t *testing.T, spoil func(*big.Int), e int) []byte {
	t.Helper()
	k := *pkitest.RSAKey(t, ca.RSA2048, 0).Public().(*rsa.PublicKey)
	k.N, k.E = new(big.Int).Set(k.N), e
	if spoil != nil {
		spoil(k.N)
	}
	der, err := x509.MarshalPKIXPublicKey(&k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// divisible makes n odd and divisible by 751 and by no smaller prime but perhaps.
func divisible(n *big.Int) {
	p := big.NewInt(751)
	n.Sub(n, new(big.Int).Mod(n, p))
	for n.Bit(0) == 0 || smallFactor(n) {
		n.Sub(n, p)
	}
}

func smallFactor(n *big.Int) bool {
	for p := int64(3); p < 751; p += 2 {
		if new(big.Int).Mod(n, big.NewInt(p)).Sign() == 0 {
			return true
		}
	}
	return false
}

func closePrimes(t *testing.T) func(*big.Int) {
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	q := new(big.Int).Set(p)
	for q.Add(q, big.NewInt(2)); !q.ProbablyPrime(10); q.Add(q, big.NewInt(2)) {
	}
	return func(n *big.Int) { n.Mul(p, q) }
}

// roca returns a number that is a power of 65537 modulo each small prime, as the moduli of the faulty library are.
func roca(t *testing.T) func(*big.Int) {
	t.Helper()
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	r := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), m)
	return func(n *big.Int) {
		k := new(big.Int).Lsh(big.NewInt(3), 2046)
		k.Div(k, m)
		for {
			n.Mul(k, m).Add(n, r)
			if n.Bit(0) == 1 && n.BitLen() == 2048 && !smallFactor(n) {
				return
			}
			k.Add(k, big.NewInt(1))
		}
	}
}

func dsaKey(t *testing.T) []byte {
	t.Helper()
	var params dsa.Parameters
	if err := dsa.GenerateParameters(&params, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	p, err := asn1.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	y, err := asn1.Marshal(params.G)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, Parameters: asn1.RawValue{FullBytes: p}},
		asn1.BitString{Bytes: y, BitLength: len(y) * 8}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func offCurve(t *testing.T) []byte {
	t.Helper()
	der := pkitest.SPKI(pkitest.NewKey(t, ca.P256).Public())
	der[len(der)-1] ^= 1
	return der
}

// FuzzParseCSR: whatever comes in, it is read or refused with a fault, and what is read has a sound key.
func FuzzParseCSR(f *testing.F) {
	for _, key := range []crypto.Signer{pkitest.NewKey(f, ca.P256), pkitest.NewKey(f, ca.Ed25519), pkitest.NewKey(f, ca.RSA2048)} {
		f.Add(pkitest.CSR(f, key, "Alice", "alice@example.test"))
	}
	f.Add([]byte{})
	f.Add([]byte("\x30\x80"))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ca.ParseCSR(der)
		if err != nil {
			if fault.Of(err) == nil {
				t.Errorf("not a fault: %v", err)
			}
			return
		}
		key, err := x509.ParsePKIXPublicKey(c.PublicKey)
		if err != nil || !bytes.Equal(pkitest.SPKI(key), c.PublicKey) {
			t.Errorf("the key is read otherwise: %v", err)
		}
	})
}
