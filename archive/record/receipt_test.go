package record_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"sync"
	"testing"

	"crypto"

	"github.com/sealpost/sealpost/archive/record"
)

func hashOf(b []byte) record.Hash { return sha256.Sum256(b) }

func certs(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c} }

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(nil, 2048) })

func ed25519Certificate(tb testing.TB) *x509.Certificate {
	tb.Helper()
	seed := sha256.Sum256([]byte("ed25519"))
	return certificate(tb, "ed25519", ed25519.NewKeyFromSeed(seed[:]).Public(), x509.KeyUsageDigitalSignature, usageSigning)
}

func receiptOf(rec *record.Record) record.Receipt {
	return record.Receipt{
		SPKI: rec.Capsule.Header.SPKI, Record: rec.Capsule.Hash(), KeyID: rec.Capsule.KeyID, Time: day, AuditLeaf: hashOf([]byte("audit leaf")),
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	r, _ := newRoster(t, 2, 3)
	rec := seal(t, r, newWrappingKey(t, "server"), "alice")
	seed := sha256.Sum256([]byte("receipts"))
	for name, key := range map[string]crypto.Signer{
		"P-256": fixedKey(t, "receipts"), "Ed25519": ed25519.NewKeyFromSeed(seed[:]), "RSA": must(rsaKey())(t),
	} {
		s := must(receiptOf(rec).Sign(key))(t)
		again := must(record.ParseReceipt(s.Bytes()))(t)
		if err := again.Verify(key.Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again.Receipt != s.Receipt || again.Hash() != s.Hash() {
			t.Errorf("%s: %+v became %+v", name, s.Receipt, again.Receipt)
		}
		if err := again.Verify(fixedKey(t, "another").Public()); !errors.Is(err, record.ErrSignature) {
			t.Errorf("%s, another key: %v", name, err)
		}
		for i := range s.Bytes() {
			b := bytes.Clone(s.Bytes())
			b[i] ^= 1
			if x, err := record.ParseReceipt(b); err == nil && x.Verify(key.Public()) == nil {
				t.Errorf("%s: byte %d may be altered", name, i)
			}
		}
	}
	for name, change := range map[string]func(*record.Receipt){
		"no public key":  func(r *record.Receipt) { r.SPKI = record.Hash{} },
		"no record":      func(r *record.Receipt) { r.Record = record.Hash{} },
		"no archive key": func(r *record.Receipt) { r.KeyID = record.Hash{} },
		"no audit leaf":  func(r *record.Receipt) { r.AuditLeaf = record.Hash{} },
	} {
		if _, err := with(receiptOf(rec), change).Sign(fixedKey(t, "receipts")); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := receiptOf(rec).Sign(nil); !errors.Is(err, record.ErrSignature) {
		t.Errorf("no key: %v", err)
	}
}

// liar is a token that returns somebody else's signature.
type liar struct{ fixedSigner }

func (l liar) Public() crypto.PublicKey { return l.PublicKey.Curve }

func TestSignersThatAreRefused(t *testing.T) {
	t.Parallel()
	r, _ := newRoster(t, 2, 3)
	rec := seal(t, r, newWrappingKey(t, "server"), "alice")
	small, err := rsa.GenerateKey(nil, 1024)
	if err == nil {
		if _, err := receiptOf(rec).Sign(small); !errors.Is(err, record.ErrSignature) {
			t.Errorf("RSA of 1024 bits: %v", err)
		}
	}
	if _, err := receiptOf(rec).Sign(liar{fixedKey(t, "receipts")}); !errors.Is(err, record.ErrSignature) {
		t.Errorf("a key of no kind: %v", err)
	}
}
