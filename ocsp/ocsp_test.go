package ocsp_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/ocsp"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type bundle struct {
	*pkitest.PKI
	*ocsp.Responder
	server *httptest.Server
	clock  time.Duration
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{}
	now := func() time.Time { return time.Now().Add(b.clock) }
	b.PKI = pkitest.NewAuthorityAt(t, pgtest.New(t), now)
	var err error
	if b.Responder, err = ocsp.New(ocsp.Config{Authority: b.PKI.Authority, Now: now}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", b.Responder)
	mux.Handle("GET /{request...}", b.Responder)
	b.server = httptest.NewServer(mux)
	t.Cleanup(b.server.Close)
	return b
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpensslAsks(t *testing.T) {
	b := setup(t)
	alice, bob := b.IssuePair(t, pkitest.NewPerson("alice")), b.IssuePair(t, pkitest.NewPerson("bob"))
	if err := b.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: bob.Signing.Issuer, Serial: bob.Signing.Serial, Reason: ca.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{"-sha1", "-sha256"} {
		for _, c := range []struct {
			what  string
			leaf  []byte
			wants []string
		}{
			{"good", alice.Signing.DER, []string{"Response verify OK", ": good", "Next Update"}},
			{"revoked", bob.Signing.DER, []string{"Response verify OK", ": revoked", "Reason: keyCompromise"}},
		} {
			// The option for the hash counts for the certificates that follow it.
			out := b.opensslHash(t, hash, c.leaf)
			for _, want := range c.wants {
				if !strings.Contains(out, want) {
					t.Errorf("%s %s: no %q in: %s", hash, c.what, want, out)
				}
			}
		}
	}
}

// opensslHash asks over HTTP, names the certificate with that hash, and verifies the answer with the root alone.
func (b *bundle) opensslHash(t *testing.T, hash string, leaf []byte) string {
	t.Helper()
	args := []string{"ocsp", hash, "-issuer", write(t, "issuing.pem", pkitest.PEM(b.Issuing.Raw)), "-cert", write(t, "leaf.pem", pkitest.PEM(leaf)),
		"-CAfile", write(t, "root.pem", pkitest.PEM(b.Root.Raw)), "-url", b.server.URL + "/", "-no_nonce"}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (b *bundle) request(t *testing.T, leaf []byte) []byte {
	t.Helper()
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	der, err := xocsp.CreateRequest(c, b.Issuing, &xocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestGetInEverySpelling(t *testing.T) {
	b := setup(t)
	alice := b.IssuePair(t, pkitest.NewPerson("alice"))
	der := b.request(t, alice.Signing.DER)
	text := base64.StdEncoding.EncodeToString(der)
	for _, path := range []string{url.PathEscape(text), strings.ReplaceAll(url.PathEscape(text), "%2F", "/"), strings.ReplaceAll(url.QueryEscape(text), "+", "%2B")} {
		if strings.Contains(path, "//") {
			continue // Go's own mux cleans such paths; package web's listener does not
		}
		resp, err := http.Get(b.server.URL + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/ocsp-response" || resp.Header.Get("ETag") == "" ||
			!strings.Contains(resp.Header.Get("Cache-Control"), "max-age=600") {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
}

func TestWhatIsNotOursOrNotKnown(t *testing.T) {
	b := setup(t)
	other := pkitest.NewHierarchy(t, time.Now())
	never := *b.Issuing
	never.SerialNumber = b.Root.SerialNumber
	foreign, err := xocsp.CreateRequest(other.Issuing, other.Root, nil)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := xocsp.CreateRequest(&never, b.Issuing, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		request []byte
		want    []byte
	}{
		"another authority's": {foreign, xocsp.UnauthorizedErrorResponse},
		"garbage":             {[]byte("garbage"), xocsp.MalformedRequestErrorResponse},
		"nothing":             {nil, xocsp.MalformedRequestErrorResponse},
		"too much":            {make([]byte, 10<<20), xocsp.MalformedRequestErrorResponse},
		"trailing bytes":      {append(unknown, 0), xocsp.MalformedRequestErrorResponse},
	} {
		a, _ := b.Respond(t.Context(), c.request)
		if string(a.DER) != string(c.want) || a.ETag != "" {
			t.Errorf("%s: %x", what, a.DER)
		}
	}
	a, err := b.Respond(t.Context(), unknown)
	if err != nil {
		t.Fatal(err)
	}
	r, err := xocsp.ParseResponse(a.DER, b.Issuing)
	if err != nil || r.Status != xocsp.Unknown {
		t.Errorf("a serial that was never issued: %+v, %v", r, err)
	}
}

func TestResponderCertificate(t *testing.T) {
	b := setup(t)
	alice := b.IssuePair(t, pkitest.NewPerson("alice"))
	ask := func() *x509.Certificate {
		t.Helper()
		a, err := b.Respond(t.Context(), b.request(t, alice.Signing.DER))
		if err != nil {
			t.Fatal(err)
		}
		r, err := xocsp.ParseResponse(a.DER, b.Issuing)
		if err != nil {
			t.Fatal(err)
		}
		return r.Certificate
	}
	c := ask()
	nocheck := false
	for _, e := range c.Extensions {
		nocheck = nocheck || e.Id.String() == "1.3.6.1.5.5.7.48.1.5"
	}
	if !nocheck || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning || len(c.OCSPServer) != 0 || len(c.CRLDistributionPoints) != 0 {
		t.Errorf("nocheck %v, usages %v, OCSP %v, CRL %v", nocheck, c.ExtKeyUsage, c.OCSPServer, c.CRLDistributionPoints)
	}
	if !ask().Equal(c) {
		t.Error("another certificate for the next answer")
	}
	b.clock = c.NotAfter.Sub(c.NotBefore)/2 + time.Minute
	if ask().Equal(c) {
		t.Error("the certificate was not renewed at half of its time")
	}
}

func FuzzRespond(f *testing.F) {
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, der []byte) {
		if _, err := ocsp.Parse(der); err == nil && len(der) < 20 {
			t.Error("a request without room for a CertID was read")
		}
	})
}
