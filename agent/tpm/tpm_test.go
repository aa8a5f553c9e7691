package tpm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/agent/tpm"
	"github.com/sealpost/sealpost/internal/tpmtest"
)

func given(text string) pin.Source {
	return pin.Source{Given: true, Read: func(string) (string, error) { return text, nil }}
}

func typed(text string) pin.Source {
	return pin.Source{Read: func(string) (string, error) { return text, nil }}
}

// Every kind of key that the TPM says it can make signs, is kept as bytes, and signs again when it is opened; openssl verifies.
func TestKinds(t *testing.T) {
	t.Parallel()
	device := tpmtest.New(t)
	place := tpm.New(tpm.Config{Address: "unix:" + device.Socket})
	able, err := place.Algorithms()
	if err != nil || !slices.Contains(able, "P-256") || !slices.Contains(able, "P-384") || slices.Contains(able, "RSA-4096") {
		t.Fatalf("%v, %v", able, err)
	}
	for _, algorithm := range able {
		blob, made, err := place.Make(algorithm, "a", 0, nil)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		for range 4 { // more than the TPM has slots, should one be left taken
			key, err := tpm.New(tpm.Config{Address: "unix:" + device.Socket}).Open("a", blob)
			if err != nil {
				t.Fatal(err)
			}
			message := []byte("message in " + algorithm)
			digest, hash := sha256.Sum256(message), "-sha256"
			signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				t.Fatalf("%s: %v", algorithm, err)
			}
			openssl(t, made.Public(), message, signature, hash)
		}
		if err := place.Remove("a", blob); err != nil {
			t.Error(err)
		}
	}
}

// RSA keys sign as TLS 1.3 wants it, too.
func TestPSS(t *testing.T) {
	t.Parallel()
	device := tpmtest.New(t)
	place := tpm.New(tpm.Config{Address: "unix:" + device.Socket})
	_, key, err := place.Make("RSA-3072", "a", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum384([]byte("message"))
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384}
	signature, err := key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(key.Public().(*rsa.PublicKey), crypto.SHA384, digest[:], signature, opts); err != nil {
		t.Error(err)
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 16), crypto.MD5); !errors.Is(err, tpm.ErrTPM) {
		t.Errorf("MD5: %v", err)
	}
}

func openssl(t *testing.T, public crypto.PublicKey, message, signature []byte, hash string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	write(t, dir, "message", message)
	write(t, dir, "signature", signature)
	run(t, dir, nil, "openssl", "dgst", hash, "-verify", "pub", "-signature", "signature", "message")
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Another program reads what the agent keeps, makes the same storage primary, and says what the TPM thinks of the key: that it
// was made there and can leave neither it nor its parent.
func TestAnotherProgramReadsTheKey(t *testing.T) {
	t.Parallel()
	device, other := tpmtest.New(t), tpmtest.New(t)
	place := tpm.New(tpm.Config{Address: "unix:" + device.Socket})
	blob, key, err := place.Make("P-256", "a", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct{ Public, Private []byte }
	if err := json.Unmarshal(blob, &kept); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "pub", sized(kept.Public))
	write(t, dir, "priv", sized(kept.Private))
	write(t, dir, "unique", bytes.Repeat(append([]byte{32, 0}, make([]byte, 128)...), 2)) // a TPMS_ECC_POINT as it lies in tpm2-tools' memory: 32 zeros each
	tools := func(device *tpmtest.TPM) []string { return []string{"TPM2TOOLS_TCTI=swtpm:path=" + device.Socket} }
	load := func(device *tpmtest.TPM) error {
		run(t, dir, tools(device), "tpm2_createprimary", "-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb", "-u", "unique", "-c", "primary",
			"-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
		run(t, dir, tools(device), "tpm2_flushcontext", "-t")
		c := exec.Command("tpm2_load", "-C", "primary", "-u", "pub", "-r", "priv", "-c", "key")
		c.Dir, c.Env = dir, append(os.Environ(), tools(device)...)
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	if err := load(other); err == nil {
		t.Error("another TPM loaded the key")
	}
	if err := load(device); err != nil {
		t.Fatal(err)
	}
	out := run(t, dir, tools(device), "tpm2_readpublic", "-c", "key", "-f", "pem", "-o", "key.pem")
	for _, want := range []string{"value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("tpm2_readpublic does not say %q:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !key.Public().(*ecdsa.PublicKey).Equal(public) {
		t.Errorf("another key: %v", err)
	}
	stranger, err := tpm.New(tpm.Config{Address: "unix:" + other.Socket}).Open("a", blob)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); !errors.Is(err, tpm.ErrKey) {
		t.Errorf("on another TPM: %v, want ErrKey", err)
	}
}

// sized puts the length in front, as the TPM has it.
func sized(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }

func TestPIN(t *testing.T) {
	t.Parallel()
	device := tpmtest.New(t)
	with := func(s pin.Source) *tpm.TPM { return tpm.New(tpm.Config{Address: "unix:" + device.Socket, PIN: s}) }
	if _, _, err := with(typed("12345")).Make("P-256", "a", 6, nil); !errors.Is(err, pin.ErrShort) {
		t.Errorf("short: %v", err)
	}
	if _, _, err := with(pin.Source{}).Make("P-256", "a", 6, nil); !errors.Is(err, pin.ErrMissing) {
		t.Errorf("none: %v", err)
	}
	blob, key, err := with(typed("123456")).Make("P-256", "a", 6, nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k crypto.Signer) error {
		_, err := k.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
		return err
	}
	if err := sign(key); err != nil {
		t.Error(err)
	}
	openWith := func(s pin.Source) crypto.Signer {
		t.Helper()
		k, err := with(s).Open("a", blob)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if err := sign(openWith(given("123456"))); err != nil {
		t.Error(err)
	}
	if err := sign(openWith(pin.Source{})); !errors.Is(err, pin.ErrMissing) {
		t.Errorf("nobody to ask: %v", err)
	}
	wrong := openWith(given("654321"))
	for range 5 { // of which the TPM hears one
		if err := sign(wrong); !errors.Is(err, pin.ErrWrong) {
			t.Errorf("wrong: %v", err)
		}
	}
	if err := sign(openWith(given("654321"))); !errors.Is(err, pin.ErrHeld) { // the next run, with the same file
		t.Errorf("the next run: %v", err)
	}
	if err := sign(openWith(typed("123456"))); err != nil {
		t.Errorf("typed by hand after a wrong one: %v", err)
	}
	counter := run(t, t.TempDir(), []string{"TPM2TOOLS_TCTI=swtpm:path=" + device.Socket}, "tpm2_getcap", "properties-variable")
	if !strings.Contains(counter, "TPM2_PT_LOCKOUT_COUNTER: 0x1\n") {
		t.Errorf("the TPM heard another number of wrong PINs than one:\n%s", counter)
	}
	lock(t, device)
	if err := sign(openWith(typed("123456"))); !errors.Is(err, pin.ErrLocked) {
		t.Errorf("locked: %v", err)
	}
}

// lock makes the TPM take no wrong PIN more than there were already.
func lock(t *testing.T, device *tpmtest.TPM) {
	t.Helper()
	run(t, t.TempDir(), []string{"TPM2TOOLS_TCTI=swtpm:path=" + device.Socket}, "tpm2_dictionarylockout", "--setup-parameters",
		"--max-tries=1", "--recovery-time=1000", "--lockout-recovery-time=1000")
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "file", nil)
	for name, address := range map[string]string{
		"no device": filepath.Join(dir, "none"), "no socket": "unix:" + filepath.Join(dir, "none"), "no server": "tcp:127.0.0.1:1", "a file": filepath.Join(dir, "file"),
	} {
		if _, err := tpm.New(tpm.Config{Address: address}).Algorithms(); !errors.Is(err, tpm.ErrAbsent) && !errors.Is(err, tpm.ErrTPM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	device := tpmtest.New(t)
	place := tpm.New(tpm.Config{Address: "unix:" + device.Socket})
	blob, _, err := place.Make("P-256", "a", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"empty": nil, "not JSON": []byte("x"), "no public half": []byte(`{"private":"AAAA"}`), "cut": blob[:len(blob)/2]} {
		if _, err := place.Open("a", damaged); !errors.Is(err, tpm.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var kept map[string]any
	if err := json.Unmarshal(blob, &kept); err != nil {
		t.Fatal(err)
	}
	other, _, err := place.Make("P-256", "a", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var second map[string]any
	if err := json.Unmarshal(other, &second); err != nil {
		t.Fatal(err)
	}
	kept["private"] = second["private"]
	mixed, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	key, err := place.Open("a", mixed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); !errors.Is(err, tpm.ErrKey) {
		t.Errorf("halves of two keys: %v", err)
	}
}
