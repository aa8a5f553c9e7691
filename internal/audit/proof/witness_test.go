package proof_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

func officer(t testing.TB, who string, curve elliptic.Curve) (*ecdsa.PrivateKey, *proof.Witness) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := proof.NewWitness(who, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, w
}

func countersign(t testing.TB, msg []byte, log *proof.Signer, key crypto.Signer) []byte {
	t.Helper()
	out, err := proof.Countersign(msg, verifiers(t, log), key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCountersign(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	_, msg := newTree(t, 5).checkpoint(t, 5, log)
	olga, wOlga := officer(t, "Olga", elliptic.P256())
	otto, wOtto := officer(t, "Otto", elliptic.P384())
	v, all := verifiers(t, log), []*proof.Witness{wOlga, wOtto}

	signed := countersign(t, msg, log, olga)
	c, err := proof.OpenCountersigned(signed, v, all)
	if err != nil || c.Size != 5 || len(c.By) != 1 || c.By[0].Who() != "Olga" || !bytes.Equal(c.Note, signed) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := proof.Open(signed, v); err != nil || c.Size != 5 { // others ignore what they do not know
		t.Errorf("%+v, %v", c, err)
	}
	// Somebody's further signatures are left out, by a countersigner and by a reader.
	with := append(bytes.Clone(signed), "— stranger AAAAAAAA\n"...)
	if c, err := proof.OpenCountersigned(with, v, all); err != nil || !bytes.Equal(c.Note, signed) {
		t.Errorf("%s, %v", c.Note, err)
	}
	if got := countersign(t, with, log, otto); strings.Count(string(got), "— ") != 2 {
		t.Errorf("countersigned too:\n%s", got)
	}
	both := append(bytes.Clone(signed), countersign(t, msg, log, otto)[len(msg):]...)
	if c, err := proof.OpenCountersigned(both, v, all); err != nil || len(c.By) != 2 {
		t.Errorf("two officers: %+v, %v", c, err)
	}

	_, another := newTree(t, 5).checkpoint(t, 4, log)
	forged := append(bytes.Clone(another), signed[len(msg):]...) // the officer's signature under another text
	for what, bad := range map[string]struct {
		msg  []byte
		want error
	}{
		"an officer's signature of another": {forged, proof.ErrSignature},
		"the officer alone":                 {bytes.Replace(signed, msg[bytes.Index(msg, []byte("— ")):], nil, 1), proof.ErrSignature},
		"another log":                       {countersign(t, mustCheckpoint(t, newSigner(t, name, 2)), newSigner(t, name, 2), olga), proof.ErrSignature},
		"garbage":                           {[]byte("x"), proof.ErrMalformed},
		"too large":                         {append(bytes.Clone(signed), strings.Repeat("— x AAAAAAAA\n", 4000)...), proof.ErrMalformed},
	} {
		if _, err := proof.OpenCountersigned(bad.msg, v, all); !errors.Is(err, bad.want) {
			t.Errorf("%s: got %v, want %v", what, err, bad.want)
		}
	}
	// A checkpoint in the name of an officer's key, which that key signed, is no log's.
	own := proof.Checkpoint{Origin: wOlga.Name(), Size: 5}
	text, err := own.Sign(log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Countersign(text, v, olga); !errors.Is(err, proof.ErrSignature) {
		t.Errorf("a log of an officer's name: %v", err)
	}
	if _, err := proof.Countersign(msg, verifiers(t, newSigner(t, name, 2)), olga); !errors.Is(err, proof.ErrSignature) {
		t.Errorf("what an unknown log signed: %v", err)
	}
}

func mustCheckpoint(t testing.TB, log *proof.Signer) []byte {
	_, msg := newTree(t, 5).checkpoint(t, 5, log)
	return msg
}

// lying is a token that signs something else.
type lying struct{ crypto.Signer }

func (l lying) Sign(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
	return l.Signer.Sign(r, make([]byte, len(d)), o)
}

func TestWitnessKeys(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	msg := mustCheckpoint(t, log)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p224, ed25519.NewKeyFromSeed(make([]byte, 32))} {
		if _, err := proof.Countersign(msg, verifiers(t, log), key); !errors.Is(err, proof.ErrWitness) {
			t.Errorf("%T: %v", key, err)
		}
	}
	olga, _ := officer(t, "Olga", elliptic.P256())
	if _, err := proof.Countersign(msg, verifiers(t, log), lying{olga}); err == nil {
		t.Error("a key that signs something else goes unnoticed")
	}
}

// openssl verifies what an officer countersigned.
func TestOpensslVerifiesACountersignature(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	olga, w := officer(t, "Olga", elliptic.P256())
	text, sigs, _ := bytes.Cut(countersign(t, mustCheckpoint(t, log), log, olga), []byte("\n\n"))
	_, own, ok := strings.Cut(string(sigs), "— "+w.Name()+" ")
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(own))
	if !ok || err != nil {
		t.Fatalf("%s: %v", sigs, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(olga.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"text": append(text, '\n'), "sig": sig[4:],
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "text")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
}

func FuzzOpenCountersigned(f *testing.F) {
	log := newSigner(f, name, 1)
	olga, w := officer(f, "Olga", elliptic.P256())
	msg := mustCheckpoint(f, log)
	f.Add(msg)
	f.Add(countersign(f, msg, log, olga))
	f.Add([]byte("— x AAAAAAAA\n"))
	v := verifiers(f, log)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := proof.OpenCountersigned(b, v, []*proof.Witness{w})
		if err != nil {
			return
		}
		again, err := proof.OpenCountersigned(c.Note, v, []*proof.Witness{w})
		if err != nil || again.Checkpoint != c.Checkpoint || len(again.By) != len(c.By) {
			t.Errorf("%q: %v", c.Note, err)
		}
	})
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	good := `{"v":1,"nonce":"x","at":"y","kind":"archive.case-requested","subject":"case:1","actor":{},"data":{"case":"aa","n":1}}`
	e, err := proof.ParseEvent([]byte(good))
	if err != nil || e.Kind != "archive.case-requested" || e.Subject != "case:1" || e.Text("case") != "aa" || e.Text("n") != "" || e.Text("x") != "" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, data := range []string{``, `,"data":[]`, `,"data":{"case":"aa","case":"bb"}`, `,"data":{"Case":"aa"}`, `,"data":null`} {
		if e, err := proof.ParseEvent([]byte(`{"v":1,"kind":"x"` + data + `}`)); err != nil || e.Text("case") != "" {
			t.Errorf("%s: %+v, %v", data, e, err)
		}
	}
	if e, err := proof.ParseEvent([]byte(`{"v":1,"Kind":"x"}`)); err != nil || e.Kind != "" {
		t.Errorf("a member of another spelling: %+v, %v", e, err)
	}
	for _, bad := range []string{"", "x", "[]", "null", "1", `{"v":2}`, `{"kind":"x"}`, `{"v":1,"kind":1}`, `{"v":1,"kind":"a","kind":"b"}`, `{"v":1}{}`, `{"v":1} x`,
		`{"v":1,"kind":"` + strings.Repeat("x", 70<<10) + `"}`} {
		if _, err := proof.ParseEvent([]byte(bad)); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"a","subject":"b","data":{"case":"c"}}`))
	f.Add([]byte(`{"v":1,"data":{"case":"c","case":"d"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := proof.ParseEvent(b); err == nil {
			e.Text("case")
		}
	})
}
