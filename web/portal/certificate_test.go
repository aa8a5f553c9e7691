package portal_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/web"
)

// withCertificates is a portal with the other listener, which asks for certificates.
func withCertificates(t *testing.T) (*site, string) {
	t.Helper()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := "https://" + other.Addr().String()
	s := setup(t, func(s *site, c *web.Config) { c.PortalURL, c.Certificates = s.url, address })
	server := httptest.NewUnstartedServer(s.web.API())
	must(t, server.Listener.Close())
	server.Listener, server.TLS = other, &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return s, address
}

// show has a browser show a certificate to whoever asks.
func (b *browser) show(key crypto.Signer, certificate *x509.Certificate) {
	transport := b.client.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}
	b.client.Transport = transport
}

func (s *site) pair(t *testing.T, login string) (housetest.Keys, map[string]*x509.Certificate) {
	t.Helper()
	by := s.Actor(t, login)
	submission, keys := s.Submission(t, by, housetest.Pair)
	request, err := s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	out := map[string]*x509.Certificate{}
	for _, c := range request.Certificates {
		out[c.Profile], err = x509.ParseCertificate(c.DER)
		must(t, err)
	}
	return keys, out
}

func TestSignInWithACertificate(t *testing.T) {
	s, address := withCertificates(t)
	keys, certificates := s.pair(t, "alice")
	b := s.browser(t)
	b.get("/signin?to=%2Fsessions").is(t, "the entrance", 200, "/signin?to=%2Fsessions", "/signin/certificate?to=%2Fsessions")
	b.get("/signin/certificate").is(t, "without one", 403, "/signin/certificate/return?failed=client-certificate-missing", "Your browser showed no certificate")
	b.show(keys.Encryption, certificates[ca.SMIMEEncryption])
	b.get("/signin/certificate").is(t, "one whose key the archive has too", 401, "/signin/certificate/return?failed=client-certificate", "was not accepted")
	b.show(keys.Signing, certificates[ca.SMIMESigning])
	var last string
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/return") {
			last = r.URL.RequestURI()
		}
		return nil
	}
	b.get("/signin/certificate?to=%2Fsessions").is(t, "alice", 200, "/sessions", "Alice Anders", "this one")
	if n := s.Database.Count(t, `select count(*) from web.session where method = 'certificate' and strength = 'certificate'`); n != 1 {
		t.Error("her session does not say how she came")
	}
	if n := s.Database.Count(t, `select count(*) from web.handover`); n != 0 {
		t.Errorf("%d codes are left", n)
	}

	// The same code again, here and in another browser; and codes that were fetched for somebody else.
	if got := b.get(last); got.status != 403 {
		t.Errorf("twice: status %d", got.status)
	}
	thief := s.browser(t)
	thief.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/return") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	b.client.CheckRedirect = thief.client.CheckRedirect
	stolen := b.get("/signin/certificate").header.Get("Location") // her code, which another browser brings
	thief.get("/signin/certificate")
	got := thief.get(strings.TrimPrefix(stolen, s.server.URL))
	got.is(t, "somebody else's code", 403, strings.TrimPrefix(stolen, s.server.URL), "Begin again")
	if thief.secret() != "" {
		t.Error("a thief is signed in")
	}
	b.get(strings.TrimPrefix(stolen, s.server.URL)).is(t, "still hers", 200, "/", "Alice Anders")

	// Too late.
	late := b.get("/signin/certificate").header.Get("Location")
	s.Clock.Advance(2 * time.Minute)
	if got := b.get(strings.TrimPrefix(late, s.server.URL)); got.status != 403 {
		t.Errorf("after two minutes: status %d", got.status)
	}

	// The other listener sends nobody who was not sent to it, and nobody elsewhere.
	for _, q := range []string{"", "?challenge=", "?challenge=x", "?challenge=" + strings.Repeat("A", 44)} {
		resp, err := b.client.Get(address + "/signin/certificate" + q)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != 400 {
			t.Errorf("%q: status %d", q, resp.StatusCode)
		}
	}
	plain := s.browser(t)
	plain.get("/signin/certificate/return?failed=%3Cscript%3E").is(t, "a fault that nobody knows", 403, "/signin/certificate/return?failed=%3Cscript%3E", "Begin again")
}

// A revoked certificate signs nobody in; a good one shows anew who somebody is.
func TestCertificateAsProof(t *testing.T) {
	s, _ := withCertificates(t)
	keys, certificates := s.pair(t, "alice")
	b := s.browser(t)
	b.signIn("alice")
	s.Clock.Advance(11 * time.Minute)
	b.get("/prove?to=%2Fsessions").is(t, "the page", 200, "/prove?to=%2Fsessions", "/signin/certificate?anew=1&amp;to=%2Fsessions")
	b.show(keys.Signing, certificates[ca.SMIMESigning])
	before := b.secret()
	b.get("/signin/certificate?anew=1&to=%2Fsessions").is(t, "shown", 200, "/sessions", "this one")
	if b.secret() == before {
		t.Error("the session was not renewed")
	}
	bob := s.browser(t)
	bob.signIn("bob")
	bob.show(keys.Signing, certificates[ca.SMIMESigning])
	if got := bob.get("/signin/certificate?" + url.Values{"anew": {"1"}}.Encode()); got.status == 200 || !strings.Contains(got.body, "Bob Brown") && got.status != 401 {
		t.Errorf("with somebody else's certificate: status %d %s", got.status, got.body)
	}
	c := certificates[ca.SMIMESigning]
	must(t, s.PKI.Authority.Revoke(t.Context(), s.Actor(t, "alice"), ca.Revocation{Issuer: pkitest.IssuerID, Serial: ca.SerialOf(c.SerialNumber), Reason: ca.KeyCompromise}))
	again := s.browser(t)
	again.show(keys.Signing, c)
	again.get("/signin/certificate").is(t, "revoked", 401, "/signin/certificate/return?failed=client-certificate-revoked", "was revoked")
}
