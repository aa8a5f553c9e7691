// Package setup makes the keys and certificates of a new installation, and its configuration file: what `sealpost init`
// does. It writes into one folder, never over anything that is there, and needs no database and no network.
package setup

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keys"
)

// Options say what to make.
type Options struct {
	Dir          string // folder; made when absent
	Organisation ca.Organisation
	PublicURL    string         // where relying parties will reach the public listener
	Algorithm    keys.Algorithm // of root and issuing key; empty means DefaultAlgorithm

	Passphrase     keys.Unlock // of the server's key files; nil: one is made and written beside them
	RootPassphrase keys.Unlock // of the root's key; nil: likewise, to be taken away from the server

	// OutsideRoot makes a request for the issuing certificate instead of a root: Accept takes the answer.
	OutsideRoot bool

	Now func() time.Time // nil means time.Now
}

// DefaultAlgorithm is of root and issuing key, unless another is asked for: every program can check lists that are signed with
// it (docs/decisions/0022-issuing-keys.md).
const DefaultAlgorithm = keys.RSA3072

// Names of the files, in Options.Dir.
const (
	RootCertificate    = "pki/root.pem"
	RootKey            = "pki/root.key"
	RootPassphraseFile = "pki/root.passphrase"
	RootCRL            = "pki/root.crl"
	RootDER            = "pki/root.cer"
	IssuingCertificate = "pki/issuing.pem" // with the chain up to the root
	IssuingKey         = "pki/issuing.key"
	IssuingRequest     = "pki/issuing.csr"
	AuditKey           = "pki/audit.key"
	ReceiptKey         = "pki/receipt.key"
	WrappingKey        = "pki/wrapping.key"
	WrappingBackup     = "pki/wrapping.backup"
	PassphraseFile     = "passphrase"
	ConfigFile         = "server.yaml" // which Template.Write writes

	// IssuerID names the issuing authority that Init makes.
	IssuerID = "issuing"
)

// Init makes everything, or nothing.
func Init(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Algorithm == "" {
		o.Algorithm = DefaultAlgorithm
	}
	m := &maker{Options: o, ctx: ctx}
	if err := m.empty(); err != nil {
		return err
	}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(m.path("pki"), 0o700); err != nil {
		return err
	}
	steps := []func() error{m.passphrases, m.hierarchy, m.services, m.wrapping}
	for _, s := range steps {
		if err := s(); err != nil {
			return errors.Join(err, m.undo())
		}
	}
	return nil
}

// undo removes what was made: nobody has used it yet.
func (m *maker) undo() error {
	err := os.RemoveAll(m.path("pki"))
	if m.wrotePassphrase {
		err = errors.Join(err, os.Remove(m.path(PassphraseFile)))
	}
	return err
}

type maker struct {
	Options
	ctx             context.Context
	wrotePassphrase bool
}

func (m *maker) path(name string) string { return filepath.Join(m.Dir, filepath.FromSlash(name)) }

func (m *maker) empty() error {
	for _, name := range []string{"pki", PassphraseFile, ConfigFile} {
		if _, err := os.Lstat(m.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: init never replaces anything. Choose another folder", m.path(name))
		}
	}
	return nil
}

func (m *maker) passphrases() error {
	for _, p := range []struct {
		u    *keys.Unlock
		file string
	}{{&m.Passphrase, PassphraseFile}, {&m.RootPassphrase, RootPassphraseFile}} {
		if len(*p.u) > 0 {
			continue
		}
		*p.u = NewPassphrase()
		if err := writeNew(m.path(p.file), append(append([]byte(nil), *p.u...), '\n'), 0o600); err != nil {
			return err
		}
		m.wrotePassphrase = m.wrotePassphrase || p.file == PassphraseFile
	}
	return nil
}

// NewPassphrase returns 160 random bits in 32 characters that are easy to copy.
func NewPassphrase() keys.Unlock {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return keys.Unlock(strings.ToLower(base32.StdEncoding.EncodeToString(b)))
}

func (m *maker) describe(name string) (ca.CACertificate, error) {
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	if err != nil {
		return ca.CACertificate{}, err
	}
	crl, err := url.JoinPath(m.PublicURL, "crl/root.crl")
	if err != nil {
		return ca.CACertificate{}, err
	}
	cer, err := url.JoinPath(m.PublicURL, "ca/root.cer")
	if err != nil {
		return ca.CACertificate{}, err
	}
	return ca.CACertificate{CommonName: m.Organisation.Name + " " + name, Organisation: m.Organisation, Now: m.Now(), Usages: usages,
		CRL: []string{crl}, CAIssuers: cer}, nil
}

func (m *maker) hierarchy() error {
	issuingKey, err := keys.Create(m.ctx, m.path(IssuingKey), m.Algorithm, m.Passphrase)
	if err != nil {
		return err
	}
	c, err := m.describe("Secure Mail CA")
	if err != nil {
		return err
	}
	if m.OutsideRoot {
		der, err := ca.IssuingRequest(issuingKey, c)
		if err != nil {
			return err
		}
		return writePEM(m.path(IssuingRequest), "CERTIFICATE REQUEST", der)
	}
	return m.ownRoot(issuingKey, c)
}

func (m *maker) ownRoot(issuingKey crypto.Signer, issuing ca.CACertificate) error {
	rootKey, err := keys.Create(m.ctx, m.path(RootKey), m.Algorithm, m.RootPassphrase)
	if err != nil {
		return err
	}
	r, err := m.describe("Root CA")
	if err != nil {
		return err
	}
	root, err := ca.CreateRoot(rootKey, r)
	if err != nil {
		return err
	}
	cert, err := ca.CreateIssuing(root, rootKey, issuingKey.Public(), issuing)
	if err != nil {
		return err
	}
	crl, err := ca.RootCRL(root, rootKey, 1, nil, m.Now())
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(m.path(RootCertificate), "CERTIFICATE", root.Raw),
		writeNew(m.path(RootDER), root.Raw, 0o644),
		writeNew(m.path(RootCRL), crl, 0o644),
		writePEM(m.path(IssuingCertificate), "CERTIFICATE", cert.Raw, root.Raw))
}

// services makes the keys that need no certificate.
func (m *maker) services() error {
	if _, err := keys.Create(m.ctx, m.path(AuditKey), keys.Ed25519, m.Passphrase); err != nil {
		return err
	}
	_, err := keys.Create(m.ctx, m.path(ReceiptKey), keys.P256, m.Passphrase)
	return err
}

func (m *maker) wrapping() error {
	_, err := MakeWrappingKey(m.path(WrappingKey), m.path(WrappingBackup), m.Passphrase)
	return err
}

// Accept takes an outside root's answer to the issuing request: chain is PEM, the issuing certificate first, the root
// last. It checks the chain against the key and writes it where the configuration expects it.
func Accept(ctx context.Context, dir string, chain []byte, u keys.Unlock, now time.Time) error {
	m := &maker{Options: Options{Dir: dir}, ctx: ctx}
	key, err := keys.Open(ctx, m.path(IssuingKey), u)
	if err != nil {
		return err
	}
	certificates, err := ParseCertificates(chain)
	if err != nil {
		return err
	}
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	if err != nil {
		return err
	}
	if err := ca.AcceptIssuing(key.Public(), certificates, usages, now); err != nil {
		return err
	}
	var raw [][]byte
	for _, c := range certificates {
		raw = append(raw, c.Raw)
	}
	root := raw[len(raw)-1]
	return errors.Join(writePEM(m.path(IssuingCertificate), "CERTIFICATE", raw...), writePEM(m.path(RootCertificate), "CERTIFICATE", root),
		writeNew(m.path(RootDER), root, 0o644))
}

// ParseCertificates reads certificates in PEM, all of them.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate (PEM) in it")
	}
	return out, nil
}

func writePEM(path, kind string, ders ...[]byte) error {
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return writeNew(path, text, 0o644)
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
