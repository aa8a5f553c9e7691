package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// Somebody between workstation and server, with a certificate of their own for the server's name, learns nothing: neither a password nor a
// request. The agent says whose certificate is not trusted, keeps the keys that work, and the server hears of it later. It is so
// with a proxy whose authority the computer trusts, unless the agent was told to trust what the computer trusts.
func TestAgentIntercepted(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	d := r.desk(t, "alice")
	e2etest.Good(t, d.enroll())
	kept := read(t, d.file("out", "signing.pem"))
	r.stop(t)

	openssl(t, d.home, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "proxy.key", "-out", "proxy.pem",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
	pair, err := tls.LoadX509KeyPair(d.file("proxy.pem"), d.file("proxy.key"))
	must(t, err)
	var heard, met atomic.Int32
	between := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	must(t, between.Listener.Close())
	between.Listener, err = net.Listen("tcp", i.api)
	must(t, err)
	between.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(c tls.ConnectionState) error { met.Add(int32(len(c.PeerCertificates))); return nil }}
	between.StartTLS()
	for what, c := range map[string]e2etest.Command{
		"renew": d.byCertificate("renew --force"), "enroll": d.enroll("--again"), "restore": d.byCertificate("restore"),
	} {
		if out := e2etest.Bad(t, c, "(server-not-trusted)", "localhost", "is not trusted"); strings.Contains(out, "goroutine ") {
			t.Errorf("%s: %s", what, out)
		}
	}
	if heard.Load() != 0 || met.Load() != 0 {
		t.Errorf("who is between heard %d requests, and saw %d certificates", heard.Load(), met.Load())
	}
	if read(t, d.file("out", "signing.pem")) != kept {
		t.Error("the certificate that works is not there any more")
	}
	if begun, err := filepath.Glob(d.file("state", "*", "pending.json")); err != nil || len(begun) != 0 {
		t.Errorf("begun: %v, %v", begun, err)
	}
	// The computer's own list of roots has the proxy's: the agent does not go by that unless told.
	trusting := d.byCertificate("renew --force")
	trusting.Env = append(trusting.Env, "SSL_CERT_FILE="+d.file("proxy.pem"))
	fails(t, trusting, "server-not-trusted")
	if heard.Load() != 0 {
		t.Error("who is between was believed because the computer does")
	}
	between.Close()

	r = i.serve(t)
	d.running = r
	d.does("renew --force")
	p, err := r.as(t, "operator").Machines(t.Context(), client.MachineQuery{All: true})
	must(t, err)
	if len(p.Items) != 1 || p.Items[0].Report == nil || !slices.ContainsFunc(p.Items[0].Report.Failures, func(f api.MachineFailure) bool { return f.Code == "server-not-trusted" && f.EndedAt != nil }) {
		t.Errorf("the fleet: %+v", p.Items)
	}
}
