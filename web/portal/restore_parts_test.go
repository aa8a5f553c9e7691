package portal_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// What was opened is put into a file only if it is the key of its record, and works.
func TestRecoveredKeysInTheBrowser(t *testing.T) {
	t.Parallel()
	ctx := scripted(t, "restore")
	encode := func(key, public any) (pkcs8 []byte, hash string) {
		t.Helper()
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		spki, err := x509.MarshalPKIXPublicKey(public)
		must(t, err)
		sum := sha256.Sum256(spki)
		return pkcs8, hex.EncodeToString(sum[:])
	}
	check := func(pkcs8 []byte, hash string) (out string) {
		t.Helper()
		inPage(t, ctx, `try { await S.recovered.checkKey(bytes(A[0]), { spki: S.wire.fromHex(A[1]), algorithm: "some-kind" }); return ""; } catch (e) { return String(e); }`, &out, pkcs8, hash)
		return out
	}
	another := strings.Repeat("ab", 32)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	must(t, err)
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	keys := map[string][2]any{"RSA": {rsaKey, rsaKey.Public()}, "X25519": {x, x.Public()}}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		must(t, err)
		keys[curve.Params().Name] = [2]any{key, key.Public()}
	}
	for name, key := range keys {
		pkcs8, hash := encode(key[0], key[1])
		if got := check(pkcs8, hash); got != "" {
			t.Errorf("%s: %s", name, got)
		}
		if got := check(pkcs8, another); !strings.Contains(got, "another key") {
			t.Errorf("another key of kind %s: %q", name, got)
		}
	}
	good, hash := encode(rsaKey, rsaKey.Public())
	for i := range 16 {
		b := append([]byte(nil), good...)
		b[len(b)/2+i*20] ^= 1
		if check(b, hash) == "" {
			t.Errorf("an RSA key altered at %d was taken", len(b)/2+i*20)
		}
	}
	if check([]byte("nothing of the kind"), hash) == "" {
		t.Error("garbage was taken")
	}
	kem, err := mlkem.GenerateKey768()
	must(t, err)
	// PKCS#8 of ML-KEM-768 with its seed (RFC 9935).
	b := append([]byte{0x30, 0x54, 2, 1, 0, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 4, 2, 4, 0x42, 0x80, 0x40}, kem.Bytes()...)
	if got := check(b, hash); !strings.Contains(got, "does not know (some-kind)") {
		t.Errorf("ML-KEM: %q", got)
	}
}

// Certificates that are made here are what Go reads: the recipient's for agreement alone, and one in the place of one that is not known.
func TestCertificatesMadeInTheBrowser(t *testing.T) {
	t.Parallel()
	ctx := scripted(t, "restore")
	key := generate(t, "RSA-3072")
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	var out struct {
		Recipient, StandIn []byte
		Taken              bool
	}
	name := strings.Repeat("Zoë\u202e ", 20)
	inPage(t, ctx, `
		const made = await S.recipient.makeRecipient(A[0]);
		let taken = true;
		try { await crypto.subtle.exportKey("pkcs8", made.key); } catch { taken = false; }
		return { Recipient: text(made.certificate), StandIn: text(await S.recipient.standIn(bytes(A[1]), A[0], new Date(2020, 1, 1))), Taken: taken };`, &out, name, spki)
	if out.Taken {
		t.Error("the recipient's key can be taken out")
	}
	c, err := x509.ParseCertificate(out.Recipient)
	must(t, err)
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil || c.KeyUsage != x509.KeyUsageKeyAgreement || c.IsCA ||
		!strings.HasPrefix(c.Subject.CommonName, "New device of Zoë\ufffd ") || len(c.Subject.CommonName) > 64 || time.Until(c.NotAfter) < 30*24*time.Hour {
		t.Errorf("the recipient is %+v: %v", c.Subject, err)
	}
	stand, err := x509.ParseCertificate(out.StandIn)
	must(t, err)
	if !key.Public().(*rsa.PublicKey).Equal(stand.PublicKey) || time.Now().After(stand.NotAfter) {
		t.Errorf("in the place of one: %+v", stand.Subject)
	}
}
