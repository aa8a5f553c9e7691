package watch_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/watch"
	"github.com/sealpost/sealpost/internal/fault"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

var errAway = fault.New(fault.Unavailable, "away", "The server does not answer.")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authority is one that signs lists.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t testing.TB, name string, usage x509.KeyUsage) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: noon, NotAfter: noon.AddDate(9, 0, 0),
		KeyUsage: usage, IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte(name)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{c, key}
}

func (a authority) list(t testing.TB, number int64, from, until time.Time) []byte {
	t.Helper()
	signer := *a.certificate
	signer.KeyUsage |= x509.KeyUsageCRLSign
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: from, NextUpdate: until}, &signer, a.key)
	must(t, err)
	return der
}

// world is what is at addresses.
type world struct {
	mu  sync.Mutex
	at  map[string][]byte
	now time.Time
}

func (w *world) Open(_ context.Context, address string) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.at[address]
	if !ok {
		return nil, errAway
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (w *world) watcher(issuers ...*x509.Certificate) *watch.Watcher {
	return watch.New(watch.Config{Open: w.Open, Issuers: issuers, Now: func() time.Time { return w.now }})
}

func expect(t *testing.T, when string, s watch.Sighting, state crl.State, failure string) {
	t.Helper()
	if s.State != state || failure == "" && s.Failure != "" || !strings.Contains(s.Failure, failure) {
		t.Errorf("%s, %s: %s, %q; want %s, %q", when, s.Address, s.State, s.Failure, state, failure)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t, "a", x509.KeyUsageCRLSign), newAuthority(t, "other", x509.KeyUsageCRLSign)
	five, six := a.list(t, 5, noon, noon.Add(12*time.Hour)), a.list(t, 6, noon.Add(time.Hour), noon.Add(13*time.Hour))
	x := &world{now: noon.Add(time.Hour), at: map[string][]byte{"one": five, "two": five, "text": []byte("no list"), "foreign": other.list(t, 99, noon, noon.Add(12*time.Hour))}}
	w := x.watcher(a.certificate)
	all := []string{"one", "two", "text", "foreign", "nothing"}
	seen := w.Look(t.Context(), all)
	expect(t, "first", seen[0], crl.OK, "")
	expect(t, "first", seen[1], crl.OK, "")
	expect(t, "first", seen[2], crl.Unknown, "not a revocation list")
	expect(t, "first", seen[3], crl.Unknown, "another authority")
	expect(t, "first", seen[4], crl.Unknown, "does not answer")

	x.at["one"] = six
	seen = w.Look(t.Context(), all[:2])
	expect(t, "replaced at one", seen[0], crl.OK, "")
	expect(t, "replaced at one", seen[1], crl.Late, "one shows a newer list, number 6")

	x.at["one"] = five
	delete(x.at, "two")
	seen = w.Look(t.Context(), all[:2])
	expect(t, "replaced by an older one", seen[0], crl.Late, "It showed a newer list, number 6")
	expect(t, "gone", seen[1], crl.Unknown, "does not answer")

	x.now = noon.Add(11*time.Hour + time.Minute)
	expect(t, "in the last twelfth", x.watcher(a.certificate).Look(t.Context(), all[:1])[0], crl.RunningOut, "")
	x.now = noon.Add(12 * time.Hour)
	expect(t, "at its end", w.Look(t.Context(), all[:1])[0], crl.RunOut, "has run out")
	x.now = noon.Add(-time.Hour)
	expect(t, "before it was made", x.watcher().Look(t.Context(), all[:1])[0], crl.OK, "from the future")

	tampered := bytes.Clone(six)
	tampered[len(tampered)-3] ^= 1
	x.now, x.at["one"] = noon.Add(2*time.Hour), tampered
	expect(t, "tampered with", x.watcher(a.certificate).Look(t.Context(), all[:1])[0], crl.Unknown, "not signed by its issuer")
	expect(t, "tampered with, by nobody known", x.watcher().Look(t.Context(), all[:1])[0], crl.OK, "")
	x.at["one"] = six[:len(six)-9]
	expect(t, "cut off", x.watcher().Look(t.Context(), all[:1])[0], crl.Unknown, "cut off")
}

func TestSigned(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t, "a", x509.KeyUsageCRLSign), newAuthority(t, "b", x509.KeyUsageCRLSign)
	imposter, weak := newAuthority(t, "a", x509.KeyUsageCRLSign), newAuthority(t, "weak", x509.KeyUsageCertSign)
	head := func(x authority) *list.Head {
		t.Helper()
		h, err := list.Read(bytes.NewReader(x.list(t, 1, noon, noon.Add(time.Hour))), nil)
		must(t, err)
		return h
	}
	for what, c := range map[string]struct {
		of   authority
		by   []*x509.Certificate
		want error
	}{
		"its own":               {a, []*x509.Certificate{a.certificate}, nil},
		"one of several":        {a, []*x509.Certificate{b.certificate, imposter.certificate, a.certificate}, nil},
		"another":               {a, []*x509.Certificate{b.certificate}, watch.ErrIssuer},
		"of the same name":      {imposter, []*x509.Certificate{a.certificate}, list.ErrSignature},
		"not for lists":         {weak, []*x509.Certificate{weak.certificate}, list.ErrSignature},
		"nobody":                {a, nil, watch.ErrIssuer},
		"the same, then others": {imposter, []*x509.Certificate{a.certificate, b.certificate}, list.ErrSignature},
	} {
		if err := watch.Signed(head(c.of), c.by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}
