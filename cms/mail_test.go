package cms_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cms"
)

// Mail programs write BER with indefinite lengths and content in pieces: read on request alone.
func TestBERIsReadOnRequest(t *testing.T) {
	t.Parallel()
	p := thePKI()
	content := bytes.Repeat([]byte("Content in pieces.\r\n"), 5000)
	bob, alice := p.rsa2, p.p256
	sealed := openssl(t, content, "cms", "-encrypt", "-binary", "-stream", "-outform", "DER", "-aes-128-cbc", bob.certFile)
	_, err := cms.Open(sealed, bob.recipient(), cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true})
	if !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("without being asked: %v", err)
	}
	opened, err := cms.Open(sealed, bob.recipient(), cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true, BER: true})
	if err != nil || !bytes.Equal(opened.Content, content) {
		t.Errorf("%v", err)
	}
	signed := openssl(t, content, "cms", "-sign", "-binary", "-nodetach", "-stream", "-outform", "DER", "-signer", alice.certFile, "-inkey", alice.keyFile)
	made, err := cms.Verify(signed, cms.VerifyOptions{AllowAnySigner: true, BER: true})
	if err != nil || !bytes.Equal(made.Content, content) {
		t.Errorf("%v", err)
	}
}

// What is sealed as mail programs of all kinds read it, openssl opens; whoever opens has to ask for that, too.
func TestSealForMailPrograms(t *testing.T) {
	t.Parallel()
	bob := thePKI().rsa2
	der, err := cms.Seal([]byte("text"), certs(bob), cms.SealOptions{Legacy: true, PKCS1v15: true})
	if err != nil {
		t.Fatal(err)
	}
	if out := openssl(t, der, "cms", "-decrypt", "-inform", "DER", "-recip", bob.certFile, "-inkey", bob.keyFile); string(out) != "text" {
		t.Errorf("openssl reads %q", out)
	}
	if _, err := cms.Open(der, bob.recipient(), cms.OpenOptions{AllowUnauthenticated: true}); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("without being asked: %v", err)
	}
	look, err := cms.LookAtEnvelope(der, certs(thePKI().p256, bob), 0)
	if err != nil || look.For != bob.cert || !look.Strong || look.Opaque || look.Entries != 1 {
		t.Errorf("%+v, %v", look, err)
	}
	if name, good := cms.AlgorithmName(look.Cipher); name != "AES-256" || !good {
		t.Errorf("%s %t", name, good)
	}
}

// A signed mail tells which certificate to answer to, and what is read.
func TestSignedMailTellsWhatToEncryptTo(t *testing.T) {
	t.Parallel()
	alice, other := thePKI().p256, thePKI().rsa
	der, err := cms.Sign([]byte("text"), alice.key, alice.cert, cms.SignOptions{Detached: true, Encryption: other.cert, SigningTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	look, err := cms.LookAtSignature(der, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !look.Signer.Equal(alice.cert) || len(look.Certificates) != 2 || len(look.Capabilities) != 2 {
		t.Errorf("%+v", look)
	}
	if name, _ := cms.AlgorithmName(look.Capabilities[0]); name != "AES-256" {
		t.Errorf("first %s", name)
	}
	if _, err := cms.Verify(der, cms.VerifyOptions{Content: []byte("text"), Signer: alice.cert}); err != nil {
		t.Error(err)
	}
	sha1 := openssl(t, []byte("text"), "cms", "-sign", "-nocerts", "-md", "sha1", "-outform", "DER", "-signer", alice.certFile, "-inkey", alice.keyFile)
	look, err = cms.LookAtSignature(sha1, 0)
	if err != nil || look.Signer != nil {
		t.Fatalf("%+v, %v", look, err)
	}
	if name, good := cms.AlgorithmName(look.Digest); name != "SHA-1" || good {
		t.Errorf("%s %t", name, good)
	}
	for _, bad := range [][]byte{nil, []byte("hello"), bytes.Repeat([]byte{0x30, 0x80}, 1000), der[:len(der)-1]} {
		if _, err := cms.LookAtSignature(bad, 0); err == nil {
			t.Errorf("%.10x was read", bad)
		}
		if _, err := cms.LookAtEnvelope(bad, []*x509.Certificate{alice.cert}, 0); err == nil {
			t.Errorf("%.10x was read", bad)
		}
	}
}
