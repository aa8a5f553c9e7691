package cms_test

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/cms"
)

// A private key in EncKeyWithID is about this large.
var benchContent = bytes.Repeat([]byte("x"), 1800)

func BenchmarkSeal(b *testing.B) {
	p := thePKI()
	for _, h := range []*holder{p.p256, p.p384, p.x25519, p.rsa2} {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cms.Seal(benchContent, certs(h), cms.SealOptions{ContentType: cms.OIDEncKeyWithID}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	p := thePKI()
	for _, h := range []*holder{p.p256, p.p384, p.x25519, p.rsa2} {
		b.Run(h.name, func(b *testing.B) {
			der := seal(b, benchContent, cms.SealOptions{ContentType: cms.OIDEncKeyWithID}, h)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cms.Open(der, h.recipient(), cms.OpenOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSignVerify(b *testing.B) {
	p := thePKI()
	opt := cms.VerifyOptions{Signer: p.p256.cert}
	for b.Loop() {
		if _, err := cms.Verify(sign(b, p.p256, cms.SignOptions{}), opt); err != nil {
			b.Fatal(err)
		}
	}
}
