package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
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
