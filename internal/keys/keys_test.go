package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
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

var secret = keys.Unlock("correct horse battery staple")

func TestFileKeys(t *testing.T) {
	t.Parallel()
	for _, a := range []keys.Algorithm{keys.P256, keys.P384, keys.RSA3072, keys.Ed25519} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k.key")
			made, err := keys.Create(t.Context(), "file:"+path, a, secret)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := keys.Open(t.Context(), path, secret)
			if err != nil {
				t.Fatal(err)
			}
			if !made.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(opened.Public()) {
				t.Error("another key came back")
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			// openssl judges the format and the work factor.
			out, err := exec.Command("openssl", "asn1parse", "-in", path).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "aes-256-cbc") || !strings.Contains(string(out), ":0927C0") {
				t.Errorf("openssl asn1parse: %v\n%s", err, out) // 0x0927C0 = 600,000
			}
			out, err = exec.Command("openssl", "pkey", "-in", path, "-passin", "pass:"+string(secret), "-noout", "-check").CombinedOutput()
			if err != nil {
				t.Errorf("openssl pkey: %v\n%s", err, out)
			}
		})
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "k.key")
	if _, err := keys.Create(t.Context(), path, keys.P256, secret); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := keys.Create(t.Context(), path, keys.P256, secret); !errors.Is(err, keys.ErrExists) {
		t.Errorf("got %v", err)
	}
	dangling := filepath.Join(dir, "dangling.key")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Create(t.Context(), dangling, keys.P256, secret); !errors.Is(err, keys.ErrExists) {
		t.Errorf("through a link: %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("the file changed")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.key")
	if _, err := keys.Create(t.Context(), good, keys.P256, secret); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(good)
	write := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	clearKey, err := exec.Command("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, uri string
		unlock    keys.Unlock
		want      error
	}{
		{"missing", filepath.Join(dir, "missing.key"), secret, keys.ErrMissing},
		{"wrong passphrase", good, keys.Unlock("wrong"), keys.ErrPassphrase},
		{"no passphrase", good, nil, keys.ErrNoUnlock},
		{"readable by others", write("open.key", text, 0o604), secret, keys.ErrPermissions},
		{"writable by the group", write("group.key", text, 0o620), secret, keys.ErrPermissions},
		{"not a key", write("garbage.key", []byte("hello"), 0o600), secret, keys.ErrNotKey},
		{"empty", write("empty.key", nil, 0o600), secret, keys.ErrNotKey},
		{"cut off", write("cut.key", text[:len(text)/2], 0o600), secret, keys.ErrNotKey},
		{"something behind", write("twice.key", append(bytes.Clone(text), text...), 0o600), secret, keys.ErrNotKey},
		{"too large", write("large.key", bytes.Repeat([]byte("a"), 65<<10), 0o600), secret, keys.ErrNotKey},
		{"in clear", write("clear.key", clearKey, 0o600), secret, keys.ErrNotInClear},
		{"a folder", dir, secret, keys.ErrNotKey},
		{"no address", "", secret, keys.ErrURI},
		{"cloud", "awskms:key-id=1", secret, keys.ErrURI},
		{"PIN in the address", "pkcs11:token=x;object=y?pin-value=1234", nil, keys.ErrURI},
	} {
		if _, err := keys.Open(t.Context(), c.uri, c.unlock); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := keys.Open(t.Context(), write("by-group.key", text, 0o640), secret); err != nil {
		t.Errorf("readable by its group: %v", err)
	}
	if _, err := keys.Create(t.Context(), filepath.Join(dir, "n.key"), "P-521", secret); !errors.Is(err, keys.ErrAlgorithm) {
		t.Errorf("unknown algorithm: %v", err)
	}
	if _, err := keys.Create(t.Context(), filepath.Join(dir, "n.key"), keys.P256, nil); !errors.Is(err, keys.ErrNoUnlock) {
		t.Errorf("without passphrase: %v", err)
	}
	if _, err := keys.Create(t.Context(), filepath.Join(dir, "no", "n.key"), keys.P256, secret); !errors.Is(err, keys.ErrMissing) {
		t.Errorf("no such folder: %v", err)
	}
}

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
	pin := keys.Unlock("5678")
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
		digest := sha256.Sum256([]byte("message"))
		sig, err := opened.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !verify(made.Public(), digest[:], sig) {
			t.Errorf("%s: signature: %v", a, err)
		}
	}
	for name, c := range map[string]struct {
		uri string
		pin keys.Unlock
	}{
		"no such key":    {"pkcs11:module-path=" + module + ";token=sealpost;object=none", pin},
		"no such token":  {"pkcs11:module-path=" + module + ";token=other;object=none", pin},
		"no such module": {"pkcs11:module-path=/nowhere.so;token=sealpost;object=none", pin},
		"wrong PIN":      {"pkcs11:module-path=" + module + ";token=sealpost;object=P-256", keys.Unlock("0000")},
	} {
		if _, err := keys.Open(t.Context(), c.uri, c.pin); !errors.Is(err, keys.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Last: a PIN is the process's, and is not asked for again.
	agreement(t, "pkcs11:module-path="+module+";token=sealpost;id=0a;object=opens", pin)
}

func verify(pub crypto.PublicKey, digest, sig []byte) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, digest, sig)
	default:
		return false
	}
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
