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
	"sync"
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
	const limit, short, long = 8 * time.Second, time.Second, 11 * time.Second
	r := setup(t, func(c *web.Config) { c.Limits.Header, c.Limits.Handshake = 300*time.Millisecond, limit })
	var all sync.WaitGroup
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for after, good := range map[time.Duration]bool{short: true, long: false} {
			pair := r.keyPair(t)
			pair.PrivateKey = touched{pair.PrivateKey.(crypto.Signer), after}
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: r.Roots, MaxVersion: version, Certificates: []tls.Certificate{pair}}}}
			all.Go(func() {
				resp, err := c.Get(r.API + "/api/v1/health")
				if err == nil {
					resp.Body.Close()
				}
				if good != (err == nil && resp.StatusCode == http.StatusOK) {
					t.Errorf("TLS %x, touched after %v: %v, %v", version, after, resp, err)
				}
			})
		}
	}
	all.Go(func() {
		silent, err := net.Dial("tcp", strings.TrimPrefix(r.API, "https://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer silent.Close()
		if err := silent.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(silent); err != nil {
			t.Errorf("who says nothing has as long as who has begun: %v", err)
		}
	})
	// What was given for the handshake is taken back: a connection that is kept lives on.
	kept := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: r.Roots}}}
	var reused bool
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	ask := func() {
		req, err := http.NewRequestWithContext(trace, http.MethodGet, r.API+"/api/v1/health", nil)
		must(t, err)
		resp, err := kept.Do(req)
		must(t, err)
		resp.Body.Close()
	}
	ask()
	all.Wait()
	if ask(); !reused {
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
