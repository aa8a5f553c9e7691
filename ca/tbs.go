package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// tbs is what a TBSCertificate (RFC 5280 §4.1) is built from.
type tbs struct {
	serial     Serial
	algorithm  []byte // AlgorithmIdentifier, DER
	issuer     []byte // Name, DER
	notBefore  time.Time
	notAfter   time.Time
	subject    []byte // Name, DER
	spki       []byte
	extensions [][]byte // DER; empty ones are left out
}

func (t tbs) marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 2048))
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // version 3
		b.AddASN1BigInt(t.serial.Big())
		b.AddBytes(t.algorithm)
		b.AddBytes(t.issuer)
		sequence(b, func(b *cryptobyte.Builder) {
			addTime(b, t.notBefore)
			addTime(b, t.notAfter)
		})
		b.AddBytes(t.subject)
		b.AddBytes(t.spki)
		b.AddASN1(explicit3, func(b *cryptobyte.Builder) {
			sequence(b, func(b *cryptobyte.Builder) {
				for _, e := range t.extensions {
					b.AddBytes(e)
				}
			})
		})
	})
	return b.Bytes()
}

// addTime writes UTCTime through 2049 and GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

var errTBS = errors.New("these are not the bytes of a certificate that is to be signed")

// template returns a template from which x509.CreateCertificate makes exactly these bytes again: every extension is
// given as it stands, and nothing else is left for it to decide.
func templateOf(raw []byte, algorithm x509.SignatureAlgorithm) (*x509.Certificate, error) {
	in := cryptobyte.String(raw)
	var body, subject, spki, extensions, rest cryptobyte.String
	serial := new(big.Int)
	t := &x509.Certificate{SignatureAlgorithm: algorithm, SerialNumber: serial}
	if !in.ReadASN1(&body, cryptobyte_asn1.SEQUENCE) || !in.Empty() ||
		!body.SkipASN1(explicit0) ||
		!body.ReadASN1Integer(serial) ||
		!body.SkipASN1(cryptobyte_asn1.SEQUENCE) || // algorithm
		!body.SkipASN1(cryptobyte_asn1.SEQUENCE) || // issuer
		!body.ReadASN1(&rest, cryptobyte_asn1.SEQUENCE) ||
		!readTime(&rest, &t.NotBefore) || !readTime(&rest, &t.NotAfter) || !rest.Empty() ||
		!body.ReadASN1Element(&subject, cryptobyte_asn1.SEQUENCE) ||
		!body.ReadASN1Element(&spki, cryptobyte_asn1.SEQUENCE) ||
		!body.ReadASN1(&rest, explicit3) || !body.Empty() ||
		!rest.ReadASN1(&extensions, cryptobyte_asn1.SEQUENCE) || !rest.Empty() {
		return nil, errTBS
	}
	t.RawSubject = subject
	var err error
	if t.PublicKey, err = x509.ParsePKIXPublicKey(spki); err != nil {
		return nil, err
	}
	for !extensions.Empty() {
		var e pkix.Extension
		var one, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !extensions.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) ||
			one.PeekASN1Tag(cryptobyte_asn1.BOOLEAN) && !one.ReadASN1Boolean(&e.Critical) ||
			!one.ReadASN1(&value, cryptobyte_asn1.OCTET_STRING) || !one.Empty() {
			return nil, errTBS
		}
		e.Id, e.Value = id, value
		t.ExtraExtensions = append(t.ExtraExtensions, e)
	}
	return t, nil
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(cryptobyte_asn1.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
