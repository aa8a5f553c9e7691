package web_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/web"
)

// touched is a key in something that somebody has to touch first.
type touched struct {
	crypto.Signer
	after time.Duration
}

func (s touched) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	time.Sleep(s.after)
	return s.Signer.Sign(random, digest, opts)
}

// A handshake in which somebody has to touch a token or type a PIN may take longer than the head of a request; one that does not begin, or
// does not end, is cut off.
func TestHandshakesThatTakeLong(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Header, c.Limits.Handshake = 300*time.Millisecond, 4*time.Second })
	at := strings.TrimPrefix(r.API, "https://")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for after, good := range map[time.Duration]bool{time.Second: true, 6 * time.Second: false} {
			pair := r.keyPair(t)
			pair.PrivateKey = touched{pair.PrivateKey.(crypto.Signer), after}
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: r.Roots, MaxVersion: version, Certificates: []tls.Certificate{pair}}}}
			resp, err := c.Get(r.API + "/api/v1/health")
			if err == nil {
				resp.Body.Close()
			}
			if good != (err == nil && resp.StatusCode == http.StatusOK) {
				t.Errorf("TLS %x, touched after %v: %v, %v", version, after, resp, err)
			}
		}
	}
	silent, err := net.Dial("tcp", at)
	must(t, err)
	defer silent.Close()
	begun := time.Now()
	must(t, silent.SetDeadline(begun.Add(20*time.Second)))
	if _, err := io.ReadAll(silent); err != nil || time.Since(begun) > 3*time.Second {
		t.Errorf("who says nothing: %v after %v", err, time.Since(begun))
	}
	// What was given for the handshake is taken back: a connection that is kept lives on.
	kept := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: r.Roots}}}
	var reused bool
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	for _, pause := range []time.Duration{5 * time.Second, 0} {
		req, err := http.NewRequestWithContext(trace, http.MethodGet, r.API+"/api/v1/health", nil)
		must(t, err)
		resp, err := kept.Do(req)
		must(t, err)
		resp.Body.Close()
		time.Sleep(pause)
	}
	if !reused {
		t.Error("the connection was ended after the time for handshakes")
	}
}

// keyPair is a certificate that nobody knows.
func (r *rig) keyPair(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
