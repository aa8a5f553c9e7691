package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

// certificate returns the API's TLS certificate as TLS asks for it: from files, or issued by this server itself.
func (s *Server) certificate(ctx context.Context) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	l := s.Config.Listen
	if l.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(s.Config.Path(l.Certificate), s.Config.Path(l.Key))
		if err != nil {
			return nil, fmt.Errorf("listen.certificate: %w", err)
		}
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, nil
	}
	own := &ownCertificate{server: s}
	_, err := own.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen.hosts: %w", err)
	}
	return func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return own.get(h.Context()) }, nil
}

// ownCertificate is a server certificate whose key lives in this process's memory alone. It is renewed when two thirds
// of its time are over; if that fails it is used until its end.
type ownCertificate struct {
	server *Server
	mu     sync.Mutex
	pair   *tls.Certificate
	tried  time.Time
}

// retryAfter is how long a failed renewal rests.
const retryAfter = time.Minute

func (o *ownCertificate) get(ctx context.Context) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.server.now()
	if o.pair != nil {
		leaf := o.pair.Leaf
		if now.Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore)*2/3)) || now.Before(o.tried.Add(retryAfter)) {
			return o.pair, nil
		}
	}
	o.tried = now
	pair, err := o.issue(ctx)
	if err != nil {
		if o.pair != nil {
			o.server.Log.Error("the API's certificate was not renewed", "error", err)
			return o.pair, nil
		}
		return nil, err
	}
	o.pair = pair
	return pair, nil
}

func (o *ownCertificate) issue(ctx context.Context) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	a, by, hosts := o.server.Authority, audit.System("server"), o.server.Config.Listen.Hosts
	prepared, err := a.Prepare(ctx, by, ca.Request{ID: uuid.New(), Profile: ca.ServerTLS, DNSNames: hosts, PublicKey: spki,
		Subject: ca.Subject{CommonName: hosts[0]}})
	if err != nil {
		return nil, err
	}
	issued, err := a.Sign(ctx, by, prepared)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(issued[0].DER)
	if err != nil {
		return nil, err
	}
	issuer, err := a.Issuer(issued[0].Issuer)
	if err != nil {
		return nil, err
	}
	pair := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range issuer.Chain() {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair, nil
}
