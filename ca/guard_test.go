package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
)

func TestGuardSignsOneDigestAlone(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := sha256.Sum256([]byte("stored")), sha256.Sum256([]byte("other"))
	g := guard{key, crypto.SHA256, right[:]}
	sig, err := g.Sign(rand.Reader, right[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, right[:], sig) {
		t.Errorf("the stored digest: %v", err)
	}
	for name, digest := range map[string][]byte{"another digest": wrong[:], "part of it": right[:16], "nothing": nil} {
		if _, err := g.Sign(rand.Reader, digest, crypto.SHA256); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := g.Sign(rand.Reader, right[:], crypto.SHA512); !errors.Is(err, ErrTampered) {
		t.Errorf("another hash: %v", err)
	}
	if _, err := (guard{key, crypto.SHA256, nil}).Sign(rand.Reader, nil, crypto.SHA256); err == nil {
		t.Error("an empty guard signs an empty digest")
	}
}
