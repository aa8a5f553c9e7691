package keys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/keys"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	secret, u := []byte("a seed of 32 bytes, more or less"), keys.Unlock("correct horse")
	path := filepath.Join(t.TempDir(), "wrapping.key")
	if err := keys.WriteSecret(path, secret, "wrapping", u); err != nil {
		t.Fatal(err)
	}
	if err := keys.WriteSecret(path, secret, "wrapping", u); !errors.Is(err, keys.ErrExists) {
		t.Errorf("written twice: %v", err)
	}
	got, err := keys.ReadSecret(path, "wrapping", u)
	if err != nil || !bytes.Equal(got, secret) {
		t.Errorf("read back: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, secret) {
		t.Errorf("the file holds the secret, %v", err)
	}
	sealed, err := keys.SealSecret(secret, "wrapping", u)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for _, c := range []struct {
		what   string
		sealed []byte
		label  string
		u      keys.Unlock
		want   error
	}{
		{"another passphrase", sealed, "wrapping", keys.Unlock("wrong"), keys.ErrPassphrase},
		{"another label", sealed, "exchange", u, keys.ErrPassphrase},
		{"altered", altered, "wrapping", u, keys.ErrPassphrase},
		{"cut off", sealed[:20], "wrapping", u, keys.ErrNotKey},
		{"nothing", nil, "wrapping", u, keys.ErrNotKey},
		{"no passphrase", sealed, "wrapping", nil, keys.ErrNoUnlock},
		{"a version to come", append([]byte{2}, sealed[1:]...), "wrapping", u, keys.ErrNotKey},
	} {
		if _, err := keys.UnsealSecret(c.sealed, c.label, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReadSecret(path, "wrapping", u); !errors.Is(err, keys.ErrPermissions) {
		t.Errorf("a file that others read: %v", err)
	}
}
