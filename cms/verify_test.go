package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/internal/fault"
)

func newEd25519() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func sign(t testing.TB, h *holder, opt cms.SignOptions) []byte {
	t.Helper()
	der, err := cms.Sign(plaintext, h.key, h.cert, opt)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSignVerify(t *testing.T) {
	t.Parallel()
	p := thePKI()
	ed := p.issue("signer-ed25519", newEd25519(), nil)
	at := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	late := time.Date(2051, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, h := range []*holder{p.rsa, p.p256, p.p384, p.p521, ed} {
		for _, opt := range []cms.SignOptions{
			{}, {SigningTime: at}, {SigningTime: late}, {Detached: true}, {ContentType: oidOther}, {ContentType: oidOther, Detached: true}, {Chain: []*x509.Certificate{p.ca}},
		} {
			der := sign(t, h, opt)
			verify := cms.VerifyOptions{Roots: p.pool(), ContentType: opt.ContentType, ExtKeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
			if opt.Detached {
				verify.Content = plaintext
			}
			got, err := cms.Verify(der, verify)
			if err != nil {
				t.Fatalf("%s: %v", h.name, err)
			}
			if !bytes.Equal(got.Content, plaintext) || !got.Signer.Equal(h.cert) || !got.SigningTime.Equal(opt.SigningTime) || len(got.Certificates) != 1+len(opt.Chain) {
				t.Errorf("%s: got %+v", h.name, got)
			}
			verify.Roots, verify.Signer = nil, h.cert
			if _, err := cms.Verify(der, verify); err != nil {
				t.Errorf("%s pinned: %v", h.name, err)
			}
		}
	}
}

// TestEmptyContent holds that content of no bytes is content.
func TestEmptyContent(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for _, detached := range []bool{false, true} {
		der, err := cms.Sign(nil, p.p256.key, p.p256.cert, cms.SignOptions{Detached: detached})
		if err != nil {
			t.Fatal(err)
		}
		opt := cms.VerifyOptions{Roots: p.pool()}
		if detached {
			if _, err := cms.Verify(der, opt); !errors.Is(err, cms.ErrVerify) {
				t.Errorf("without content: %v", err)
			}
			opt.Content = []byte{}
		}
		if got, err := cms.Verify(der, opt); err != nil || len(got.Content) != 0 {
			t.Errorf("detached %v: %v", detached, err)
		}
	}
}

// TestPKCS7 lets another implementation read ours, and the other way round.
func TestPKCS7(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for _, h := range []*holder{p.rsa, p.p256} {
		p7, err := pkcs7.Parse(sign(t, h, cms.SignOptions{SigningTime: time.Now()}))
		if err != nil {
			t.Fatal(err)
		}
		if err := p7.VerifyWithChain(p.pool()); err != nil || !bytes.Equal(p7.Content, plaintext) {
			t.Errorf("%s: pkcs7 says %v", h.name, err)
		}
		der := mozilla(t, func(s *pkcs7.SignedData) {
			s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
			if err := s.AddSigner(h.cert, h.key, pkcs7.SignerInfoConfig{}); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := cms.Verify(der, cms.VerifyOptions{Roots: p.pool()}); err != nil {
			t.Errorf("%s: %v", h.name, err)
		}
	}
}

// mozilla builds SignedData with the other implementation.
func mozilla(t *testing.T, build func(*pkcs7.SignedData)) []byte {
	t.Helper()
	s, err := pkcs7.NewSignedData(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	build(s)
	der, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestAlteredSignature alters every byte of signed messages. (Tried once with every
// value of every byte: what still verifies, to the same content, is another version
// number of SignedData and the other name of RSA signatures; nothing signs these.)
func TestAlteredSignature(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for name, der := range map[string][]byte{
		"rsa":      sign(t, p.rsa, cms.SignOptions{SigningTime: time.Now()}),
		"p256":     sign(t, p.p256, cms.SignOptions{SigningTime: time.Now()}),
		"detached": sign(t, p.p256, cms.SignOptions{Detached: true}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := cms.VerifyOptions{Roots: p.pool()}
			if name == "detached" {
				opt.Content = plaintext
			}
			try := func(what string, i int, bad []byte) {
				got, err := cms.Verify(bad, opt)
				if err == nil {
					t.Errorf("%s at %d of %d: verified %q", what, i, len(der), got.Content)
				} else if fault.Of(err) == nil {
					t.Errorf("%s at %d: %v is no fault", what, i, err)
				}
			}
			for i := range der {
				for _, x := range []byte{0x01, 0x80} {
					bad := bytes.Clone(der)
					bad[i] ^= x
					try("flip", i, bad)
				}
				try("cut", i, der[:i])
				try("deletion", i, append(bytes.Clone(der[:i]), der[i+1:]...))
			}
			try("extra byte", len(der), append(bytes.Clone(der), 0))
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	good := sign(t, p.p256, cms.SignOptions{})
	detached := sign(t, p.p256, cms.SignOptions{Detached: true})
	typed := sign(t, p.p256, cms.SignOptions{ContentType: oidOther})
	retyped := bytes.Replace(typed, []byte{0x01, 99}, []byte{0x01, 98}, 1) // the type outside the signature
	oid98 := append(oidOther[:len(oidOther)-1:len(oidOther)-1], 98)
	byOpenSSL := func(h *holder, flags ...string) []byte {
		args := []string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", h.certFile, "-inkey", h.keyFile}
		return openssl(t, plaintext, append(args, flags...)...)
	}
	two := openssl(t, plaintext, "cms", "-sign", "-binary", "-nodetach", "-outform", "DER",
		"-signer", p.p256.certFile, "-inkey", p.p256.keyFile, "-signer", p.rsa.certFile, "-inkey", p.rsa.keyFile)
	stranger := makeStranger(p)
	small := p.issue("small-signer", must(rsa.GenerateKey(rand.Reader, 1024)), nil)
	p224 := p.issue("p224-signer", must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), nil)
	encipher := p.issue("encipher", p.rsa.key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	past := p.issue("past", p.p256.key, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	for name, tc := range map[string]struct {
		der  []byte
		opt  cms.VerifyOptions
		want error
	}{
		"nobody trusted":         {good, cms.VerifyOptions{}, cms.ErrVerify},
		"too large":              {good, cms.VerifyOptions{Roots: p.pool(), MaxSize: 100}, cms.ErrTooLarge},
		"deep":                   {nest(40), cms.VerifyOptions{Roots: p.pool()}, cms.ErrTooLarge},
		"sealed":                 {seal(t, plaintext, cms.SealOptions{}, p.p256), cms.VerifyOptions{Roots: p.pool()}, cms.ErrMalformed},
		"indefinite":             {byOpenSSL(p.p256, "-stream"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrMalformed},
		"no signer":              {must(bundle.Write(certs(p.p256))), cms.VerifyOptions{AllowAnySigner: true}, cms.ErrVerify},
		"two signers":            {two, cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"sha1":                   {byOpenSSL(p.p256, "-md", "sha1"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"sha1 rsa":               {byOpenSSL(p.rsa, "-md", "sha1"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"sha224":                 {byOpenSSL(p.rsa, "-md", "sha224"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"pkcs7's default":        {mozilla(t, func(s *pkcs7.SignedData) { s.AddSigner(p.rsa.cert, p.rsa.key, pkcs7.SignerInfoConfig{}) }), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"no attributes":          {byOpenSSL(p.p256, "-noattr"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"small key":              {byOpenSSL(small), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"p224":                   {byOpenSSL(p224), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"pss without salt":       {byOpenSSL(p.rsa, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:0"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"pss other mask":         {byOpenSSL(p.rsa, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha512"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrUnsupported},
		"key for encipherment":   {byOpenSSL(encipher), cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"expired":                {sign(t, past, cms.SignOptions{}), cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"not yet":                {good, cms.VerifyOptions{Roots: p.pool(), At: time.Now().Add(-48 * time.Hour)}, cms.ErrVerify},
		"other usage":            {good, cms.VerifyOptions{Roots: p.pool(), ExtKeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, cms.ErrVerify},
		"unknown root":           {sign(t, stranger, cms.SignOptions{}), cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"no roots":               {good, cms.VerifyOptions{Roots: x509.NewCertPool()}, cms.ErrVerify},
		"another signer":         {good, cms.VerifyOptions{Signer: p.p384.cert}, cms.ErrVerify},
		"same name, another key": {good, cms.VerifyOptions{Signer: withKey(p.p256.cert, p.p256b.cert.PublicKey)}, cms.ErrVerify},
		"certificate missing":    {byOpenSSL(p.p256, "-nocerts"), cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"detached, no content":   {detached, cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"detached, altered":      {detached, cms.VerifyOptions{Roots: p.pool(), Content: []byte("other")}, cms.ErrVerify},
		"attached and given":     {good, cms.VerifyOptions{Roots: p.pool(), Content: plaintext}, cms.ErrVerify},
		"unexpected type":        {typed, cms.VerifyOptions{Roots: p.pool()}, cms.ErrVerify},
		"altered type":           {retyped, cms.VerifyOptions{Roots: p.pool(), ContentType: oid98}, cms.ErrVerify},
	} {
		got, err := cms.Verify(tc.der, tc.opt)
		if got != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, tc.want)
		}
	}
}

// makeStranger is certified by a CA that has the same name but another key.
func makeStranger(p *pki) *holder {
	other := *p
	other.caKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other.ca = withKey(p.ca, other.caKey.Public())
	return other.issue("stranger", p.p384.key, nil)
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	small := p.issue("small-sign", must(rsa.GenerateKey(rand.Reader, 1024)), nil)
	encipher := p.issue("encipher-sign", p.rsa.key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	for name, tc := range map[string]struct {
		key  crypto.Signer
		cert *x509.Certificate
	}{
		"no key":               {nil, p.rsa.cert},
		"no certificate":       {p.rsa.key, nil},
		"another's":            {p.rsa.key, p.rsa2.cert},
		"another kind":         {p.rsa.key, p.p256.cert},
		"small":                {small.key, small.cert},
		"key for encipherment": {encipher.key, encipher.cert},
	} {
		if der, err := cms.Sign(plaintext, tc.key, tc.cert, cms.SignOptions{}); der != nil || !errors.Is(err, cms.ErrSigner) {
			t.Errorf("%s: got %d bytes, %v", name, len(der), err)
		}
	}
	if der, err := cms.Sign(plaintext, faultyToken{p.p256.key}, p.p256.cert, cms.SignOptions{}); der != nil || err == nil {
		t.Errorf("faulty token: got %d bytes, %v", len(der), err)
	}
}

// faultyToken flips a bit in what it signs.
type faultyToken struct{ crypto.Signer }

func (k faultyToken) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	bad := bytes.Clone(digest)
	bad[0] ^= 1
	return k.Signer.Sign(r, bad, o)
}

func TestParseCertsOnlyRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	packed := must(bundle.Write(certs(p.rsa)))
	for name, der := range map[string][]byte{
		"nothing":     nil,
		"signed":      sign(t, p.p256, cms.SignOptions{}),
		"detached":    sign(t, p.p256, cms.SignOptions{Detached: true}),
		"certificate": p.rsa.cert.Raw,
		"crl only":    openssl(t, nil, "crl2pkcs7", "-nocrl", "-outform", "DER"),
		"trailing":    append(bytes.Clone(packed), 0),
		"cut":         packed[:len(packed)-1],
		"broken":      bytes.Replace(packed, []byte{0x06, 0x03, 0x55, 0x04, 0x03}, []byte{0x07, 0x03, 0x55, 0x04, 0x03}, 1),
	} {
		if got, err := cms.ParseCertsOnly(der); got != nil || !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: got %d certificates, %v", name, len(got), err)
		}
	}
	for name, list := range map[string][]*x509.Certificate{"none": nil, "too many": make([]*x509.Certificate, cms.MaxCertificates+1)} {
		if _, err := bundle.Write(list); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
