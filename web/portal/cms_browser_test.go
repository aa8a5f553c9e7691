package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/pkcs12"
)

// someone has a key with a certificate, and both in files for openssl.
type someone struct {
	name        string
	key         crypto.Signer
	certificate *x509.Certificate
	pkcs8       []byte
}

func newSomeone(t *testing.T, dir, kind string) someone {
	t.Helper()
	h := someone{name: kind, key: generate(t, kind)}
	h.certificate = certify(t, h.key)
	var err error
	h.pkcs8, err = x509.MarshalPKCS8PrivateKey(h.key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, kind+".key"), pemKey(h.pkcs8), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, kind+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.certificate.Raw}), 0o600))
	return h
}

// officerParts is a browser at a page of the site that has the parts of the officer's script.
func officerParts(t *testing.T) context.Context {
	t.Helper()
	s := setup(t)
	ctx := s.chromium(t)
	script, err := os.ReadFile("assets/app/officer.js")
	must(t, err)
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/signin"), chromedp.WaitVisible("#login"), chromedp.Evaluate(string(script)+";0", nil)))
	return ctx
}

// file writes what openssl reads, and reads back what it wrote.
func file(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return b
}

// What the page signs, Go and openssl verify; what they sign, the page verifies, and nothing that was altered, is of somebody
// else, or of another kind.
func TestSignedInTheBrowser(t *testing.T) {
	ctx := officerParts(t)
	dir := t.TempDir()
	content := []byte("content to sign\n")
	file(t, dir, "content", content)
	at := time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
	verify := func(h someone, message, outside []byte, options string) (got struct {
		Content []byte
		Error   string
		Time    string
	}) {
		inPage(t, ctx, `try {
			const v = await S.verify(bytes(A[0]), { signer: S.parse(bytes(A[1])), content: A[2] ? bytes(A[2]) : undefined, ...JSON.parse(A[3]) });
			return { Content: text(v.content), Time: v.time?.toISOString() ?? "" };
		} catch (e) { return { Error: String(e) }; }`, &got, message, h.certificate.Raw, outside, options)
		return got
	}
	stranger := newSomeone(t, t.TempDir(), "P-256")
	for _, kind := range []string{"RSA-3072", "P-256", "P-384"} {
		h := newSomeone(t, dir, kind)
		var made struct{ Attached, Detached, Typed []byte }
		inPage(t, ctx, `
			const certificate = S.parse(bytes(A[1])), by = { key: await S.signing({ pkcs8: bytes(A[0]), certificate }), certificate }, content = bytes(A[2]);
			return { Attached: text(await S.sign(content, by, { time: new Date(A[3]) })), Detached: text(await S.sign(content, by, { detached: true, chain: [S.parse(bytes(A[4]))] })),
				Typed: text(await S.sign(content, by, { type: "1.2.840.113549.1.9.16.1.21", time: new Date("2050-01-02T03:04:05Z") })) }`,
			&made, h.pkcs8, h.certificate.Raw, content, at, stranger.certificate.Raw)
		got, err := cms.Verify(made.Attached, cms.VerifyOptions{Signer: h.certificate})
		must(t, err)
		if !bytes.Equal(got.Content, content) || !got.SigningTime.Equal(at) {
			t.Errorf("%s: Go reads %q, %v", kind, got.Content, got.SigningTime)
		}
		got, err = cms.Verify(made.Detached, cms.VerifyOptions{Signer: h.certificate, Content: content})
		must(t, err)
		if len(got.Certificates) != 2 || !got.SigningTime.IsZero() {
			t.Errorf("%s: detached has %d certificates, %v", kind, len(got.Certificates), got.SigningTime)
		}
		got, err = cms.Verify(made.Typed, cms.VerifyOptions{Signer: h.certificate, ContentType: cms.OIDEncKeyWithID})
		must(t, err)
		if got.SigningTime.Year() != 2050 {
			t.Errorf("%s: %v", kind, got.SigningTime)
		}
		file(t, dir, "attached", made.Attached)
		file(t, dir, "detached", made.Detached)
		for _, args := range [][]string{{"-in", "attached"}, {"-in", "detached", "-content", "content"}} {
			e2etest.Tool(t, dir, "openssl", append([]string{"cms", "-verify", "-binary", "-inform", "DER", "-CAfile", kind + ".pem", "-purpose", "any", "-out", "out"}, args...)...)
			if !bytes.Equal(read(t, dir, "out"), content) {
				t.Errorf("%s: openssl reads something else", kind)
			}
		}

		byGo, err := cms.Sign(content, h.key, h.certificate, cms.SignOptions{SigningTime: at})
		must(t, err)
		detached, err := cms.Sign(content, h.key, h.certificate, cms.SignOptions{Detached: true})
		must(t, err)
		for _, args := range [][]string{{"-nodetach", "-out", "signed"}, {"-nodetach", "-keyid", "-out", "signed-keyid"}} {
			e2etest.Tool(t, dir, "openssl", append([]string{"cms", "-sign", "-binary", "-nosmimecap", "-outform", "DER", "-in", "content", "-signer", kind + ".pem", "-inkey", kind + ".key", "-md", "sha256"}, args...)...)
		}
		for name, c := range map[string]struct {
			message, outside []byte
			options          string
			want             string
		}{
			"by Go":              {byGo, nil, "{}", ""},
			"by Go, detached":    {detached, content, "{}", ""},
			"by openssl":         {read(t, dir, "signed"), nil, "{}", ""},
			"by openssl, keyid":  {read(t, dir, "signed-keyid"), nil, "{}", ""},
			"by itself, typed":   {made.Typed, nil, `{"type":"1.2.840.113549.1.9.16.1.21"}`, ""},
			"without content":    {detached, nil, "{}", "in the message or beside it"},
			"with two contents":  {byGo, content, "{}", "in the message or beside it"},
			"with another one":   {detached, []byte("content to sigm\n"), "{}", "not what was signed"},
			"of another type":    {made.Typed, nil, "{}", "of another kind"},
			"cut off":            {byGo[:len(byGo)-3], nil, "{}", "cannot be read"},
			"with more after it": {append(bytes.Clone(byGo), 5, 0), nil, "{}", "cannot be read"},
		} {
			got := verify(h, c.message, c.outside, c.options)
			if (got.Error == "") != (c.want == "") || !strings.Contains(got.Error, c.want) || c.want == "" && !bytes.Equal(got.Content, content) {
				t.Errorf("%s, %s: %q, %q", kind, name, got.Content, got.Error)
			}
			if name == "by Go" && got.Time != "2049-12-31T23:59:59.000Z" {
				t.Errorf("%s: signed at %s", kind, got.Time)
			}
		}
		if got := verify(stranger, byGo, nil, "{}"); !strings.Contains(got.Error, "somebody else") {
			t.Errorf("%s, as if of somebody else: %q", kind, got.Error)
		}
		// Whatever bit of it is turned, it is not believed, or it says the same: certificates and their order nobody signs.
		var wrong []string
		inPage(t, ctx, `
			const out = [], message = bytes(A[0]), signer = S.parse(bytes(A[1]));
			for (let i = 0; i < message.length; i += 3) {
				const m = message.slice();
				m[i] ^= 1 << (i % 8);
				try {
					const v = await S.verify(m, { signer });
					if (text(v.content) !== A[2]) out.push(i + ": says something else");
				} catch (e) { if (!String(e).startsWith("Error: ")) out.push(i + ": " + e); }
			}
			return out`, &wrong, byGo, h.certificate.Raw, content)
		if len(wrong) > 0 {
			t.Errorf("%s, altered: %v", kind, wrong)
		}
	}
	chains(t, ctx, content)
}

// chains holds that a signer is believed under a root, and not under another.
func chains(t *testing.T, ctx context.Context, content []byte) {
	t.Helper()
	h, other := pkitest.NewHierarchy(t, time.Now()), pkitest.NewHierarchy(t, time.Now())
	key := generate(t, "P-256")
	issue := func(usage x509.KeyUsage) *x509.Certificate {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "Olivia"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: usage}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, h.Issuing, key.Public(), h.IssuingKey)
		must(t, err)
		c, err := x509.ParseCertificate(der)
		must(t, err)
		return c
	}
	message, err := cms.Sign(content, key, issue(x509.KeyUsageDigitalSignature), cms.SignOptions{Chain: h.Chain()})
	must(t, err)
	chain := func(h pkitest.Hierarchy) [][]byte { return [][]byte{h.Issuing.Raw, h.Root.Raw} }
	for name, c := range map[string]struct {
		chain [][]byte
		want  string
	}{"its root": {chain(h), ""}, "another root": {chain(other), "does not hold"}, "no root": {nil, "the chain is empty"}} {
		var got string
		inPage(t, ctx, `try { await S.verify(bytes(A[0]), { chain: (A[1] ?? []).map(c => S.parse(bytes(c))) }); return ""; } catch (e) { return String(e); }`, &got, message, c.chain)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("under %s: %q", name, got)
		}
	}
	var got string
	inPage(t, ctx, `
		const certificate = S.parse(bytes(A[1])), key = await S.signing({ pkcs8: bytes(A[0]), certificate });
		try { await S.sign(bytes(A[2]), { key, certificate }); return ""; } catch (e) { return String(e); }`, &got, pkcs8Of(t, key), issue(x509.KeyUsageKeyAgreement).Raw, content)
	if !strings.Contains(got, "not for signing") {
		t.Errorf("with a certificate for encryption: %q", got)
	}
}

func pkcs8Of(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return b
}

// What the page seals, Go and openssl open; what they seal, the page opens, unless it was altered or is for somebody else.
func TestSealedInTheBrowser(t *testing.T) {
	ctx := officerParts(t)
	dir := t.TempDir()
	content := []byte("content to seal, longer than one block\n")
	file(t, dir, "content", content)
	everybody := []someone{newSomeone(t, dir, "RSA-3072"), newSomeone(t, dir, "P-256"), newSomeone(t, dir, "P-384")}
	var certificates []*x509.Certificate
	var raw [][]byte
	for _, h := range everybody {
		certificates, raw = append(certificates, h.certificate), append(raw, h.certificate.Raw)
	}
	open := func(h someone, message []byte, options string) (got struct {
		Content       []byte
		Authenticated bool
		Error         string
	}) {
		inPage(t, ctx, `try {
			const certificate = S.parse(bytes(A[1])), key = await S.decryption({ pkcs8: bytes(A[2]), certificate });
			const o = await S.open(bytes(A[0]), { certificate, key }, JSON.parse(A[3]));
			return { Content: text(o.content), Authenticated: o.authenticated };
		} catch (e) { return { Error: String(e) }; }`, &got, message, h.certificate.Raw, h.pkcs8, options)
		return got
	}
	var made struct{ Plain, Typed []byte }
	inPage(t, ctx, `const to = A[0].map(c => S.parse(bytes(c)));
		return { Plain: text(await S.seal(bytes(A[1]), to)), Typed: text(await S.seal(bytes(A[1]), to, "1.2.840.113549.1.9.16.1.21")) }`, &made, raw, content)
	file(t, dir, "sealed", made.Plain)
	toAll, err := cms.Seal(content, certificates, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	must(t, err)
	legacy, err := cms.Seal(content, certificates, cms.SealOptions{Legacy: true})
	must(t, err)
	stranger := newSomeone(t, t.TempDir(), "P-256")
	for _, h := range everybody {
		for message, typ := range map[string]string{string(made.Plain): cms.OIDData.String(), string(made.Typed): cms.OIDEncKeyWithID.String()} {
			got, err := cms.Open([]byte(message), cms.Recipient{Certificate: h.certificate, Key: h.key}, cms.OpenOptions{})
			must(t, err)
			if !bytes.Equal(got.Content, content) || got.ContentType.String() != typ || !got.Authenticated {
				t.Errorf("%s: Go reads %q, %v", h.name, got.Content, got.ContentType)
			}
		}
		e2etest.Tool(t, dir, "openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "sealed", "-inkey", h.name+".key", "-recip", h.name+".pem", "-out", "out")
		if !bytes.Equal(read(t, dir, "out"), content) {
			t.Errorf("%s: openssl reads something else", h.name)
		}
		key := map[string][]string{"RSA-3072": {"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"}, "P-256": {"-keyopt", "ecdh_kdf_md:sha256"}, "P-384": {"-keyopt", "ecdh_kdf_md:sha384"}}[h.name]
		for _, cipher := range []string{"-aes-256-gcm", "-aes-128-gcm", "-aes-256-cbc"} {
			e2etest.Tool(t, dir, "openssl", append([]string{"cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-in", "content", "-out", h.name + cipher, "-recip", h.name + ".pem"}, key...)...)
		}
		altered := bytes.Clone(toAll)
		altered[len(altered)-1] ^= 1
		for name, c := range map[string]struct {
			message []byte
			options string
			want    string
		}{
			"by Go":                         {toAll, "{}", ""},
			"by itself":                     {made.Typed, "{}", ""},
			"by Go, CBC":                    {legacy, `{"unauthenticated":true}`, ""},
			"by Go, CBC, not asked for":     {legacy, `{}`, "another kind"},
			"by openssl":                    {read(t, dir, h.name+"-aes-256-gcm"), "{}", ""},
			"by openssl, 128 bits":          {read(t, dir, h.name+"-aes-128-gcm"), "{}", ""},
			"by openssl, CBC":               {read(t, dir, h.name+"-aes-256-cbc"), `{"unauthenticated":true}`, ""},
			"altered":                       {altered, "{}", "cannot be opened"},
			"cut off":                       {toAll[:len(toAll)-1], "{}", "cannot be read"},
			"a message that is only signed": {certOnly(t, h, content), "{}", "another kind"},
		} {
			got := open(h, c.message, c.options)
			if (got.Error == "") != (c.want == "") || !strings.Contains(got.Error, c.want) || c.want == "" && (!bytes.Equal(got.Content, content) || got.Authenticated == strings.Contains(name, "CBC")) {
				t.Errorf("%s, %s: %q, %q", h.name, name, got.Content, got.Error)
			}
		}
		if got := open(stranger, toAll, "{}"); !strings.Contains(got.Error, "somebody else") {
			t.Errorf("as a stranger: %q", got.Error)
		}
		wrong := h
		if h.name == "P-256" {
			wrong.pkcs8 = stranger.pkcs8
			if got := open(wrong, toAll, "{}"); !strings.Contains(got.Error, "cannot be opened") {
				t.Errorf("with another key: %q", got.Error)
			}
		}
		var leaked []string
		inPage(t, ctx, `
			const out = [], message = bytes(A[0]), certificate = S.parse(bytes(A[1])), key = await S.decryption({ pkcs8: bytes(A[2]), certificate });
			for (let i = 0; i < message.length; i += 2) {
				const m = message.slice();
				m[i] ^= 1 << (i % 8);
				try {
					if (text((await S.open(m, { certificate, key })).content) !== A[3]) out.push(i);
				} catch {}
			}
			return out.map(String)`, &leaked, toAll, h.certificate.Raw, h.pkcs8, content)
		if len(leaked) > 0 {
			t.Errorf("%s: altered, it says something else: %v", h.name, leaked)
		}
	}
}

func certOnly(t *testing.T, h someone, content []byte) []byte {
	t.Helper()
	b, err := cms.Sign(content, h.key, h.certificate, cms.SignOptions{})
	must(t, err)
	return b
}

// Files with keys of Sealpost, openssl and NSS are opened in the page, with their passphrase alone.
func TestKeyFilesInTheBrowser(t *testing.T) {
	ctx := officerParts(t)
	dir := t.TempDir()
	root := certify(t, generate(t, "P-256"))
	file(t, dir, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
	var entries []pkcs12.Entry
	for i, kind := range []string{"RSA-3072", "P-256", "P-384"} {
		h := newSomeone(t, dir, kind)
		entries = append(entries, pkcs12.Entry{Key: h.key, Certificate: h.certificate, Name: fmt.Sprintf("Zoë 🔑 %d", i)})
	}
	renewed := certify(t, entries[1].Key.(crypto.Signer)) // two certificates for one key
	generated, err := pkcs12.GeneratePassphrase()
	must(t, err)
	ours, err := pkcs12.Encode(entries, []*x509.Certificate{root, renewed}, generated, pkcs12.ModernGenerated)
	must(t, err)
	old, err := pkcs12.Encode(entries[1:2], nil, generated, pkcs12.Compatibility)
	must(t, err)
	const other = "pässword 🔑"
	export := func(out string, args ...string) []byte {
		e2etest.Tool(t, dir, "openssl", append([]string{"pkcs12", "-export", "-inkey", "P-384.key", "-in", "P-384.pem", "-certfile", "root.pem", "-name", "olivia", "-passout", "pass:" + other, "-out", out}, args...)...)
		return read(t, dir, out)
	}
	byOpenSSL := export("openssl.p12")
	e2etest.Tool(t, dir, "certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	e2etest.Tool(t, dir, "pk12util", "-i", "openssl.p12", "-d", "sql:"+dir, "-W", other)
	e2etest.Tool(t, dir, "pk12util", "-o", "nss.p12", "-d", "sql:"+dir, "-n", "olivia", "-W", other)
	altered := bytes.Clone(byOpenSSL)
	altered[200] ^= 1
	for name, c := range map[string]struct {
		file       []byte
		passphrase string
		keys       []pkcs12.Entry
		chain      int
		want       string
	}{
		"ours":               {ours, generated, entries, 2, ""},
		"openssl's":          {byOpenSSL, other, entries[2:], 1, ""},
		"openssl's, 128":     {export("128.p12", "-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC", "-macalg", "sha512"), other, entries[2:], 1, ""},
		"NSS's":              {read(t, dir, "nss.p12"), other, entries[2:], 0, ""},
		"wrong":              {ours, generated + "x", nil, 0, "BadPassphrase"},
		"none":               {byOpenSSL, "", nil, 0, "BadPassphrase"},
		"altered":            {altered, other, nil, 0, "BadPassphrase"},
		"3DES":               {old, generated, nil, 0, "older"},
		"RC2":                {export("rc2.p12", "-legacy"), other, nil, 0, "older"},
		"without MAC":        {export("nomac.p12", "-nomac"), other, nil, 0, "no MAC"},
		"too much work":      {export("slow.p12", "-iter", "6000000", "-nomaciter"), other, nil, 0, "too much work"},
		"no file":            {[]byte("hello"), other, nil, 0, "cannot be read"},
		"a certificate":      {root.Raw, other, nil, 0, "missing"},
		"nothing":            {nil, other, nil, 0, "cannot be read"},
		"larger than a file": {make([]byte, 1<<20+1), other, nil, 0, "too large"},
	} {
		var got struct {
			Keys []struct {
				Name               string
				PKCS8, Certificate []byte
				Cleared            bool
			}
			Chain int
			Error string
		}
		inPage(t, ctx, `try {
			const c = await S.openFile(bytes(A[0] ?? ""), A[1]);
			const Keys = c.keys.map(k => ({ Name: k.name, PKCS8: text(k.pkcs8), Certificate: text(S.rawOf(k.certificate)) }));
			S.clear(c);
			return { Keys: Keys.map((k, i) => ({ ...k, Cleared: c.keys[i].pkcs8.every(b => b === 0) })), Chain: c.chain.length };
		} catch (e) { return { Error: e instanceof S.BadPassphrase ? "BadPassphrase" : String(e) }; }`, &got, c.file, c.passphrase)
		if (got.Error == "") != (c.want == "") || !strings.Contains(got.Error, c.want) || len(got.Keys) != len(c.keys) || got.Chain != c.chain {
			t.Errorf("%s: %d keys, %d in the chain, %q", name, len(got.Keys), got.Chain, got.Error)
			continue
		}
		for i, want := range c.keys {
			key, err := x509.ParsePKCS8PrivateKey(got.Keys[i].PKCS8)
			must(t, err)
			if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(want.Key) || !bytes.Equal(got.Keys[i].Certificate, want.Certificate.Raw) || !got.Keys[i].Cleared ||
				name == "ours" && got.Keys[i].Name != want.Name {
				t.Errorf("%s: key %d is %q", name, i, got.Keys[i].Name)
			}
		}
	}
}
