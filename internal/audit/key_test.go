package audit_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"
)

func rsaKey(t *testing.T) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
