package agent_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

const nextPassphrase = "quite another passphrase"

// changes changes the passphrase from one to another.
func (w *workstation) changes(t *testing.T, old, next string, after func(step string) error) (*agent.Changed, int, error) {
	t.Helper()
	a, err := agent.New(agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Now: w.clock.now,
		Passphrase: func() (string, error) { return old, nil }})
	must(t, err)
	if after != nil {
		a.SetAfter(after)
	}
	least := -1
	got, err := a.ChangePassphrase(agent.ChangeOptions{New: func(n int) (string, error) { least = n; return next, nil }})
	return got, least, err
}

// A passphrase is changed, also to a longer one that the server by now demands; the old one is good for nothing then.
func TestPassphraseChanged(t *testing.T) {
	t.Parallel()
	w := demanding(t)
	id, err := w.enrol(t, agent.EnrolOptions{Password: ownPassphrase})
	must(t, err)
	for what, c := range map[string]struct {
		old, next string
		want      error
	}{
		"a wrong old one":   {"not my passphrase", nextPassphrase, agent.ErrPassphraseWrong},
		"too short":         {ownPassphrase, "eleven char", agent.ErrPassphraseDemanded},
		"empty":             {ownPassphrase, "", agent.ErrPassphraseMissing},
		"without the older": {"", nextPassphrase, agent.ErrPassphraseMissing},
	} {
		if _, _, err := w.changes(t, c.old, c.next, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		opensWith(t, id, ownPassphrase)
	}
	w.plans[0].Signing.Passphrase = 24
	renew := func(text string) error {
		_, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true, Password: text})
		return err
	}
	if err := renew(ownPassphrase); !errors.Is(err, agent.ErrPassphraseDemanded) || !strings.Contains(err.Error(), "sealpost-agent passphrase") {
		t.Errorf("renewing with one that is too short by now: %v", err)
	}
	if _, least, err := w.changes(t, ownPassphrase, nextPassphrase[:23], nil); !errors.Is(err, agent.ErrPassphraseDemanded) || least != 24 {
		t.Errorf("23 characters of %d: %v", least, err)
	}
	got, _, err := w.changes(t, ownPassphrase, nextPassphrase, nil)
	must(t, err)
	noKeyInClear(t, w.dir)
	if !got.Sealed {
		t.Error("the keys are not under it")
	}
	opensWith(t, got.Identity, nextPassphrase)
	if err := renew(ownPassphrase); !errors.Is(err, agent.ErrPassphraseWrong) {
		t.Errorf("renewing with the old one: %v", err)
	}
	if err := renew(nextPassphrase + " not"); !errors.Is(err, agent.ErrPassphraseWrong) {
		t.Errorf("renewing with another: %v", err)
	}
	must(t, renew(nextPassphrase))
	noKeyInClear(t, w.dir)
}

// Where no passphrase is demanded, the files for mail programs get one of the person's own in place of the one that lies beside them; where
// it is demanded by now, the keys do, too.
func TestPassphraseOfFiles(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	id, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	got, _, err := w.changes(t, "", "mine", nil)
	must(t, err)
	opensWith(t, id, "mine")
	if _, err := os.Stat(filepath.Join(id.Folder, agent.PasswordFile)); !os.IsNotExist(err) || got.Sealed {
		t.Errorf("the made password: %v, sealed: %v", err, got.Sealed)
	}
	w.plans[0].Signing.Passphrase = 12
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true, Password: "mine"}); !errors.Is(err, agent.ErrPassphraseDemanded) {
		t.Errorf("renewing: %v", err)
	}
	got, _, err = w.changes(t, "", ownPassphrase, nil)
	must(t, err)
	opensWith(t, id, ownPassphrase)
	if !got.Sealed {
		t.Error("the keys are not under it")
	}
	noKeyInClear(t, w.dir)
}

// Killed anywhere, a change has happened or has not: with a request under way and one that was set aside, either the old or the new
// passphrase opens everything, and the next run clears up.
func TestPassphraseChangeKilled(t *testing.T) {
	t.Parallel()
	for _, stop := range []int{1, 2, 3, 4, 5, 10, 0} { // 0: never
		t.Run(fmt.Sprint(stop), func(t *testing.T) {
			t.Parallel()
			passphraseChangeKilled(t, stop)
		})
	}
}

func passphraseChangeKilled(t *testing.T, stop int) {
	w := demanding(t)
	id, err := w.enrol(t, agent.EnrolOptions{Password: ownPassphrase, Folder: filepath.Join(t.TempDir(), "files")})
	must(t, err)
	crash := errors.New("crash")
	for _, anew := range []bool{false, true} { // two that are begun, the first of them set aside
		a := w.agent(t, asAlice)
		a.SetAfter(func(string) error { return crash })
		if _, err := a.Enrol(t.Context(), agent.EnrolOptions{Password: ownPassphrase, Again: true, Anew: anew}); !errors.Is(err, crash) {
			t.Fatal(err)
		}
	}
	steps, step := 0, ""
	_, _, err = w.killed(t, func(s string) error {
		if steps++; steps == stop {
			step = s
			panic(crash)
		}
		return nil
	})
	if err != nil || (step == "") != (stop == 0) || stop == 0 && steps < 10 {
		t.Fatalf("stopped after %q, the %dth of %d steps: %v", step, stop, steps, err)
	}
	noKeyInClear(t, w.dir)
	good, bad := ownPassphrase, nextPassphrase
	if step != "change-state" && step != "change-files" {
		good, bad = bad, good
	}
	if _, _, err := w.changes(t, bad, "whatever it may be", nil); !errors.Is(err, agent.ErrPassphraseWrong) {
		t.Fatalf("the other passphrase: %v", err)
	}
	opensWith(t, id, good)
	for _, dir := range []string{filepath.Join(w.dir, id.Person.ID.String()), id.Folder} {
		if left, err := filepath.Glob(filepath.Join(dir, "passphrase-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	now, err := w.enrol(t, agent.EnrolOptions{Password: good}) // the request goes on
	must(t, err)
	if len(now.Pairs) != 2 || len(w.requests) != 2 {
		t.Errorf("%d pairs of %d requests", len(now.Pairs), len(w.requests))
	}
	aside, err := filepath.Glob(filepath.Join(w.dir, id.Person.ID.String(), "set-aside-*.json"))
	if err != nil || len(aside) != 1 || !agent.OpensPending(aside[0], good) {
		t.Errorf("set aside: %v, %v", aside, err)
	}
}

// killed is changes, stopped by a panic where after panics.
func (w *workstation) killed(t *testing.T, after func(string) error) (got *agent.Changed, least int, err error) {
	t.Helper()
	defer func() { _ = recover() }()
	return w.changes(t, ownPassphrase, nextPassphrase, after)
}
