package server

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/keys"
)

// What an account shows who it is with is read from files: no password with a certificate or a keytab, and nothing that others
// may read.
func TestProof(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := &Base{Config: new(config.Config), Unlock: keys.Unlock("passphrase")}
	file := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := func(name string) (string, crypto.Signer) {
		uri := "file:" + filepath.Join(dir, name)
		signer, err := keys.Create(t.Context(), uri, keys.P256, b.Unlock)
		if err != nil {
			t.Fatal(err)
		}
		return uri, signer
	}
	uri, signer := key("account.key")
	another, _ := key("another.key")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sealpost lookup"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate := file("account.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	keytab, open := file("keytab", []byte{5, 2}, 0o600), file("open.keytab", []byte{5, 2}, 0o644)
	conf := file("krb5.conf", []byte("[libdefaults]\n"), 0o644)

	password, p, err := b.proof(t.Context(), directory.Account{PasswordFile: file("password", []byte("secret\n"), 0o600)})
	if err != nil || password != "secret" || p.Certificate != nil || p.Keytab != nil {
		t.Errorf("password: %q, %v, %v", password, p, err)
	}
	password, p, err = b.proof(t.Context(), directory.Account{Certificate: certificate, Key: uri})
	if err != nil || password != "" || p.Certificate == nil || !bytes.Equal(p.Certificate.Certificate[0], der) {
		t.Errorf("certificate: %q, %v", password, err)
	}
	password, p, err = b.proof(t.Context(), directory.Account{Keytab: keytab, KRB5Conf: conf})
	if err != nil || password != "" || len(p.Keytab) != 2 || p.KRB5Conf == "" {
		t.Errorf("keytab: %q, %v, %v", password, p, err)
	}
	if password, p, err = b.proof(t.Context(), directory.Account{}); err != nil || password != "" || p.Certificate != nil || p.Keytab != nil {
		t.Errorf("no account: %q, %v, %v", password, p, err)
	}
	for what, a := range map[string]directory.Account{
		"is not of the key": {Certificate: certificate, Key: another},
		"no such file":      {Certificate: filepath.Join(dir, "none.pem"), Key: uri},
		"There is no key":   {Certificate: certificate, Key: "file:" + filepath.Join(dir, "none.key")},
		"Others may read":   {Keytab: open, KRB5Conf: conf},
		"none.conf":         {Keytab: keytab, KRB5Conf: filepath.Join(dir, "none.conf")},
	} {
		if _, _, err := b.proof(t.Context(), a); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
