package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

var update = flag.Bool("update", false, "write golden files and tables anew")

// goldenTime is the clock of golden certificates.
var goldenTime = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

// fixedKey returns a P-256 key that follows from its name: it protects nothing but golden files.
func fixedKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	seed := sha256.Sum256([]byte("sealpost test key " + name))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fixedRSA is the public half of a key that nobody has.
func fixedRSA(t testing.TB) crypto.PublicKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "rsa3072.pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// counting returns serials 4001, 4002 … in sixteen octets.
func counting() func() (ca.Serial, error) {
	n := new(big.Int).Lsh(big.NewInt(0x40), 120)
	return func() (ca.Serial, error) {
		n.Add(n, big.NewInt(1))
		return ca.SerialOf(n), nil
	}
}

// fixedHierarchy is the hierarchy of golden certificates.
func fixedHierarchy(t testing.TB) pkitest.Hierarchy {
	t.Helper()
	return pkitest.NewHierarchyWith(t, goldenTime.AddDate(0, -1, 0), fixedKey(t, "root"), fixedKey(t, "issuing"))
}

// sample is one certificate of each profile and kind of key.
type sample struct {
	profile string
	key     ca.KeyAlgorithm
	request ca.Request
}

func samples(t testing.TB) []sample {
	t.Helper()
	ec, rsa := fixedKey(t, "subject").Public(), fixedRSA(t)
	person := ca.Subject{CommonName: "Alice Example", GivenName: "Alice", Surname: "Example", SerialNumber: "1001"}
	var out []sample
	for _, p := range ca.DefaultProfiles() {
		for key, pub := range map[ca.KeyAlgorithm]crypto.PublicKey{ca.P256: ec, ca.RSA3072: rsa} {
			r := ca.Request{ID: uuid.NewSHA1(uuid.Nil, []byte(p.Name+string(key))), Profile: p.Name, PublicKey: pkitest.SPKI(pub),
				Subject: ca.Subject{CommonName: p.Name + " of Example"}}
			if p.PersonalName {
				r.Subject = person
			}
			switch {
			case p.Name == ca.RoleMailboxSigning || p.Name == ca.RoleMailboxEncryption:
				r.Mailboxes = []string{"sales@example.test"}
			case p.Mailboxes == "required":
				r.Mailboxes = []string{"alice@example.test", "Alice.Example@example.test", "älice@example.test"}
			}
			if p.Hosts == "required" {
				r.DNSNames = []string{"ca.example.test", "localhost"}
			}
			out = append(out, sample{p.Name, key, r})
		}
	}
	return out
}
