package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// specimenKeys are public keys whose private halves nobody has: making such ones takes a while.
//
//go:embed specimen.pem
var specimenKeys []byte

// Specimen returns what a certificate of a profile would be, in DER, for somebody who is not: Alex Example, at the first mail
// domain of the name policy. It is built and linted like every other one, and nothing of it is stored. No issuer's key has
// touched it: where the signature stands is one that a throw-away key made over something else, so that nothing verifies it.
// It returns ErrUnknownProfile, and what Prepare returns for a profile that yields nothing now.
func (a *Authority) Specimen(profile string) ([]byte, error) {
	p, err := a.Profile(profile)
	if err != nil {
		return nil, err
	}
	key, err := specimenKey(p.keys[0])
	if err != nil {
		return nil, fmt.Errorf("specimen of %s: %w", profile, err)
	}
	r := Request{ID: uuid.New(), Profile: profile, PublicKey: key, Subject: Subject{CommonName: "Example"}}
	if p.personalName {
		r.Subject = Subject{CommonName: "Alex Example", GivenName: "Alex", Surname: "Example", SerialNumber: "4711"}
	}
	if p.mailboxes != forbidden && a.names.sampleMail != "" {
		r.Mailboxes = []string{a.names.sampleMail}
	}
	if p.hosts != forbidden && a.names.sampleHost != "" {
		r.DNSNames = []string{a.names.sampleHost}
	}
	q, err := a.read(r)
	if err != nil {
		return nil, err
	}
	d, err := a.draft(q, a.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	algorithm := p.issuer.algorithm.der
	return signedDER(d.tbs, algorithm, a.lint.signatures[string(algorithm)])
}

// specimenKey returns a public key of a kind as SubjectPublicKeyInfo.
func specimenKey(kind KeyAlgorithm) ([]byte, error) {
	var pub crypto.PublicKey
	switch kind {
	case P256, P384:
		curve := elliptic.P256()
		if kind == P384 {
			curve = elliptic.P384()
		}
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		pub = key.Public()
	case Ed25519:
		var err error
		if pub, _, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
	default:
		for rest := specimenKeys; pub == nil; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return nil, ErrKeyAlgorithm.Withf("There is no specimen of a key of the kind %s.", kind)
			}
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if k, ok := key.(*rsa.PublicKey); ok && fmt.Sprintf("RSA-%d", k.N.BitLen()) == string(kind) {
				pub = k
			}
		}
	}
	return x509.MarshalPKIXPublicKey(pub)
}
