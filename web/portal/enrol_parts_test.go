package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/pkcs12"
)

// inPage has the page's own script work: the body of an async function, in which S is what the script offers, bytes(s) reads and
// text(b) writes base64.
func inPage(t *testing.T, ctx context.Context, body string, out any, args ...any) {
	t.Helper()
	given, err := json.Marshal(append([]any{}, args...))
	must(t, err)
	var result string
	must(t, chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`(async (...A) => {
		const S = sealpost, bytes = s => Uint8Array.from(atob(s), c => c.charCodeAt(0)), text = b => btoa(String.fromCharCode(...b));
		return JSON.stringify(await (async () => { %s })());
	})(...%s)`, body, given), &result, awaitPromise)))
	must(t, json.Unmarshal([]byte(result), out))
}

// certify makes a certificate that a key signs itself, with usages of one to encrypt to.
func certify(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Zoë"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: serial.FillBytes(make([]byte, 20))}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func generate(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "RSA-3072":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	must(t, err)
	return key
}

// What the page makes of keys of every kind, sealed to certificates of every kind, Go reads: requests, sealed keys, files.
func TestPartsInTheBrowser(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "bob", "/enrol")
	visible(t, ctx, "#get:enabled")
	person := uuid.New()

	var chosen []any
	inPage(t, ctx, `return [S.choose(["X25519", "P-384", "P-256"]) ?? null, S.choose(["Ed448"]) ?? null]`, &chosen)
	if chosen[0] != "P-384" || chosen[1] != nil {
		t.Errorf("chosen are %v", chosen)
	}
	for _, kind := range []string{"RSA-3072", "RSA-4096", "P-256", "P-384"} {
		for _, to := range []string{"RSA-3072", "P-256", "P-384", "P-521"} {
			if strings.HasPrefix(kind, "RSA") && to != "P-256" {
				continue // what is sealed is all the same to the recipient's key
			}
			recipient := generate(t, to)
			certificate := certify(t, recipient)
			var got struct {
				CSR, PKCS8, Sealed []byte
				ID                 string
			}
			inPage(t, ctx, `
				const pair = await S.make(A[0]), csr = await S.request(A[0], pair, "Zoë Ångström"), key = await S.pkcs8(pair.privateKey);
				const id = await S.identifier(A[1], new Uint8Array([1, 2, 3]), csr, A[2]), copy = key.slice();
				const sealed = await S.sealKey(copy, id, S.parse(bytes(A[3])));
				if (copy.some(b => b)) throw new Error("the key was not cleared");
				return { CSR: text(csr), PKCS8: text(key), Sealed: text(sealed), ID: id }`, &got, kind, person, "nonce-1", base64.StdEncoding.EncodeToString(certificate.Raw))
			csr, err := x509.ParseCertificateRequest(got.CSR)
			must(t, err)
			must(t, csr.CheckSignature())
			key, err := x509.ParsePKCS8PrivateKey(got.PKCS8)
			must(t, err)
			if !key.(interface {
				Public() crypto.PublicKey
			}).Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(csr.PublicKey) || csr.Subject.CommonName != "Zoë Ångström" {
				t.Errorf("%s: the request is for %v", kind, csr.Subject)
			}
			if want := api.EscrowIdentifier(person, []byte{1, 2, 3}, got.CSR, "nonce-1"); got.ID != want {
				t.Errorf("the identifier is %q, not %q", got.ID, want)
			}
			opened, err := cms.Open(got.Sealed, cms.Recipient{Certificate: certificate, Key: recipient}, cms.OpenOptions{})
			if err != nil {
				t.Fatalf("%s to %s: %v", kind, to, err)
			}
			content, err := cms.ParseEncKeyWithID(opened.Content)
			must(t, err)
			if !opened.Authenticated || !opened.ContentType.Equal(cms.OIDEncKeyWithID) || content.Identifier != got.ID || string(content.PrivateKey) != string(got.PKCS8) {
				t.Errorf("%s to %s: opened is something else", kind, to)
			}
		}
	}
}

// A file with keys of every kind and any passphrase is what Go reads: strictly DER, with every name.
func TestFileInTheBrowser(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "bob", "/enrol")
	visible(t, ctx, "#get:enabled")
	var entries []map[string]any
	var keys []crypto.Signer
	for i, kind := range []string{"RSA-3072", "P-256", "P-384"} {
		key := generate(t, kind)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		entries = append(entries, map[string]any{"name": fmt.Sprintf("Zoë 🔑 %d", i), "key": pkcs8, "certificate": certify(t, key).Raw})
		keys = append(keys, key)
	}
	root := certify(t, generate(t, "P-256"))
	for _, passphrase := range []string{"correct horse", "pässword 🔑 Ω", strings.Repeat("long ", 60)} {
		var file []byte
		inPage(t, ctx, `return text(await S.build(A[0].map(e => ({ name: e.name, key: bytes(e.key), certificate: bytes(e.certificate) })), [bytes(A[1]), bytes(A[1])], A[2]))`,
			&file, entries, root.Raw, passphrase)
		got, chain, err := pkcs12.Decode(file, passphrase)
		if err != nil {
			t.Fatalf("%q: %v", passphrase, err)
		}
		if len(got) != len(keys) || len(chain) != 1 || !chain[0].Equal(root) {
			t.Fatalf("%d keys and %d certificates", len(got), len(chain))
		}
		for i, e := range got {
			if e.Name != entries[i]["name"] || string(e.Certificate.Raw) != string(entries[i]["certificate"].([]byte)) || !keys[i].(interface{ Equal(crypto.PrivateKey) bool }).Equal(e.Key) {
				t.Errorf("entry %d is %q", i, e.Name)
			}
		}
		if _, _, err := pkcs12.Decode(file, passphrase+"x"); err == nil {
			t.Error("any passphrase opens the file")
		}
	}
}

// The page believes no certificate that is for another key, use, person or time, or of somebody else's root, and sends its key to
// no certificate but one for that.
func TestChecksInTheBrowser(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "bob", "/enrol")
	visible(t, ctx, "#get:enabled")
	h, other := pkitest.NewHierarchy(t, time.Now()), pkitest.NewHierarchy(t, time.Now())
	own, another := generate(t, "P-256"), generate(t, "P-256")
	chain := [][]byte{h.Issuing.Raw, h.Root.Raw}
	mail, exchange := []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, []asn1.ObjectIdentifier{api.OIDExchange}
	type change func(*x509.Certificate)
	issue := func(by pkitest.Hierarchy, key crypto.Signer, changes ...change) []byte {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "Bob"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		for _, f := range changes {
			f(tmpl)
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, by.Issuing, key.Public(), by.IssuingKey)
		must(t, err)
		return der
	}
	usage := func(u x509.KeyUsage) change { return func(c *x509.Certificate) { c.KeyUsage = u } }
	forMail := func(to ...string) change {
		return func(c *x509.Certificate) { c.ExtKeyUsage, c.EmailAddresses = mail, to }
	}
	toArchive := func(c *x509.Certificate) { c.UnknownExtKeyUsage = exchange }
	over := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	signs, reads := usage(x509.KeyUsageDigitalSignature), usage(x509.KeyUsageKeyAgreement)
	spki, err := x509.MarshalPKIXPublicKey(own.Public())
	must(t, err)
	altered := issue(h, own, signs, forMail("bob@example.test"))
	altered[len(altered)-1] ^= 1
	for name, c := range map[string]struct {
		der       []byte
		use, want string // want is "" for good
	}{
		"to sign":                   {issue(h, own, signs, forMail("Bob@EXAMPLE.test")), "signing", ""},
		"to read":                   {issue(h, own, reads, forMail("bob@example.test")), "encryption", ""},
		"another key":               {issue(h, another, signs, forMail("bob@example.test")), "signing", "another key"},
		"the other use":             {issue(h, own, signs, forMail("bob@example.test")), "encryption", "key usage"},
		"archived, and signs":       {issue(h, own, usage(x509.KeyUsageKeyAgreement|x509.KeyUsageDigitalSignature), forMail("bob@example.test")), "encryption", "key usage"},
		"somebody else's":           {issue(h, own, signs, forMail("bob@example.test", "carol@example.test")), "signing", "other addresses"},
		"nobody's":                  {issue(h, own, signs, forMail()), "signing", "other addresses"},
		"not for mail":              {issue(h, own, signs), "signing", "not for mail"},
		"over":                      {issue(h, own, signs, forMail("bob@example.test"), over), "signing", "not valid"},
		"another root":              {issue(other, own, signs, forMail("bob@example.test")), "signing", "does not hold"},
		"altered":                   {altered, "signing", "does not hold"},
		"to the archive":            {issue(h, own, reads, toArchive), "exchange", ""},
		"to a person":               {issue(h, own, reads, forMail("eve@example.test")), "exchange", "no exchange certificate"},
		"to the archive and more":   {issue(h, own, reads, toArchive, forMail("eve@example.test")), "exchange", "no exchange certificate"},
		"to the archive, and signs": {issue(h, own, usage(x509.KeyUsageKeyAgreement|x509.KeyUsageDigitalSignature), toArchive), "exchange", "alone"},
		"to the archive, over":      {issue(h, own, reads, toArchive, over), "exchange", "not valid"},
		"to another's archive":      {issue(other, own, reads, toArchive), "exchange", "does not hold"},
	} {
		var got string
		inPage(t, ctx, `
			const c = S.parse(bytes(A[0])), chain = A[1].map(x => S.parse(bytes(x)));
			try {
				await (A[2] === "exchange" ? S.verifyExchange(c, chain) : S.verifyOwn(c, chain, bytes(A[3]), A[2], false, ["bob@example.test", "robert@example.test"]));
				return "";
			} catch (e) { return String(e); }`, &got, c.der, chain, c.use, spki)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}

	bob := s.Actor(t, "bob")
	submission, keys := s.Submission(t, bob, housetest.Pair)
	request, err := s.Enroll.Submit(t.Context(), bob, submission)
	must(t, err)
	b := s.browser(t)
	b.signIn("bob")
	var status api.EnrolmentStatus
	must(t, json.Unmarshal([]byte(b.get("/api/v1/enrolments/"+request.ID.String()).body), &status))
	spki, err = x509.MarshalPKIXPublicKey(keys.Encryption.Public())
	must(t, err)
	wrong, signer := bytes.Clone(status.Receipt.Signed), pkitest.SPKI(another.Public())
	wrong[100] ^= 1 // its time
	for name, c := range map[string]struct {
		signed, signer, spki []byte
		want                 string
	}{
		"right":              {status.Receipt.Signed, status.Receipt.Signer, spki, ""},
		"for another key":    {status.Receipt.Signed, status.Receipt.Signer, signer, "another key"},
		"altered":            {wrong, status.Receipt.Signer, spki, "does not hold"},
		"of another archive": {status.Receipt.Signed, signer, spki, "another key"},
		"cut off":            {status.Receipt.Signed[:100], status.Receipt.Signer, spki, "cannot be read"},
	} {
		var got string
		inPage(t, ctx, `try { await S.verifyReceipt({ signed: bytes(A[0]), signer: bytes(A[1]) }, bytes(A[2])); return ""; } catch (e) { return String(e); }`, &got, c.signed, c.signer, c.spki)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("a receipt that is %s: %q, not %q", name, got, c.want)
		}
	}
}
