package point_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/fault"
)

// issuer makes lists and certificates.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// serials are those of issuers' own certificates: OpenLDAP takes two of one issuer and serial for the same value.
var serials atomic.Int64

func newIssuer(t testing.TB, name string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	i := &issuer{key: key}
	i.cert = i.certificate(t, name, time.Now())
	return i
}

// certificate makes a certificate of the issuer's key.
func (i *issuer) certificate(t testing.TB, name string, from time.Time) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name), NotBefore: from.Add(-time.Hour), NotAfter: from.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, i.key.Public(), i.key)
	must(t, err)
	out, err := x509.ParseCertificate(der)
	must(t, err)
	return out
}

// der makes a list; one with a base is a delta.
func (i *issuer) der(t testing.TB, number, base int64) []byte {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(72 * time.Hour)}
	if base > 0 {
		template.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, byte(base)}}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, i.cert, i.key)
	must(t, err)
	return der
}

func (i *issuer) full(t testing.TB, number int64) point.File {
	t.Helper()
	return i.listed(t, "issuing.crl", point.Full, i.der(t, number, 0))
}

func (i *issuer) delta(t testing.TB, number, base int64) point.File {
	t.Helper()
	return i.listed(t, "issuing-delta.crl", point.Delta, i.der(t, number, base))
}

func (i *issuer) listed(t testing.TB, name string, kind point.Kind, der []byte) point.File {
	t.Helper()
	f := file(name, kind, der)
	head, err := list.Read(bytes.NewReader(der), nil)
	must(t, err)
	f.Head, f.Issuer = head, i.cert
	return f
}

// large makes a complete list of at least so many bytes.
func (i *issuer) large(t testing.TB, number int64, size int) point.File {
	t.Helper()
	entry, _, err := list.Delta([]list.Change{{Entry: list.Entry{Serial: bytes.Repeat([]byte{0x41}, 16), At: time.Now()}}})
	must(t, err)
	template := &list.Template{Issuer: i.cert, Algorithm: []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), Number: number,
		ThisUpdate: time.Now().Truncate(time.Second), NextUpdate: time.Now().Truncate(time.Second).Add(time.Hour)}
	l, err := template.Sign([][]byte{bytes.Repeat(entry, size/len(entry)+1)}, func(tbs ...[]byte) ([]byte, error) {
		h := sha256.New()
		for _, part := range tbs {
			h.Write(part)
		}
		return ecdsa.SignASN1(rand.Reader, i.key, h.Sum(nil))
	})
	must(t, err)
	head, err := list.Read(l.Open(), nil)
	must(t, err)
	return point.File{Name: "issuing.crl", Kind: point.Full, Size: head.Size, SHA256: head.SHA256, Head: head, Issuer: i.cert, Open: func() io.ReadSeeker { return l.Open() }}
}

func file(name string, kind point.Kind, content []byte) point.File {
	return point.File{Name: name, Kind: kind, Size: int64(len(content)), SHA256: sha256.Sum256(content), Open: func() io.ReadSeeker { return bytes.NewReader(content) }}
}

func packed(t testing.TB, certs ...*x509.Certificate) point.File {
	t.Helper()
	der, err := bundle.Write(certs)
	must(t, err)
	return file("issuing.p7c", point.Bundle, der)
}

func content(t testing.TB, f point.File) []byte {
	t.Helper()
	b, err := io.ReadAll(f.Open())
	must(t, err)
	return b
}

// shows fails the test unless the point shows f.
func shows(t testing.TB, p point.Point, f point.File) {
	t.Helper()
	in, err := p.Get(t.Context(), f)
	if err != nil {
		t.Errorf("%s: %v", f.Name, err)
		return
	}
	defer in.Close()
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, content(t, f)) {
		t.Errorf("%s: the point shows something else (%d bytes, %v)", f.Name, len(got), err)
	}
}

// is fails the test unless err is want, with a detail for people.
func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
		return
	}
	if f := fault.Of(err); want != nil && (f == nil || f.Detail == "" || f.Detail[len(f.Detail)-1] != '.') {
		t.Errorf("%s: detail of %v", what, err)
	}
}

func detail(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nobody returns an address where nothing listens.
func nobody(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// soon is a context that ends in a moment.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// during makes f call do once, when so many bytes of it were read.
func during(f point.File, bytes int64, do func()) point.File {
	open := f.Open
	f.Open = func() io.ReadSeeker { return &interrupted{ReadSeeker: open(), left: bytes, do: do} }
	return f
}

// duringSending is during for places that read a file once before they send it.
func duringSending(f point.File, bytes int64, do func()) point.File {
	struck, sent := during(f, bytes, do), f
	var opened atomic.Int64
	sent.Open = func() io.ReadSeeker {
		if opened.Add(1) == 1 {
			return f.Open()
		}
		return struck.Open()
	}
	return sent
}

type interrupted struct {
	io.ReadSeeker
	left int64
	do   func()
}

func (i *interrupted) Read(b []byte) (int, error) {
	n, err := i.ReadSeeker.Read(b)
	if i.left -= int64(n); i.left <= 0 && i.do != nil {
		i.do()
		i.do = nil
	}
	return n, err
}
