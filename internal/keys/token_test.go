//go:build cgo

package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/keys"
)

// TestToken runs against SoftHSM. Its configuration is found through the environment, so this test is not parallel.
func TestToken(t *testing.T) {
	if testing.Short() {
		t.Skip("needs SoftHSM; not run with -short")
	}
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "sealpost", "--so-pin", "12345678", "--pin", "5678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	t.Cleanup(keys.Disconnect)
	pin := keys.Unlock("5678")
	refuses := func(when string) {
		t.Helper()
		for name, c := range map[string]struct {
			uri  string
			pin  keys.Unlock
			want error
		}{
			"no such key":    {"pkcs11:module-path=" + module + ";token=sealpost;object=none", pin, keys.ErrToken},
			"no such token":  {"pkcs11:module-path=" + module + ";token=other;object=none", pin, keys.ErrToken},
			"no such module": {"pkcs11:module-path=/nowhere.so;token=sealpost;object=none", pin, keys.ErrToken},
			"wrong PIN":      {"pkcs11:module-path=" + module + ";token=sealpost;object=P-256", keys.Unlock("0000"), keys.ErrToken},
			"no PIN":         {"pkcs11:module-path=" + module + ";token=sealpost;object=P-256", nil, keys.ErrNoUnlock},
			"PIN in address": {"pkcs11:module-path=" + module + ";token=sealpost;object=P-256?pin-value=5678", pin, keys.ErrURI},
		} {
			if _, err := keys.Open(t.Context(), c.uri, c.pin); !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v", name, when, err)
			}
		}
	}
	refuses("before it is open")
	var signer crypto.Signer
	for id, a := range []keys.Algorithm{keys.P256, keys.P384, keys.RSA3072} {
		uri := fmt.Sprintf("pkcs11:module-path=%s;token=sealpost;id=%02x;object=%s", module, id+1, a)
		made, err := keys.Create(t.Context(), uri, a, pin)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		if _, err := keys.Create(t.Context(), uri, a, pin); !errors.Is(err, keys.ErrExists) {
			t.Errorf("%s: created twice: %v", a, err)
		}
		opened, err := keys.Open(t.Context(), uri, pin)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		signer = opened
		digest := sha256.Sum256([]byte("message"))
		sig, err := opened.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !verify(made.Public(), digest[:], sig) {
			t.Errorf("%s: signature: %v", a, err)
		}
	}
	refuses("when it is open")
	digest := sha256.Sum256([]byte("message"))
	if sig, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || !verify(signer.Public(), digest[:], sig) {
		t.Errorf("a key that was open before the refusals: %v", err)
	}
	agreement(t, "pkcs11:module-path="+module+";token=sealpost;id=0a;object=opens", pin)
}

// agreement demands of a key on a token that it opens what the standard library's other half sealed, that it signs its own
// request, and that the token does not give it out.
func agreement(t *testing.T, uri string, pin keys.Unlock) {
	t.Helper()
	if _, err := keys.CreateDecryption(t.Context(), uri, pin); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.CreateDecryption(t.Context(), uri, pin); !errors.Is(err, keys.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	key, err := keys.OpenDecryption(t.Context(), uri, pin)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	if sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || !verify(key.Public(), digest[:], sig) {
		t.Errorf("signature: %v", err)
	}
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	want, err := other.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	token, ok := key.(interface {
		ECDH(*ecdh.PublicKey) ([]byte, error)
	})
	if !ok {
		t.Fatalf("a %T does not agree on keys", key)
	}
	for range 3 {
		if got, err := token.ECDH(other.PublicKey()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("agreement: %v", err)
		}
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.ECDH(x.PublicKey()); !errors.Is(err, keys.ErrAlgorithm) {
		t.Errorf("another curve: %v", err)
	}
	for name, bad := range map[string]string{
		"no such key": uri + "x", "no module": "pkcs11:token=sealpost;id=0a;object=opens", "no token": "pkcs11:module-path=/x.so;id=0a;object=opens",
		"no id": strings.Replace(uri, "id=0a;", "", 1), "no such module": strings.Replace(uri, "module-path=", "module-path=/nowhere", 1),
		"another token": strings.Replace(uri, "token=sealpost", "token=other", 1),
	} {
		if _, err := keys.OpenDecryption(t.Context(), bad, pin); !errors.Is(err, keys.ErrToken) && !errors.Is(err, keys.ErrURI) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
