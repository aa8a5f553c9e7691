package agent_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sealpost/sealpost/agent"
)

const ownPassphrase = "a passphrase of my own"

// demanding is a workstation whose server demands a passphrase of 12 characters.
func demanding(t *testing.T) *workstation {
	t.Helper()
	w := newWorkstation(t)
	w.plans[0].Signing.Passphrase, w.plans[0].Encryption.Passphrase = 12, 12
	return w
}

func TestPassphraseDemanded(t *testing.T) {
	t.Parallel()
	w := demanding(t)
	for _, text := range []string{"", "eleven char", "äöüäöüäöüäö"} {
		if _, err := w.enrol(t, agent.EnrolOptions{Password: text}); !errors.Is(err, agent.ErrPassphraseDemanded) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if len(w.requests) != 0 {
		t.Errorf("%d requests", len(w.requests))
	}
}

// Where a passphrase is demanded, no file has a private key that it does not protect; without it nothing signs, and with another one
// nothing changes.
func TestKeysUnderPassphrase(t *testing.T) {
	t.Parallel()
	w := demanding(t)
	w.wants = true
	id, err := w.enrol(t, agent.EnrolOptions{Password: ownPassphrase})
	if err != nil {
		t.Fatal(err)
	}
	if id.Signing().Key.Place() != agent.PlaceSoftware || len(w.advertised) != 1 {
		t.Errorf("key in %q, %d values signed", id.Signing().Key.Place(), len(w.advertised))
	}
	noKeyInClear(t, w.dir)
	if _, err := os.Stat(filepath.Join(id.Folder, agent.PasswordFile)); !os.IsNotExist(err) {
		t.Errorf("a password beside identity.p12: %v", err)
	}
	opensWith(t, id, ownPassphrase)
	if _, err := w.agent(t, byCertificate).Certificates(t.Context(), ""); !errors.Is(err, agent.ErrPassphraseMissing) {
		t.Errorf("asking the server without the passphrase: %v", err)
	}
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true, Password: "another passphrase"}); !errors.Is(err, agent.ErrPassphraseWrong) {
		t.Errorf("renewing with another passphrase: %v", err)
	}
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); !errors.Is(err, agent.ErrPassword) {
		t.Errorf("renewing without: %v", err)
	}
	if len(w.requests) != 1 {
		t.Errorf("%d requests", len(w.requests))
	}
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true, Password: ownPassphrase})
	if err != nil || !r.Renewed {
		t.Fatal(err)
	}
	noKeyInClear(t, w.dir)
	opensWith(t, r.Identity, ownPassphrase)
	if _, err := r.Identity.Pairs[1].Encryption.Key.PKCS8(); err != nil {
		t.Errorf("the old encryption key: %v", err)
	}
}

// Keys that were there in the clear are put under the passphrase by the renewal after the server begins to demand one.
func TestPassphraseLater(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(keysInClear(t, w.dir)) == 0 {
		t.Error("no key is found where there are some")
	}
	w.plans[0].Encryption.Passphrase = 12
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); !errors.Is(err, agent.ErrPassphraseDemanded) {
		t.Errorf("without: %v", err)
	}
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true, Password: ownPassphrase})
	if err != nil {
		t.Fatal(err)
	}
	noKeyInClear(t, w.dir)
	opensWith(t, r.Identity, ownPassphrase)
}

// Stopped anywhere, a request whose keys are under the passphrase is gone on with, given the same one.
func TestCrashWithPassphrase(t *testing.T) {
	t.Parallel()
	w := demanding(t)
	crash := errors.New("crash")
	for _, step := range agent.Steps {
		w.dir = filepath.Join(t.TempDir(), step)
		w.requests = map[string]*served{}
		a := w.agent(t, asAlice)
		a.SetAfter(func(s string) error {
			if s == step {
				return crash
			}
			return nil
		})
		if _, err := a.Enrol(t.Context(), agent.EnrolOptions{Password: ownPassphrase}); !errors.Is(err, crash) {
			t.Fatalf("%s: %v", step, err)
		}
		noKeyInClear(t, w.dir)
		id, err := w.enrol(t, agent.EnrolOptions{Password: ownPassphrase})
		if err != nil && !errors.Is(err, agent.ErrEnrolled) || len(w.requests) != 1 || len(id.Pairs) != 1 {
			t.Fatalf("%s: %v", step, err)
		}
		noKeyInClear(t, w.dir)
	}
}

// The passphrase may be asked for where a command takes no password.
func TestPassphraseAskedOnce(t *testing.T) {
	t.Parallel()
	w := demanding(t)
	if _, err := w.enrol(t, agent.EnrolOptions{Password: ownPassphrase}); err != nil {
		t.Fatal(err)
	}
	asked := 0
	a, err := agent.New(agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Now: w.clock.now,
		Passphrase: func() (string, error) { asked++; return ownPassphrase, nil }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Certificates(t.Context(), ""); err != nil {
			t.Error(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

var base64Text = regexp.MustCompile(`[A-Za-z0-9+/]{64,}={0,2}`)

func noKeyInClear(t *testing.T, dir string) {
	t.Helper()
	for _, path := range keysInClear(t, dir) {
		t.Errorf("%s has a private key in the clear", path)
	}
}

// keysInClear looks for private keys in all files of a folder: PEM, DER, and either within the base64 of JSON.
func keysInClear(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data := []byte(readFile(t, path))
		candidates := [][]byte{data}
		if block, _ := pem.Decode(data); block != nil {
			candidates = append(candidates, block.Bytes)
		}
		for _, text := range base64Text.FindAll(data, -1) {
			if der, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
				candidates = append(candidates, der)
			}
		}
		for _, c := range candidates {
			if _, err := x509.ParsePKCS8PrivateKey(c); err == nil || bytes.Contains(c, []byte("PRIVATE KEY")) {
				found = append(found, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func opensWith(t *testing.T, id *agent.Identity, text string) {
	t.Helper()
	c := exec.Command("openssl", "pkcs12", "-in", filepath.Join(id.Folder, agent.P12File), "-nocerts", "-nodes", "-passin", "env:PASSPHRASE")
	c.Env = append(os.Environ(), "PASSPHRASE="+text)
	out, err := c.CombinedOutput()
	if n := bytes.Count(out, []byte("BEGIN PRIVATE KEY")); err != nil || n < 2 {
		t.Errorf("openssl finds %d keys: %v", n, err)
	}
}
