package agent_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/pkcs12"
)

// What the agent would do on Windows, with a stand-in for it: each key is brought in once, and missing trust is told, not given.
func TestWindowsStore(t *testing.T) {
	t.Parallel()
	w, id := realWorkstation(t, agent.EnrolOptions{})
	added := 0
	store := &agent.Recorded{}
	store.Add = func(p12 []byte, password string) error {
		entries, _, err := pkcs12.Decode(p12, password)
		if err != nil || len(entries) != 1 {
			return fmt.Errorf("%d keys, %w", len(entries), err)
		}
		added++
		store.WithKeys = append(store.WithKeys, entries[0].Certificate.Raw)
		return nil
	}
	for range 2 {
		notes, err := agent.FillWindows(store, id)
		if err != nil || added != 2 || len(notes) != 1 || !strings.Contains(notes[0], "does not trust the root") {
			t.Fatalf("%d added, notes %q, %v", added, notes, err)
		}
	}
	store.Roots = [][]byte{w.pki.root.Raw}
	if notes, err := agent.FillWindows(store, id); err != nil || len(notes) != 0 {
		t.Errorf("trusted: %q, %v", notes, err)
	}
	for name, add := range map[string]func([]byte, string) error{
		"refuses":        func([]byte, string) error { return errors.New("access denied") },
		"keeps no thing": func([]byte, string) error { return nil },
	} {
		if _, err := agent.FillWindows(&agent.Recorded{Add: add}, id); !errors.Is(err, agent.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same for macOS and its program "security": the password goes through its input, which the words of a command line never do.
func TestKeychain(t *testing.T) {
	t.Parallel()
	_, id := realWorkstation(t, agent.EnrolOptions{})
	password, err := id.GeneratedPassword()
	must(t, err)
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
			entries, _ := decode(t, words[1], password)
			if takes {
				have = append(have, fmt.Sprintf("  1) %X \"%s\"", sha1.Sum(entries[0].Certificate.Raw), entries[0].Name))
			}
			return "1 identity imported.", nil
		}
		return "", fmt.Errorf("security %q", args)
	}
	k := agent.Keychain{Path: "/Volumes/alice/my keys.keychain-db"}
	for range 2 {
		notes, err := agent.FillKeychain(t.Context(), k, run, id)
		if err != nil || len(imports) != 2 || len(notes) != 1 || !strings.Contains(notes[0], "does not trust the root") {
			t.Fatalf("%q, notes %q, %v", imports, notes, err)
		}
	}
	want := fmt.Sprintf(`"import" "%s" "-f" "pkcs12" "-P" "%s" "-k" "/Volumes/alice/my keys.keychain-db" "-T" "/System/Applications/Mail.app"`,
		filepath.Join(id.Folder, "gpgsm", "01.p12"), password)
	if !strings.HasPrefix(imports[0], want) || strings.Count(imports[0], "\n") != 1 {
		t.Errorf("told: %s", imports[0])
	}
	trusted = true
	if notes, err := agent.FillKeychain(t.Context(), k, run, id); err != nil || len(notes) != 0 {
		t.Errorf("trusted: %q, %v", notes, err)
	}
	have, takes = nil, false
	if _, err := agent.FillKeychain(t.Context(), k, run, id); !errors.Is(err, agent.ErrStore) || strings.Contains(err.Error(), password) {
		t.Errorf("a locked one: %v", err)
	}
}

// Asked for where they are not, they say so.
func TestOtherSystemsStores(t *testing.T) {
	t.Parallel()
	w, _ := realWorkstation(t, agent.EnrolOptions{})
	got, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{Keychain: &agent.Keychain{}, Windows: &agent.Windows{}}})
	if !errors.Is(err, agent.ErrProgram) || len(got) != 2 || got[0].Store != "keychain" || got[1].Store != "windows" || got[0].Code != "program-missing" || got[1].Code != "program-missing" {
		t.Errorf("%+v, %v", got, err)
	}
}
