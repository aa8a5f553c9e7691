package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
)

// makers make a key of the kinds that a policy may name (api.KeyPlan).
var makers = map[string]func() (crypto.Signer, error){
	"P-256":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"P-384":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"RSA-3072": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) },
	"RSA-4096": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 4096) },
}

// Prefer are kinds of key that the person wants in place of those that the server prefers; empty means the server's.
// The server must accept them.
type Prefer struct {
	Signing    string `json:"signing,omitempty"`
	Encryption string `json:"encryption,omitempty"`
	// Place is the only one in which the person wants the signing key, as in api.KeyPlan.
	Place string `json:"place,omitempty"`
}

// chooseAlgorithm returns the wanted kind of key, or the first of the accepted ones, which is the one that the server
// prefers, that can be made here.
func chooseAlgorithm(accepted []string, wanted string) (string, error) {
	for _, name := range accepted {
		if makers[name] != nil && (wanted == "" || name == wanted) {
			return name, nil
		}
	}
	if wanted != "" {
		return "", ErrAlgorithm.Withf("The server does not accept %q keys here. It accepts %s.", wanted, strings.Join(accepted, ", "))
	}
	return "", ErrAlgorithm.Withf("The server accepts %s keys, none of which this agent can make. A newer agent may.", strings.Join(accepted, ", "))
}

// makeKey makes a key and returns it with its PKCS#8 form.
func makeKey(algorithm string) (crypto.Signer, []byte, error) {
	key, err := makers[algorithm]()
	if err != nil {
		return nil, nil, fmt.Errorf("make %s key: %w", algorithm, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s key: %w", algorithm, err)
	}
	return key, pkcs8, nil
}

// parseKey reads a key of ours back.
func parseKey(pkcs8 []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, ErrState.Withf("A private key in the agent's folder cannot be read.").Because(err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrState.Withf("A private key in the agent's folder is of a kind that is not used.")
	}
	return signer, nil
}

// Secret holds private key bytes. It prints as nothing at all, so that none reaches a log by way of a struct around it.
type Secret []byte

// Format writes a placeholder, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("(secret)")) } // nowhere to report to
