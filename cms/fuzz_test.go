package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/internal/fault"
)

// FuzzOpen opens altered messages as every recipient. Authenticated content is
// either exact or refused.
func FuzzOpen(f *testing.F) {
	p := thePKI()
	f.Add([]byte{})
	f.Add(nest(5))
	for _, to := range [][]*holder{{p.rsa}, {p.p256}, {p.p384, p.x25519}} {
		for _, opt := range []cms.SealOptions{{}, {Legacy: true}, {ContentType: cms.OIDEncKeyWithID}} {
			f.Add(seal(f, plaintext, opt, to...))
		}
	}
	f.Add(openssl(f, plaintext, "cms", "-encrypt", "-binary", "-outform", "DER", "-des3", "-keyid", "-recip", p.rsa.certFile))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, h := range []*holder{p.rsa, p.p256, p.p384, p.x25519} {
			got, err := cms.Open(der, h.recipient(), cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true})
			if err != nil {
				if got != nil || fault.Of(err) == nil {
					t.Fatalf("got %v, %v", got, err)
				}
				continue
			}
			if got.Authenticated && !bytes.Equal(got.Content, plaintext) {
				t.Fatalf("opened to %q", got.Content)
			}
		}
	})
}

// FuzzVerify verifies altered signatures. What verifies is what was signed.
func FuzzVerify(f *testing.F) {
	p := thePKI()
	f.Add([]byte{})
	for _, h := range []*holder{p.rsa, p.p256} {
		f.Add(sign(f, h, cms.SignOptions{SigningTime: h.cert.NotBefore}))
		f.Add(openssl(f, plaintext, "cms", "-sign", "-binary", "-nodetach", "-keyid", "-outform", "DER", "-signer", h.certFile, "-inkey", h.keyFile))
	}
	f.Add(openssl(f, plaintext, "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", p.rsa.certFile, "-inkey", p.rsa.keyFile, "-keyopt", "rsa_padding_mode:pss"))
	f.Add(must(bundle.Write(certs(p.rsa, p.p256))))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, opt := range []cms.VerifyOptions{{Roots: p.pool()}, {Signer: p.p256.cert}} {
			got, err := cms.Verify(der, opt)
			if err != nil {
				if got != nil || fault.Of(err) == nil {
					t.Fatalf("got %v, %v", got, err)
				}
				continue
			}
			if !bytes.Equal(got.Content, plaintext) {
				t.Fatalf("verified %q", got.Content)
			}
		}
		if got, err := cms.Verify(der, cms.VerifyOptions{AllowAnySigner: true}); (got == nil) == (err == nil) {
			t.Fatalf("got %v, %v", got, err)
		}
	})
}

// FuzzParseCertsOnly holds that what is read can be written and read again.
func FuzzParseCertsOnly(f *testing.F) {
	p := thePKI()
	f.Add([]byte{})
	f.Add(must(bundle.Write(certs(p.rsa))))
	f.Add(must(bundle.Write(certs(p.p256, p.x25519))))
	f.Add(sign(f, p.p256, cms.SignOptions{}))
	f.Fuzz(func(t *testing.T, der []byte) {
		got, err := cms.ParseCertsOnly(der)
		if err != nil {
			if !errors.Is(err, fault.Malformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := cms.ParseCertsOnly(must(bundle.Write(got)))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%d certificates become %d: %v", len(got), len(again), err)
		}
	})
}

// FuzzEncKeyWithID holds that there is one encoding for each value.
func FuzzEncKeyWithID(f *testing.F) {
	for _, key := range []crypto.PrivateKey{thePKI().rsa.key, must(ecdh.X25519().NewPrivateKey(make([]byte, 32)))} {
		pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))
		for _, e := range []cms.EncKeyWithID{{PrivateKey: pkcs8}, {PrivateKey: pkcs8, Identifier: "alice"}, {PrivateKey: pkcs8, GeneralName: []byte{0x82, 1, 'a'}}} {
			f.Add(must(e.Marshal()))
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		e, err := cms.ParseEncKeyWithID(der)
		if err != nil {
			if !errors.Is(err, fault.Malformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := e.Marshal()
		if err != nil || !bytes.Equal(again, der) {
			t.Fatalf("%x becomes %x: %v", der, again, err)
		}
	})
}

// FuzzReadAdvertisement reads altered ones. What is read was said by who signed it.
func FuzzReadAdvertisement(f *testing.F) {
	p := thePKI()
	alice := p.dual("alice", p.p256.key, p.rsa.key)
	f.Add([]byte{})
	f.Add(alice.advertise(f))
	f.Add(alice.right(f).signed(alice.signing))
	f.Add(sign(f, p.p256, cms.SignOptions{Detached: true}))
	f.Fuzz(func(t *testing.T, der []byte) {
		got, err := cms.ReadAdvertisement(der)
		if err != nil {
			if got != nil || fault.Of(err) == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			return
		}
		if len(der) > cms.MaxAdvertisement || got.Signer == nil || got.Encryption == nil || len(got.Capabilities) == 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

// What a stranger's message says of itself is read without panic, and what is said of it is said of something that is there.
func FuzzLook(f *testing.F) {
	p := thePKI()
	signed, err := cms.Sign([]byte("text"), p.p256.key, p.p256.cert, cms.SignOptions{Encryption: p.rsa.cert})
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := cms.Seal([]byte("text"), certs(p.rsa, p.p256), cms.SealOptions{Legacy: true, PKCS1v15: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(sealed)
	f.Add([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if look, err := cms.LookAtSignature(message, 0); err == nil && (len(look.Digest) == 0 || len(look.Algorithm) == 0) {
			t.Errorf("%+v", look)
		}
		if look, err := cms.LookAtEnvelope(message, certs(p.p256), 0); err == nil && (len(look.Cipher) == 0 || look.For != nil && look.Entries == 0) {
			t.Errorf("%+v", look)
		}
		_, _ = cms.Verify(message, cms.VerifyOptions{AllowAnySigner: true, BER: true})
		_, _ = cms.Open(message, p.p256.recipient(), cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true, BER: true})
	})
}
