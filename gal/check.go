package gal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/directory"
)

// Check tries out end to end what publishing needs in this directory, and changes nothing there. See directory.Directory.Try.
func (t *Target) Check(ctx context.Context) ([]directory.Result, error) {
	probe, err := t.probe()
	if err != nil {
		return nil, err
	}
	what := directory.Tried{Attributes: t.attributes(), Finder: t.Find, Probe: probe}
	if t.Find != nil {
		what.Belongs = t.belongs
	}
	return t.Directory.Try(ctx, what), nil
}

// probe returns values that no entry has: a certificate that nobody uses, made for this once, and its key forgotten.
func (t *Target) probe() (map[directory.Attribute][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := t.p.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Sealpost trial"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	value, err := bundle.Write([]*x509.Certificate{cert})
	return map[directory.Attribute][]byte{directory.UserCertificate: der, directory.UserSMIMECertificate: value}, err
}
