package list_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/crl/list"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// issuer is a certificate authority of a test.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
	algorithm   []byte
	hash        crypto.Hash
}

func newIssuer(t testing.TB, key crypto.Signer, algorithm string, hash crypto.Hash) *issuer {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Issuing"}, NotBefore: noon, NotAfter: noon.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{c, key, []byte(algorithm), hash}
}

const (
	ecdsaSHA256 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
	ecdsaSHA384 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
	rsaSHA256   = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
)

func p256(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newIssuer(t, key, ecdsaSHA256, crypto.SHA256)
}

func (i *issuer) sign(tbs ...[]byte) ([]byte, error) {
	h := i.hash.New()
	for _, p := range tbs {
		h.Write(p)
	}
	return i.key.Sign(rand.Reader, h.Sum(nil), i.hash)
}

func (i *issuer) template(number int64) *list.Template {
	return &list.Template{Issuer: i.certificate, Algorithm: i.algorithm, Number: number, ThisUpdate: noon, NextUpdate: noon.Add(72 * time.Hour)}
}

func compose(t testing.TB, i *issuer, template *list.Template, entries ...[]byte) *list.List {
	t.Helper()
	l, err := template.Sign(entries, i.sign)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serial returns a number's octets in 16 octets, as the authority gives them.
func serial(n uint64) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b, n*0x9e3779b97f4a7c15) // spread, as random ones are
	binary.BigEndian.PutUint64(b[8:], n)
	b[0] = b[0]&0x3f | 0x40
	return b
}

func change(n uint64, reason list.Reason) list.Change {
	return list.Change{Entry: list.Entry{Serial: serial(n), At: noon.Add(-time.Duration(n%1000) * time.Minute), Reason: reason}}
}

func apply(t testing.TB, b *list.Book, now time.Time, changes ...list.Change) *list.Book {
	t.Helper()
	next, err := b.Apply(changes, now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func entries(segments []*list.Segment) (out [][]byte) {
	for _, s := range segments {
		out = append(out, s.DER)
	}
	return out
}

// read reads a list back and verifies it.
func (i *issuer) read(t testing.TB, l *list.List) (*list.Head, []list.Entry) {
	t.Helper()
	var out []list.Entry
	h, err := list.Read(l.Open(), func(e list.Entry) error {
		e.Serial = bytes.Clone(e.Serial)
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Verify(i.certificate); err != nil {
		t.Fatal(err)
	}
	return h, out
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]*issuer{"P-256": p256(t), "P-384": newIssuer(t, p384, ecdsaSHA384, crypto.SHA384), "RSA": newIssuer(t, rsaKey, rsaSHA256, crypto.SHA256)} {
		for _, n := range []uint64{0, 1, 2, 999, 1000, 1001, 5000} {
			var changes []list.Change
			for k := range n {
				c := change(k+1, list.Reason(k%7))
				if k%3 == 0 {
					c.Invalid = noon.AddDate(30, 0, 0)
				}
				changes = append(changes, c)
			}
			book := apply(t, new(list.Book), noon, changes...)
			template := i.template(int64(n) + 127)
			template.ThisUpdate = noon.AddDate(int(n/100), 0, 0) // beyond 2050 too
			template.NextUpdate = template.ThisUpdate.Add(time.Hour)
			l := compose(t, i, template, entries(book.Segments())...)
			h, got := i.read(t, l)
			if h.Entries != int(n) || h.Size != l.Size || h.Number.Int64() != int64(n)+127 || h.Delta() || !h.ThisUpdate.Equal(template.ThisUpdate) || !h.NextUpdate.Equal(template.NextUpdate) {
				t.Errorf("%s, %d: %+v", name, n, h)
			}
			for k, e := range got {
				if want := changes[k].Entry; !cmp.Equal(e, want) {
					t.Fatalf("%s, %d: entry %d: %s", name, n, k, cmp.Diff(want, e))
				}
			}
			std, err := x509.ParseRevocationList(l.Bytes())
			if err != nil {
				t.Fatalf("%s, %d: the standard library: %v", name, n, err)
			}
			if err := std.CheckSignatureFrom(i.certificate); err != nil || len(std.RevokedCertificateEntries) != int(n) || std.Number.Int64() != int64(n)+127 {
				t.Errorf("%s, %d: the standard library: %v", name, n, err)
			}
		}
	}
}

// full has every field.
func full(i *issuer) *list.Template {
	t := i.template(12)
	t.Scope, t.Freshest = "http://pki.example.test/crl/issuing-3.crl", []string{"http://pki.example.test/crl/issuing-3-delta.crl"}
	t.Publish, t.Locations = noon.Add(12*time.Hour), []string{"ldap:///CN=Issuing,CN=CDP,DC=example,DC=test?certificateRevocationList?base?(objectClass=cRLDistributionPoint)"}
	return t
}

func TestExtensionsAsOpenSSLReadsThem(t *testing.T) {
	t.Parallel()
	i := p256(t)
	entry := apply(t, new(list.Book), noon, change(1, 1)).Segments()[0].DER
	delta := i.template(12)
	delta.Base = 9
	released, count, err := list.Delta([]list.Change{change(1, 6), change(2, 4), {Entry: change(1, 6).Entry, Released: true}})
	if err != nil || count != 2 {
		t.Fatalf("%d entries, %v", count, err)
	}
	for name, c := range map[string]struct {
		list *list.List
		want []string
	}{
		"full": {compose(t, i, full(i), entry), []string{"X509v3 CRL Number", "X509v3 Issuing Distribution Point: critical", "Only User Certificates", "URI:http://pki.example.test/crl/issuing-3.crl",
			"X509v3 Freshest CRL", "issuing-3-delta.crl", "1.3.6.1.4.1.311.21.4", "1.3.6.1.4.1.311.21.14", "Key Compromise", "keyid:01:02:03:04"}},
		"delta": {compose(t, i, delta, released), []string{"X509v3 Delta CRL Indicator: critical", "09", "Remove From CRL", "Superseded"}},
		"empty": {compose(t, i, i.template(1)), []string{"No Revoked Certificates"}},
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-noout", "-text")
		cmd.Stdin = c.list.Open()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		text := strings.ReplaceAll(string(out), "01.02.03.04", "01:02:03:04")
		text = strings.ReplaceAll(text, "X509v3 Authority Key Identifier: \n                ", "keyid:")
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: openssl does not show %q:\n%s", name, w, out)
			}
		}
	}
}

// TestOpenSSLVerifiesASignature of a list and refuses one with a byte changed.
func TestOpenSSLVerifiesTheSignature(t *testing.T) {
	t.Parallel()
	i := p256(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.der")
	if err := os.WriteFile(ca, i.certificate.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	l := compose(t, i, full(i), entries(apply(t, new(list.Book), noon, change(1, 1), change(2, 4)).Segments())...)
	for name, want := range map[string]string{"good": "verify OK", "bad": "verify failure"} {
		der := l.Bytes()
		if name == "bad" {
			der[bytes.Index(der, serial(2))+3] ^= 1
		}
		cmd := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-noout", "-CAfile", ca)
		cmd.Stdin = bytes.NewReader(der)
		pem, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", ca, "-inform", "DER", "-out", ca+".pem").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, pem)
		}
		cmd.Args[len(cmd.Args)-1] = ca + ".pem"
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: openssl says %s", name, out)
		}
		h, err := list.Read(bytes.NewReader(der), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Verify(i.certificate); (err == nil) != (name == "good") || err != nil && !errors.Is(err, list.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h, _ := i.read(t, l)
	if err := h.Verify(p256(t).certificate); !errors.Is(err, list.ErrSignature) {
		t.Errorf("another issuer of the same name: %v", err)
	}
}

func TestTemplateRefusesWhatRFC5280Forbids(t *testing.T) {
	t.Parallel()
	i := p256(t)
	for name, wrong := range map[string]func(*list.Template){
		"no number":       func(t *list.Template) { t.Number = 0 },
		"base not older":  func(t *list.Template) { t.Base = t.Number },
		"negative base":   func(t *list.Template) { t.Base = -1 },
		"delta of delta":  func(t *list.Template) { t.Base = 1 },
		"ends at once":    func(t *list.Template) { t.NextUpdate = t.ThisUpdate },
		"no key identity": func(t *list.Template) { t.Issuer = &x509.Certificate{} },
	} {
		template := full(i)
		wrong(template)
		if _, err := template.Sign(nil, i.sign); !errors.Is(err, list.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]list.Change{"no serial": {}, "long serial": {Entry: list.Entry{Serial: bytes.Repeat([]byte{1}, 21), At: noon}},
		"zero serial": {Entry: list.Entry{Serial: []byte{0, 1}, At: noon}}, "no date": {Entry: list.Entry{Serial: serial(1)}}, "no such reason": change(1, 7)} {
		if _, err := new(list.Book).Apply([]list.Change{c}, noon); !errors.Is(err, list.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := list.Delta([]list.Change{c}); !errors.Is(err, list.ErrWrong) {
			t.Errorf("%s: delta: %v", name, err)
		}
	}
	if _, err := i.template(1).Sign(nil, func(...[]byte) ([]byte, error) { return nil, io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a key that does not sign: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	i := p256(t)
	der := compose(t, i, full(i), entries(apply(t, new(list.Book), noon, change(1, 1), change(2, 4)).Segments())...).Bytes()
	for n := range der { // cut off anywhere
		if _, err := list.Read(bytes.NewReader(der[:n]), func(list.Entry) error { return nil }); !errors.Is(err, list.ErrList) {
			t.Fatalf("cut off after %d bytes: %v", n, err)
		}
	}
	if _, err := list.Read(iotest.OneByteReader(bytes.NewReader(der)), nil); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
	if _, err := list.Read(bytes.NewReader(append(bytes.Clone(der), 0)), nil); !errors.Is(err, list.ErrList) {
		t.Errorf("with a byte behind: %v", err)
	}
	broken := errors.New("broken")
	if _, err := list.Read(io.MultiReader(bytes.NewReader(der[:100]), iotest.ErrReader(broken)), nil); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := list.Read(bytes.NewReader(der), func(list.Entry) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a visit that fails: %v", err)
	}
}

func TestSupersedes(t *testing.T) {
	t.Parallel()
	i, other := p256(t), p256(t)
	other.certificate.SubjectKeyId = []byte{9}
	head := func(i *issuer, change func(*list.Template)) *list.Head {
		template := i.template(5)
		change(template)
		h, _ := i.read(t, compose(t, i, template))
		return h
	}
	old := head(i, func(*list.Template) {})
	for name, c := range map[string]struct {
		by   *list.Head
		want error
	}{
		"next":              {head(i, func(t *list.Template) { t.Number = 6 }), nil},
		"next, of the past": {head(i, func(t *list.Template) { t.Number, t.ThisUpdate = 6, noon.Add(-time.Hour) }), nil},
		"the same":          {old, list.ErrSame},
		"same number":       {head(i, func(t *list.Template) { t.NextUpdate = noon.Add(time.Hour) }), list.ErrNewer},
		"previous":          {head(i, func(t *list.Template) { t.Number = 4 }), list.ErrNewer},
		"other key":         {head(other, func(t *list.Template) { t.Number = 6 }), list.ErrForeign},
		"partition":         {head(i, func(t *list.Template) { t.Number, t.Scope = 6, "http://x.test/1.crl" }), list.ErrForeign},
		"delta":             {head(i, func(t *list.Template) { t.Number, t.Base = 6, 5 }), list.ErrForeign},
	} {
		if err := c.by.Supersedes(old); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderSeeks(t *testing.T) {
	t.Parallel()
	l := &list.List{Parts: [][]byte{[]byte("ab"), {}, []byte("cde"), []byte("f")}, Size: 6}
	if err := iotest.TestReader(l.Open(), []byte("abcdef")); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	r := l.Open()
	if _, err := r.Seek(1, io.SeekStart); err != nil {
		t.Error(err)
	}
	if n, err := r.WriteTo(&b); n != 5 || err != nil || b.String() != "bcdef" {
		t.Errorf("%d, %v: %s", n, err, &b)
	}
	if _, err := r.Seek(-7, io.SeekEnd); err == nil {
		t.Error("before the beginning")
	}
}

// TestBookAgainstAModel makes random changes and compares every list with what a plain map says.
func TestBookAgainstAModel(t *testing.T) {
	t.Parallel()
	type standing struct {
		change list.Change
		listed bool
	}
	i := p256(t)
	for seed := range uint64(2) {
		random := mrand.New(mrand.NewPCG(seed, 7))
		model := map[string]*standing{}
		book, now := new(list.Book), noon
		for round := range 40 {
			now = now.Add(time.Duration(random.IntN(3000)) * time.Minute)
			var changes []list.Change
			for range random.IntN(400) {
				c := change(uint64(random.IntN(6000)), list.Reason(random.IntN(7)))
				c.Partition = int(c.Serial[15]) % 3
				c.Released = random.IntN(10) == 0
				if random.IntN(2) == 0 {
					c.Until = now.Add(time.Duration(random.IntN(20000)-100) * time.Minute).Truncate(time.Minute)
				}
				changes = append(changes, c)
			}
			for _, s := range model {
				if s.listed && !s.change.Until.IsZero() && !s.change.Until.After(now) {
					s.listed = false
				}
			}
			for _, c := range changes {
				model[string(c.Serial)] = &standing{change: c, listed: !c.Released}
			}
			before := book.Segments()
			kept := fmt.Sprint(before)
			book = apply(t, book, now, changes...)
			if fmt.Sprint(before) != kept {
				t.Fatal("the book before has changed")
			}
			for p := range 3 {
				want := map[string]list.Entry{}
				for s, m := range model {
					if m.listed && m.change.Partition == p {
						want[s] = m.change.Entry
					}
				}
				_, have := i.read(t, compose(t, i, i.template(1), entries(book.Partition(p))...))
				got := map[string]list.Entry{}
				for _, e := range have {
					got[string(e.Serial)] = e
				}
				if len(have) != len(got) || !cmp.Equal(got, want) {
					t.Fatalf("seed %d, round %d, partition %d: %s", seed, round, p, cmp.Diff(want, got))
				}
			}
			for _, s := range book.Segments() {
				if err := s.Check(); err != nil || s.Entries() > 1000 || s.Entries() == 0 {
					t.Fatalf("a segment of %d entries: %v", s.Entries(), err)
				}
			}
		}
		if n := len(book.Segments()); n > 30 {
			t.Errorf("%d segments are left", n)
		}
	}
}

func TestOneRevocationChangesOneSegment(t *testing.T) {
	t.Parallel()
	var changes []list.Change
	for n := range uint64(20_500) {
		changes = append(changes, change(n, 1))
	}
	book := apply(t, new(list.Book), noon, changes...)
	before := map[*list.Segment]bool{}
	for _, s := range book.Segments() {
		before[s] = true
	}
	count := func(b *list.Book) (fresh int) {
		for _, s := range b.Segments() {
			if !before[s] {
				fresh++
			}
		}
		return fresh
	}
	if n := count(apply(t, book, noon, change(30_000, 1))); n != 1 {
		t.Errorf("one more: %d new segments", n)
	}
	if n := count(apply(t, book, noon, list.Change{Entry: change(7, 1).Entry, Released: true})); n != 1 {
		t.Errorf("one less: %d new segments", n)
	}
	if n := count(apply(t, book, noon)); n != 0 {
		t.Errorf("nothing: %d new segments", n)
	}
	damaged := *book.Segments()[0]
	damaged.DER = damaged.DER[:len(damaged.DER)-1]
	if err := damaged.Check(); !errors.Is(err, list.ErrList) {
		t.Errorf("a damaged segment: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	i := p256(f)
	delta := i.template(12)
	delta.Base = 9
	for _, template := range []*list.Template{i.template(1), full(i), delta} {
		f.Add(compose(f, i, template).Bytes())
		f.Add(compose(f, i, template, entries(apply(f, new(list.Book), noon, change(1, 1), change(2, 0)).Segments())...).Bytes())
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		serials := 0
		h, err := list.Read(bytes.NewReader(der), func(e list.Entry) error {
			serials++
			return nil
		})
		if err != nil {
			if !errors.Is(err, list.ErrList) {
				t.Fatalf("not a fault of the list: %v", err)
			}
			return
		}
		if h.Size != int64(len(der)) || serials != h.Entries {
			t.Fatalf("%d bytes read of %d, %d entries of %d", h.Size, len(der), serials, h.Entries)
		}
		std, err := x509.ParseRevocationList(der)
		if err != nil {
			return // the standard library refuses more than we do
		}
		if len(std.RevokedCertificateEntries) != h.Entries || !std.ThisUpdate.Equal(h.ThisUpdate) || !bytes.Equal(std.RawIssuer, h.Issuer) ||
			(std.Number == nil) != (h.Number == nil) || std.Number != nil && std.Number.Cmp(h.Number) != 0 {
			t.Errorf("the standard library reads another list: %+v and %+v", std, h)
		}
	})
}
