package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

const program = "sealpost-kra"

// TestMain is the program itself when it is called by its name, and else the tests.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == program {
		main()
	}
	pgtest.Main(m)
}

// link puts the program into a folder.
func link(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(dir, 0o700), os.Symlink(self, filepath.Join(dir, program)))
}

// authority is a real one, with what its operator does for officers.
type authority struct {
	*pkitest.PKI
	t       *testing.T
	persons map[string]uuid.UUID
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	return &authority{pkitest.NewAuthority(t, pgtest.New(t)), t, map[string]uuid.UUID{}}
}

// request asks for a certificate for the person of a name.
func (a *authority) request(profile, name string, spki []byte) ca.Request {
	if a.persons[name] == uuid.Nil {
		a.persons[name] = uuid.New()
	}
	given, surname, _ := strings.Cut(name, " ")
	return ca.Request{ID: uuid.New(), Profile: profile, Person: a.persons[name], PublicKey: spki,
		Subject: ca.Subject{CommonName: name, GivenName: given, Surname: surname}}
}

// certify does what `sealpost roster certify` does, under any two profiles, and writes the card.
func (a *authority) certify(name, signing, decryption, out string, profiles ...string) error {
	var certs []*x509.Certificate
	for i, path := range []string{signing, decryption} {
		certs = append(certs, a.certified(name, path, profiles[i]))
	}
	card, err := kra.NewAgentCard(a.persons[name], certs[0], certs[1], a.Chain())
	if err != nil {
		return err
	}
	text, err := card.Encode()
	return errors.Join(err, os.WriteFile(out, text, 0o644))
}

// certified issues a certificate for the key of a request.
func (a *authority) certified(name, path, profile string) *x509.Certificate {
	a.t.Helper()
	text, err := os.ReadFile(path)
	must(a.t, err)
	block, _ := pem.Decode(text)
	if block == nil {
		a.t.Fatalf("%s is no PEM", path)
	}
	csr, err := ca.ParseCSR(block.Bytes)
	must(a.t, err)
	c, err := x509.ParseCertificate(a.Issue(a.t, a.request(profile, name, csr.PublicKey))[0].DER)
	must(a.t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
