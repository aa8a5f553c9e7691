package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

// sample is a key that was sealed as a deposit does, with what it was sealed to.
type sample struct {
	archiveKey threshold.Point
	wrapping   *record.WrappingKey
	header     record.Header
	pkcs8      []byte
	sealed     *record.Record
}

func newSample(key crypto.Signer) (*sample, error) {
	x := &sample{}
	var err error
	if x.archiveKey, err = threshold.RandomScalar().Point(); err != nil {
		return nil, err
	}
	if x.wrapping, err = record.GenerateWrappingKey(); err != nil {
		return nil, err
	}
	if x.pkcs8, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, err
	}
	if x.header, err = headerOf(key); err != nil {
		return nil, err
	}
	x.sealed, err = record.Seal(x.archiveKey, x.wrapping.Public(), x.header, x.pkcs8)
	return x, err
}

// headerOf is a record's header for a key, as deposits make them, of a person who is new each time.
func headerOf(key crypto.Signer) (record.Header, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	algorithm := "rsa-3072"
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		algorithm = "ec-p256"
	}
	return record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(spki), Algorithm: algorithm, Person: uuid.New(),
		Name: "Alice Anders", Mail: "alice@example.test", Time: time.Now().UTC().Truncate(time.Second)}, err
}
