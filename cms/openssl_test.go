package cms_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/cms/bundle"
)

var plaintext = []byte("The quick brown fox\r\njumps over the lazy dog.\r\n")

// TestOpenSSLOpensOurs has openssl decrypt, as every recipient, what Seal wrote.
func TestOpenSSLOpensOurs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for name, recipients := range map[string][]*holder{
		"rsa":   {p.rsa},
		"p256":  {p.p256},
		"p384":  {p.p384},
		"p521":  {p.p521},
		"mixed": {p.rsa, p.p256, p.rsa2, p.p384, p.p256b, p.p521},
	} {
		for _, legacy := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "/gcm", true: "/cbc"}[legacy], func(t *testing.T) {
				t.Parallel()
				der, err := cms.Seal(plaintext, certs(recipients...), cms.SealOptions{Legacy: legacy})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range recipients {
					out := openssl(t, der, "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", h.keyFile, "-recip", h.certFile)
					if !bytes.Equal(out, plaintext) {
						t.Errorf("%s: got %q", h.name, out)
					}
				}
			})
		}
	}
}

// TestOpenOpenSSLs opens, as every recipient, what openssl encrypted.
func TestOpenOpenSSLs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	oaep := []string{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"}
	kdf := func(md string) []string { return []string{"-keyopt", "ecdh_kdf_md:" + md} }
	type to struct {
		h    *holder
		opts []string
	}
	all := []to{{p.rsa, oaep}, {p.p256, kdf("sha256")}, {p.rsa2, oaep}, {p.p384, kdf("sha384")}, {p.p521, kdf("sha512")}}
	for _, tc := range []struct {
		name  string
		flags []string
		to    []to
		open  cms.OpenOptions
	}{
		{"rsa gcm", []string{"-aes-256-gcm"}, all[:1], cms.OpenOptions{}},
		{"rsa gcm oaep sha512", []string{"-aes-256-gcm"}, []to{{p.rsa, []string{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"}}}, cms.OpenOptions{}},
		{"rsa gcm oaep other mask", []string{"-aes-256-gcm"}, []to{{p.rsa, append(oaep, "-keyopt", "rsa_mgf1_md:sha384")}}, cms.OpenOptions{}},
		{"p256 gcm", []string{"-aes-256-gcm"}, all[1:2], cms.OpenOptions{}},
		{"p384 gcm", []string{"-aes-256-gcm"}, all[3:4], cms.OpenOptions{}},
		{"p384 gcm sha256", []string{"-aes-256-gcm"}, []to{{p.p384, kdf("sha256")}}, cms.OpenOptions{}},
		{"p521 gcm", []string{"-aes-256-gcm"}, all[4:], cms.OpenOptions{}},
		{"all gcm", []string{"-aes-256-gcm"}, all, cms.OpenOptions{}},
		{"all gcm by key id", []string{"-aes-256-gcm", "-keyid"}, all, cms.OpenOptions{}},
		{"all aes-128-gcm", []string{"-aes-128-gcm"}, all, cms.OpenOptions{}},
		{"all aes-192-gcm", []string{"-aes-192-gcm"}, all, cms.OpenOptions{}},
		{"all cbc", []string{"-aes-256-cbc"}, all, cms.OpenOptions{AllowUnauthenticated: true}},
		{"all cbc by key id", []string{"-aes-256-cbc", "-keyid"}, all, cms.OpenOptions{AllowUnauthenticated: true}},
		{"all aes-128-cbc", []string{"-aes-128-cbc"}, all, cms.OpenOptions{AllowUnauthenticated: true}},
		{"all aes-192-cbc", []string{"-aes-192-cbc"}, all, cms.OpenOptions{AllowUnauthenticated: true}},
		{"rsa 3des", []string{"-des3"}, all[:1], cms.OpenOptions{AllowUnauthenticated: true}},
		{"p256 3des", []string{"-des3", "-aes128-wrap"}, all[1:2], cms.OpenOptions{AllowUnauthenticated: true}},
		{"rsa v1.5 cbc", []string{"-aes-256-cbc"}, []to{{p.rsa, nil}, {p.rsa2, nil}}, cms.OpenOptions{AllowUnauthenticated: true, AllowPKCS1v15: true}},
		{"rsa v1.5 3des", []string{"-des3"}, []to{{p.rsa, nil}}, cms.OpenOptions{AllowUnauthenticated: true, AllowPKCS1v15: true}},
		{"rsa v1.5 gcm", []string{"-aes-256-gcm"}, []to{{p.rsa, nil}}, cms.OpenOptions{AllowPKCS1v15: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, tc.flags...)
			for _, r := range tc.to {
				args = append(append(args, "-recip", r.h.certFile), r.opts...)
			}
			der := openssl(t, plaintext, args...)
			for _, r := range tc.to {
				got, err := cms.Open(der, r.h.recipient(), tc.open)
				if err != nil {
					t.Errorf("%s: %v", r.h.name, err)
					continue
				}
				if !bytes.Equal(got.Content, plaintext) || !got.ContentType.Equal(cms.OIDData) || got.Recipient != r.h.cert {
					t.Errorf("%s: got %+v", r.h.name, got)
				}
				if want := strings.HasSuffix(strings.Fields(tc.flags[0])[0], "gcm"); got.Authenticated != want {
					t.Errorf("%s: Authenticated is %v", r.h.name, got.Authenticated)
				}
			}
		})
	}
}

// TestOpenSSLVerifiesOurs has openssl verify what Sign wrote.
func TestOpenSSLVerifiesOurs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for _, h := range []*holder{p.rsa, p.rsa2, p.p256, p.p384, p.p521} {
		for _, detached := range []bool{false, true} {
			t.Run(h.name+map[bool]string{false: "/attached", true: "/detached"}[detached], func(t *testing.T) {
				t.Parallel()
				der, err := cms.Sign(plaintext, h.key, h.cert, cms.SignOptions{Detached: detached, SigningTime: h.cert.NotBefore, Chain: certs(&holder{cert: p.ca})})
				if err != nil {
					t.Fatal(err)
				}
				args := []string{"cms", "-verify", "-binary", "-inform", "DER", "-CAfile", p.caFile}
				if detached {
					file := filepath.Join(t.TempDir(), "content")
					if err := os.WriteFile(file, plaintext, 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, "-content", file)
				}
				if out := openssl(t, der, args...); !bytes.Equal(out, plaintext) {
					t.Errorf("got %q", out)
				}
			})
		}
	}
}

// TestVerifyOpenSSLs verifies what openssl signed.
func TestVerifyOpenSSLs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for _, tc := range []struct {
		name  string
		h     *holder
		flags []string
	}{
		{"rsa", p.rsa, nil},
		{"rsa sha512", p.rsa, []string{"-md", "sha512"}},
		{"rsa pss", p.rsa, []string{"-keyopt", "rsa_padding_mode:pss"}},
		{"rsa pss short salt", p.rsa, []string{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"}},
		{"p256", p.p256, nil},
		{"p256 by key id", p.p256, []string{"-keyid"}},
		{"p384", p.p384, []string{"-md", "sha384"}},
		{"p521", p.p521, []string{"-md", "sha512"}},
		{"no capabilities", p.p256, []string{"-nosmimecap"}},
		{"certificate elsewhere", p.p256, []string{"-nocerts"}},
	} {
		for _, detached := range []bool{false, true} {
			t.Run(tc.name+map[bool]string{false: "/attached", true: "/detached"}[detached], func(t *testing.T) {
				t.Parallel()
				args := []string{"cms", "-sign", "-binary", "-outform", "DER", "-signer", tc.h.certFile, "-inkey", tc.h.keyFile}
				opt := cms.VerifyOptions{Roots: p.pool(), Intermediates: certs(p.p256)}
				if detached {
					opt.Content = plaintext
				} else {
					args = append(args, "-nodetach")
				}
				der := openssl(t, plaintext, append(args, tc.flags...)...)
				got, err := cms.Verify(der, opt)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Content, plaintext) || !got.Signer.Equal(tc.h.cert) || got.SigningTime.IsZero() {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

// TestOpenSSLCertsOnly passes bundles both ways.
func TestOpenSSLCertsOnly(t *testing.T) {
	t.Parallel()
	p := thePKI()
	want := certs(p.rsa, p.p384, &holder{cert: p.ca})
	der, err := bundle.Write(want)
	if err != nil {
		t.Fatal(err)
	}
	out := string(openssl(t, der, "pkcs7", "-inform", "DER", "-print_certs"))
	if n := strings.Count(out, "BEGIN CERTIFICATE"); n != 3 {
		t.Errorf("openssl found %d certificates:\n%s", n, out)
	}
	theirs := openssl(t, nil, "crl2pkcs7", "-nocrl", "-outform", "DER", "-certfile", p.rsa.certFile, "-certfile", p.p384.certFile, "-certfile", p.caFile)
	for name, bundle := range map[string][]byte{"ours": der, "openssl's": theirs} {
		got, err := cms.ParseCertsOnly(bundle)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: got %d certificates", name, len(got))
		}
		for i := range got {
			if !got[i].Equal(want[i]) {
				t.Errorf("%s: certificate %d is %v", name, i, got[i].Subject)
			}
		}
	}
}
