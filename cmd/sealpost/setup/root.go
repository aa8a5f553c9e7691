package setup

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keys"
)

// maxList bounds a root's revocation list, in bytes: it lists issuing authorities alone.
const maxList = 1 << 20

// Root is the root of an installation, on the machine where it is kept. Its key is needed once a year, for its
// revocation list, and when an issuing authority is made or taken back.
type Root struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	now         time.Time
}

// OpenRoot opens a root from its certificate (PEM) and its encrypted key.
func OpenRoot(ctx context.Context, certificate, key string, u keys.Unlock, now time.Time) (*Root, error) {
	text, err := os.ReadFile(certificate)
	if err != nil {
		return nil, err
	}
	certificates, err := ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certificate, err)
	}
	r := &Root{Certificate: certificates[0], now: now}
	if r.key, err = keys.Open(ctx, key, u); err != nil {
		return nil, err
	}
	public, ok := r.key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(r.Certificate.PublicKey) {
		return nil, fmt.Errorf("%s is the certificate of another key than %s", certificate, key)
	}
	return r, nil
}

// Revoked is a certificate to take back, and why.
type Revoked struct {
	Certificate *x509.Certificate
	Reason      ca.Reason
}

// NextList returns the list that follows previous (DER), with what that listed and, if not nil, one more.
func (r *Root) NextList(previous []byte, also *Revoked) (*x509.RevocationList, error) {
	last, err := x509.ParseRevocationList(previous)
	if err != nil {
		return nil, fmt.Errorf("the last list is none: %w", err)
	}
	if err := last.CheckSignatureFrom(r.Certificate); err != nil {
		return nil, fmt.Errorf("the last list is not this root's: %w", err)
	}
	if r.now.Before(last.ThisUpdate) {
		return nil, fmt.Errorf("the last list was made on %s, after now: is this machine's clock right?", last.ThisUpdate.Format(time.RFC3339))
	}
	entries := last.RevokedCertificateEntries
	if also != nil {
		if err := also.Certificate.CheckSignatureFrom(r.Certificate); err != nil {
			return nil, fmt.Errorf("the certificate to revoke is not this root's: %w", err)
		}
		entries = append(entries, x509.RevocationListEntry{SerialNumber: also.Certificate.SerialNumber, RevocationTime: r.now.UTC().Truncate(time.Second), ReasonCode: int(also.Reason)})
	}
	der, err := ca.RootCRL(r.Certificate, r.key, last.Number.Int64()+1, entries, r.now)
	if err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}

// Certify answers the request (PKCS #10, DER) of an issuing authority with its certificate. Organisation and country are
// those of the request; name is its common name, which no other authority must have; publicURL is where the root's list
// and certificate are.
func (r *Root) Certify(request []byte, name, publicURL string) (*x509.Certificate, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("the request is none: %w", err)
	}
	m := &maker{Options: Options{PublicURL: publicURL, Now: func() time.Time { return r.now }}}
	c, err := m.describe("")
	if err != nil {
		return nil, err
	}
	c.CommonName = name
	c.Organisation = ca.Organisation{Name: first(csr.Subject.Organization), Country: first(csr.Subject.Country)}
	return ca.CreateIssuing(r.Certificate, r.key, csr.PublicKey, c)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// ReadList reads a revocation list, DER or PEM.
func ReadList(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxList {
		return nil, errors.New(path + " is too large for a root's revocation list")
	}
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes, nil
	}
	return b, nil
}

// WriteList writes a list (DER), WriteChain certificates (PEM), to a file that must not be there yet.
func WriteList(path string, l *x509.RevocationList) error { return writeNew(path, l.Raw, 0o644) }

// WriteChain see WriteList.
func WriteChain(path string, chain ...*x509.Certificate) error {
	var raw [][]byte
	for _, c := range chain {
		raw = append(raw, c.Raw)
	}
	return writePEM(path, "CERTIFICATE", raw...)
}
