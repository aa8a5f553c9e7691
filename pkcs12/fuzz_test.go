package pkcs12_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

// FuzzDecode reads altered files. A MAC of one iteration is put on what the fuzzer
// makes of the inside, so that it gets past the MAC.
func FuzzDecode(f *testing.F) {
	p := thePKI()
	f.Add([]byte{}, true)
	f.Add(encode(f, []pkcs12.Entry{p.p256}, nil, generated, pkcs12.ModernGenerated), false)
	for _, e := range []*gopkcs12.Encoder{gopkcs12.Modern2023.WithIterations(1), gopkcs12.LegacyDES.WithIterations(1), gopkcs12.LegacyRC2.WithIterations(1), gopkcs12.Modern2026.WithIterations(1)} {
		p12 := must(e.Encode(p.p256.Key, p.p256.Certificate, []*x509.Certificate{p.ca}, generated))
		f.Add(p12, false)
		f.Add(insideOf(p12), true)
	}
	inClear := must(gopkcs12.Passwordless.Encode(p.p256.Key, p.p256.Certificate, nil, ""))
	f.Add(insideOf(inClear), true)
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		if inside {
			data = pkcs12.WithMAC(data, generated)
		}
		if asksForWork(data) {
			return
		}
		entries, chain, err := pkcs12.Decode(data, generated)
		if err != nil {
			if entries != nil || chain != nil || fault.Of(err) == nil {
				t.Fatalf("got %d entries, %v", len(entries), err)
			}
			return
		}
		var whole []pkcs12.Entry
		for _, e := range entries {
			if e.Certificate != nil {
				whole = append(whole, e)
			}
		}
		if len(whole) == 0 {
			return
		}
		again, _, err := pkcs12.Decode(encode(t, whole, chain, generated, pkcs12.ModernGenerated), generated)
		if err != nil {
			t.Fatal(err)
		}
		compareEntries(t, whole, again)
	})
}

// insideOf returns the authenticated safe of a file.
func insideOf(p12 []byte) []byte {
	var pfx struct {
		Version int
		Safe    struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		MAC asn1.RawValue `asn1:"optional"`
	}
	must(asn1.Unmarshal(p12, &pfx))
	return pfx.Safe.Content
}

// asksForWork reports whether a file may ask for many iterations: they are allowed
// and slow, and the fuzzer would look for nothing else.
func asksForWork(data []byte) bool {
	for i, b := range data {
		if b == 2 && i+1 < len(data) && (data[i+1] == 3 || data[i+1] == 4) {
			return true
		}
	}
	return bytes.Count(data, []byte{2, 2}) > 20
}

func BenchmarkEncode(b *testing.B) {
	p := thePKI()
	for profile, passphrase := range map[pkcs12.Profile]string{pkcs12.Modern: "correct horse", pkcs12.ModernGenerated: generated, pkcs12.Compatibility: generated} {
		b.Run(profile.String(), func(b *testing.B) {
			for b.Loop() {
				encode(b, []pkcs12.Entry{p.rsa}, []*x509.Certificate{p.ca}, passphrase, profile)
			}
		})
	}
}
