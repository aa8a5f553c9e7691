package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/fetch"
)

// Another authority's list counts if its issuer signed it: what is on it is revoked, and what is not on it is good only while the
// list is of today. The next address is tried where one does not tell.
func TestRevocationOfOthers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	authority := func() (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Partner CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, SubjectKeyId: []byte{1, 2, 3}}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	issuer, key := authority()
	stranger, otherKey := authority()
	crl := func(by *x509.Certificate, key *ecdsa.PrivateKey, at time.Time, serials ...int64) []byte {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.Add(time.Hour)}
		for _, n := range serials {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: at})
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, by, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	files := map[string][]byte{
		"/good": crl(issuer, key, now.Add(-time.Minute), 5), "/revoked": crl(issuer, key, now.Add(-time.Minute), 5, 7), "/old": crl(issuer, key, now.Add(-2*time.Hour)),
		"/old-revoked": crl(issuer, key, now.Add(-2*time.Hour), 7), "/forged": crl(stranger, otherKey, now.Add(-time.Minute), 7), "/garbage": []byte("garbage"),
		"/future": crl(issuer, key, now.Add(time.Hour)),
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(web.Close)
	l := lists{fetch.New(fetch.Config{}), time.Now}
	for _, x := range []struct {
		what    string
		paths   string
		issuers []*x509.Certificate
		revoked bool
		unknown string
	}{
		{"good", "/good", []*x509.Certificate{issuer}, false, ""},
		{"revoked", "/revoked", []*x509.Certificate{issuer}, true, ""},
		{"an old list", "/old", []*x509.Certificate{issuer}, false, "not of today"},
		{"on an old list", "/old-revoked", []*x509.Certificate{issuer}, true, ""},
		{"a list of tomorrow", "/future", []*x509.Certificate{issuer}, false, "not of today"},
		{"signed by another", "/forged", []*x509.Certificate{issuer}, false, "not signed by its issuer"},
		{"no list", "/garbage", []*x509.Certificate{issuer}, false, "not a revocation list"},
		{"nothing there", "/absent", []*x509.Certificate{issuer}, false, "404"},
		{"the second tells", "/absent /good", []*x509.Certificate{issuer}, false, ""},
		{"the second says that it is", "/absent /revoked", []*x509.Certificate{issuer}, true, ""},
		{"nobody to believe", "/revoked", nil, false, "is not known"},
	} {
		c := &x509.Certificate{SerialNumber: big.NewInt(7)}
		for p := range strings.FieldsSeq(x.paths) {
			c.CRLDistributionPoints = append(c.CRLDistributionPoints, web.URL+p)
		}
		revoked, unknown := l.revoked(t.Context(), c, x.issuers)
		if revoked != x.revoked || (unknown == "") != (x.unknown == "") || !strings.Contains(unknown, x.unknown) {
			t.Errorf("%s: %v, %q", x.what, revoked, unknown)
		}
	}
}
