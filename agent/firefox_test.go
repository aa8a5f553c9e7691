package agent_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/internal/firefoxtest"
)

// A profile of Firefox's own making: the real Firefox has the keys that the agent puts into it and writes them into a backup, and
// trusts the root for mail; a server below our root it does not trust, until somebody says so.
func TestFirefox(t *testing.T) {
	t.Parallel()
	f := firefoxtest.New(t)
	w, id := realWorkstation(t, agent.EnrolOptions{})
	a, err := agent.New(agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Poll: time.Millisecond, Now: w.clock.now, Home: f.Home})
	must(t, err)
	fill := func() []agent.Filled {
		t.Helper()
		got, err := a.Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{Firefox: &agent.Profiles{}}})
		must(t, err)
		return got
	}
	if got := fill(); len(got) != 1 || !got[0].Nowhere() {
		t.Errorf("a profile that was never used: %+v", got)
	}
	f.Start(t)
	f.Quit(t)
	for range 2 {
		if got := fill(); len(got) != 1 || got[0].Store != "nss" || got[0].Place != f.Profile || got[0].Again {
			t.Fatalf("filled %+v", got)
		}
	}
	f.Start(t)
	signing, encryption := serial(t, id.Signing()), serial(t, id.Encryption())
	want := map[string]firefoxtest.Certificate{signing: {HasKey: true}, encryption: {HasKey: true}}
	got := map[string]firefoxtest.Certificate{}
	for _, c := range f.Certificates(t, id.Person.Name) {
		got[c.Serial] = firefoxtest.Certificate{Issuer: c.Issuer, HasKey: c.HasKey}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Firefox sees others: %s", diff)
	}
	if roots := f.Certificates(t, "Example Root"); len(roots) != 1 || !roots[0].Issuer || roots[0].HasKey {
		t.Errorf("the root: %+v", roots)
	}

	p12 := filepath.Join(t.TempDir(), "backup.p12")
	f.Export(t, p12, "password", signing, encryption)
	backup := run(t, "", "openssl", "pkcs12", "-in", p12, "-passin", "pass:password", "-nodes")
	for _, h := range []*agent.Held{id.Signing(), id.Encryption()} {
		want, err := h.Key.PKCS8()
		must(t, err)
		found := false
		for rest := []byte(backup); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			found = found || bytes.Equal(publicOf(t, block), publicOf(t, &pem.Block{Type: "PRIVATE KEY", Bytes: want}))
		}
		if !found {
			t.Errorf("Firefox has not the key of %s", h.Serial)
		}
	}

	server := w.serveBelowRoot(t)
	if text, failure := f.Fetch(t, server.URL); text != "" || failure == "" {
		t.Errorf("a server below our root: %q, %s", text, failure)
	}
	f.Run(t, `certificates.setCertTrust(certificates.constructX509FromBase64(a0), Ci.nsIX509Cert.CA_CERT, Ci.nsIX509CertDB.TRUSTED_SSL | Ci.nsIX509CertDB.TRUSTED_EMAIL)`,
		base64.StdEncoding.EncodeToString(w.pki.root.Raw))
	if text, failure := f.Fetch(t, server.URL); text != "reached" || failure != "" {
		t.Errorf("once somebody trusts the root for servers: %q, %s", text, failure)
	}
}

// publicOf returns the SubjectPublicKeyInfo of a private key; nil for something else.
func publicOf(t *testing.T, block *pem.Block) []byte {
	t.Helper()
	if block.Type != "PRIVATE KEY" {
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	must(t, err)
	return spki
}

// serveBelowRoot is a server with a certificate of ours.
func (w *workstation) serveBelowRoot(t *testing.T) *httptest.Server {
	t.Helper()
	key := ecKey(t)
	der := w.pki.issue(t, template{name: "localhost", now: w.clock.at, usage: x509.KeyUsageDigitalSignature, change: func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"localhost"}
	}}, key.Public())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(out, "reached") // Firefox says what came
	}))
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: append([][]byte{der}, w.pki.chain()...), PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	must(t, err)
	s.URL = "https://localhost:" + port
	return s
}
