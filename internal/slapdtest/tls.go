package slapdtest

import (
	"crypto/x509"
	"errors"

	"github.com/sealpost/sealpost/internal/child"
)

// prepareTLS writes the server's certificate and what its clients trust, given or made.
func (s *Server) prepareTLS() error {
	cert, trust := s.conf.Certificate, s.conf.Trust
	if cert == nil {
		var err error
		if cert, trust, err = child.Loopback("Private directory"); err != nil {
			return err
		}
	}
	s.Trust = x509.NewCertPool()
	if !s.Trust.AppendCertsFromPEM(trust) {
		return errors.New("there is no certificate to trust")
	}
	chain, key, err := child.PEM(cert)
	if err != nil {
		return err
	}
	s.TrustFile = s.path("tls/ca.pem")
	return errors.Join(s.write("tls/ca.pem", trust), s.write("tls/server.pem", chain), s.write("tls/server.key", key))
}
