package foreign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cms"
)

// ParseKeyBlob is looked at from close by.
var ParseKeyBlob = parseKeyBlob

// KeysInBlob returns how many keys a recovery blob has, opened by one agent.
func KeysInBlob(b []byte, agent cms.Recipient) (int, error) {
	c := detect(b)
	if c.kind != isCMS {
		return 0, ErrBlob
	}
	keys, err := keysInBlob(c.der, Options{Agents: []cms.Recipient{agent}})
	eraseAll(keys)
	return len(keys), err
}

// Leave makes a source end after so many more bytes.
func (s *Source) Leave(n int64) { s.left = n }

// NewAgent makes a recovery agent.
func NewAgent(t testing.TB) cms.Recipient {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "KRA"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return cms.Recipient{Certificate: c, Key: key}
}

// Blobs are messages to an agent, signed by nobody.
func Blobs(t testing.TB, c *x509.Certificate, inner []byte) (out [][]byte) {
	t.Helper()
	for _, legacy := range []bool{false, true} {
		m, err := cms.Seal(inner, []*x509.Certificate{c}, cms.SealOptions{Legacy: legacy})
		must(t, err)
		out = append(out, m)
	}
	return out
}

// KeyBlobs are one key of each kind, as Windows exports them.
func KeyBlobs(t testing.TB) (out [][]byte) {
	t.Helper()
	le := binary.LittleEndian
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	b := append([]byte{7, 2, 0, 0, 0, 0xa4, 0, 0}, "RSA2"...)
	b = le.AppendUint32(le.AppendUint32(b, 1024), uint32(k.E))
	for _, x := range []struct {
		n    *big.Int
		size int
	}{{k.N, 128}, {k.Primes[0], 64}, {k.Primes[1], 64}, {k.Precomputed.Dp, 64}, {k.Precomputed.Dq, 64}, {k.Precomputed.Qinv, 64}, {k.D, 128}} {
		part := x.n.FillBytes(make([]byte, x.size))
		slices.Reverse(part)
		b = append(b, part...)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := e.PublicKey.Bytes()
	must(t, err)
	d, err := e.Bytes()
	must(t, err)
	cng := le.AppendUint32(le.AppendUint32(nil, 0x32415352), 1024)
	for _, size := range []uint32{3, 128, 64, 64} {
		cng = le.AppendUint32(cng, size)
	}
	cng = append(append(cng, 1, 0, 1), k.N.FillBytes(make([]byte, 128))...)
	cng = append(append(cng, k.Primes[0].FillBytes(make([]byte, 64))...), k.Primes[1].FillBytes(make([]byte, 64))...)
	return [][]byte{b, append(append(append([]byte("ECK2"), 32, 0, 0, 0), public[1:]...), d...), cng}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
