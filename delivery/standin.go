package delivery

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/sealpost/sealpost/archive/record"
)

var oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}

// toBeSigned is a certificate without its signature (RFC 5280, 4.1). It has version 1, because it has no extensions. crypto/x509
// writes none for X25519 keys.
type toBeSigned struct {
	Serial    *big.Int
	Algorithm pkix.AlgorithmIdentifier
	Issuer    asn1.RawValue
	Validity  struct{ NotBefore, NotAfter time.Time }
	Subject   asn1.RawValue
	PublicKey asn1.RawValue
}

// standIn makes a certificate for a key of which none is known, because PKCS #12 wants one. The key that signs it is
// forgotten at once: nobody is to trust it.
func standIn(k Key, who string, now time.Time) (*x509.Certificate, error) {
	cert, err := makeStandIn(k, who, now)
	if err != nil {
		return nil, fmt.Errorf("make a certificate in place of an unknown one: %w", err)
	}
	return cert, nil
}

func makeStandIn(k Key, who string, now time.Time) (*x509.Certificate, error) {
	name, err := asn1.Marshal(pkix.Name{CommonName: record.Line(who, 64), OrganizationalUnit: []string{"Recovered key without its certificate"}}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Private.(interface{ Public() crypto.PublicKey }).Public())
	if err != nil {
		return nil, err
	}
	t := toBeSigned{Serial: new(big.Int).SetBytes(k.Header.SPKI[:16]), Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256},
		Issuer: asn1.RawValue{FullBytes: name}, Subject: asn1.RawValue{FullBytes: name}, PublicKey: asn1.RawValue{FullBytes: spki}}
	t.Validity.NotBefore, t.Validity.NotAfter = k.Header.Time.UTC(), now.UTC().AddDate(1, 0, 0)
	signed, err := asn1.Marshal(t)
	if err != nil {
		return nil, err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(signed)
	sig, err := ecdsa.SignASN1(rand.Reader, signer, digest[:])
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: signed}, t.Algorithm, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
