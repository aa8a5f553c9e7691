package store_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

// What the agent would do on Windows, with a stand-in for it: each key is brought in once, and missing trust is told, not given.
func TestWindowsStore(t *testing.T) {
	t.Parallel()
	d := someKeys(t)
	added := 0
	windows := &store.Recorded{}
	windows.Add = func(p12 []byte, password string) error {
		entries, _, err := pkcs12.Decode(p12, password)
		if err != nil || len(entries) != 1 {
			return fmt.Errorf("%d keys, %w", len(entries), err)
		}
		added++
		windows.WithKeys = append(windows.WithKeys, entries[0].Certificate.Raw)
		return nil
	}
	for range 2 {
		out, err := store.FillWindows(windows, d)
		if err != nil || added != 2 || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "does not trust the root") {
			t.Fatalf("%d added, notes %q, %v", added, out.Notes, err)
		}
	}
	windows.Roots = [][]byte{d.Roots[0].Raw}
	if out, err := store.FillWindows(windows, d); err != nil || len(out.Notes) != 0 {
		t.Errorf("trusted: %q, %v", out.Notes, err)
	}
	for name, add := range map[string]func([]byte, string) error{
		"refuses":        func([]byte, string) error { return errors.New("access denied") },
		"keeps no thing": func([]byte, string) error { return nil },
	} {
		if _, err := store.FillWindows(&store.Recorded{Add: add}, d); !errors.Is(err, store.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same for macOS and its program "security": the password goes through its input, which the words of a command line never do.
func TestKeychain(t *testing.T) {
	t.Parallel()
	d := someKeys(t)
	password := d.Password
	var have, imports []string
	takes, trusted := true, false
	run := func(_ context.Context, input string, args ...string) (string, error) {
		if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, password) }) {
			t.Errorf("the password is among %q", args)
		}
		switch args[0] {
		case "find-identity":
			return "Policy: X.509 Basic\n  Matching identities\n" + strings.Join(have, "\n"), nil
		case "verify-cert":
			if trusted {
				return "...certificate verification successful.", nil
			}
			return "", errors.New("CSSMERR_TP_NOT_TRUSTED")
		case "-i":
			imports = append(imports, input)
			words := strings.Split(input, `" "`)
			content, err := os.ReadFile(words[1])
			if err != nil {
				t.Error(err)
			}
			entries, _, err := pkcs12.Decode(content, password)
			if err != nil || len(entries) != 1 {
				return "", fmt.Errorf("%d keys, %w", len(entries), err)
			}
			if takes {
				have = append(have, fmt.Sprintf("  1) %X \"%s\"", sha1.Sum(entries[0].Certificate.Raw), entries[0].Name))
			}
			return "1 identity imported.", nil
		}
		return "", fmt.Errorf("security %q", args)
	}
	k := store.Keychain{Path: "/Volumes/alice/my keys.keychain-db"}
	for range 2 {
		out, err := store.FillKeychain(t.Context(), k, run, d)
		if err != nil || len(imports) != 2 || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "does not trust the root") {
			t.Fatalf("%q, notes %q, %v", imports, out.Notes, err)
		}
	}
	want := fmt.Sprintf(`"import" "%s" "-f" "pkcs12" "-P" "%s" "-k" "/Volumes/alice/my keys.keychain-db" "-T" "/System/Applications/Mail.app"`,
		d.Single[0], password)
	if !strings.HasPrefix(imports[0], want) || strings.Count(imports[0], "\n") != 1 {
		t.Errorf("told: %s", imports[0])
	}
	trusted = true
	if out, err := store.FillKeychain(t.Context(), k, run, d); err != nil || len(out.Notes) != 0 {
		t.Errorf("trusted: %q, %v", out.Notes, err)
	}
	have, takes = nil, false
	if _, err := store.FillKeychain(t.Context(), k, run, d); !errors.Is(err, store.ErrStore) || strings.Contains(err.Error(), password) {
		t.Errorf("a locked one: %v", err)
	}
}

// Asked for where they are not, they say so.
func TestOtherSystemsStores(t *testing.T) {
	t.Parallel()
	d := someKeys(t)
	for _, s := range []store.Store{store.Keychain{}, store.Windows{}} {
		if _, err := s.Install(t.Context(), d); !errors.Is(err, store.ErrProgram) || fault.Of(err).Code != "program-missing" {
			kind, _ := s.Name()
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// someKeys are two keys in files, under a root of their own.
func someKeys(t *testing.T) store.Keys {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	rootKey, root := issue(t, "Root", now, nil, nil)
	d := store.Keys{Chain: filepath.Join(dir, "chain.pem"), Password: "a-password-of-the-file", Roots: []*x509.Certificate{root}}
	write := func(path string, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(d.Chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
	for _, name := range []string{"signing", "encryption"} {
		key, cert := issue(t, name, now, root, rootKey)
		p12, err := pkcs12.Encode([]pkcs12.Entry{{Key: key, Certificate: cert, Name: name}}, d.Roots, d.Password, pkcs12.Compatibility)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".p12")
		write(file, p12)
		d.Certificates, d.Single = append(d.Certificates, cert), append(d.Single, file)
	}
	return d
}

// issue makes a key and its certificate; without an issuer it is a root.
func issue(t *testing.T, name string, now time.Time, issuer *x509.Certificate, by crypto.Signer) (crypto.Signer, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: issuer == nil}
	if issuer == nil {
		issuer, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
