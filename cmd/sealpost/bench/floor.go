package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealpost/sealpost/api"
)

// floorTable is the floor's table.
const floorTable = `create table if not exists certificate (serial bytea primary key, der bytea not null, issued_at timestamptz not null)`

// floorAddress is what the floor says when it listens, as one line of JSON.
type floorAddress struct {
	URL         string `json:"url"`
	Certificate []byte `json:"certificate"` // to be trusted
}

// floor issues certificates with nothing but the standard library and one row each: no authentication, no lint, no
// directory, no archive, no log. What stock parts reach on a machine is what it reaches.
type floor struct {
	pool   *pgxpool.Pool
	key    *ecdsa.PrivateKey
	issuer *x509.Certificate
	issued *x509.Certificate // template
}

// Floor serves until ctx ends. It writes a floorAddress to out.
func Floor(ctx context.Context, databaseURL, issuer string, out io.Writer) error {
	pc, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return err
	}
	pc.MaxConns = 16
	f := &floor{}
	if f.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return err
	}
	defer f.pool.Close()
	if _, err := f.pool.Exec(ctx, floorTable); err != nil {
		return err
	}
	pair, err := f.prepare(issuer)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 5 * time.Second, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}}
	if err := json.NewEncoder(out).Encode(floorAddress{"https://" + l.Addr().String(), pair.Certificate[0]}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // requests under way are nobody's
	defer stop()
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// prepare makes the issuer and a server certificate.
func (f *floor) prepare(issuer string) (tls.Certificate, error) {
	curve := elliptic.P256()
	if issuer == "P-384" {
		curve = elliptic.P384()
	}
	var err error
	if f.key, err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Floor"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, f.key.Public(), f.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if f.issuer, err = x509.ParseCertificate(der); err != nil {
		return tls.Certificate{}, err
	}
	f.issued = &x509.Certificate{Subject: pkix.Name{CommonName: "Alice Anders", Organization: []string{"Example"}}, EmailAddresses: []string{"alice@example.test"},
		NotBefore: now, NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		CRLDistributionPoints: []string{"http://127.0.0.1/crl"}, OCSPServer: []string{"http://127.0.0.1/ocsp"}, IssuingCertificateURL: []string{"http://127.0.0.1/ca"}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	own := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "floor"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err = x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// ServeHTTP takes a certificate request and answers a certificate, both in DER.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet { // connections are opened before the clock runs
		return
	}
	der, err := f.issue(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(der) // a client that left is counted by itself
}

func (f *floor) issue(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, api.MaxCSR))
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(body)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] = serial[0]&0x7f | 1
	template := *f.issued
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(rand.Reader, &template, f.issuer, csr.PublicKey, f.key)
	if err != nil {
		return nil, err
	}
	if _, err := f.pool.Exec(r.Context(), `insert into certificate (serial, der, issued_at) values ($1, $2, $3)`, serial, der, time.Now()); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return der, nil
}
