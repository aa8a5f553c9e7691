package agent_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/internal/fault"
)

func TestDamagedState(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, id.Person.ID.String(), "identity.json")
	good := readFile(t, path)
	for name, text := range map[string]string{
		"empty":         "",
		"torn":          good[:len(good)/2],
		"not JSON":      "hello",
		"two":           good + good,
		"newer":         strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		"no version":    strings.Replace(good, `"version": 1`, `"version": 0`, 1),
		"unknown field": strings.Replace(good, `"version": 1`, `"version": 1, "later": true`, 1),
		"nobody":        strings.Replace(good, id.Person.ID.String(), uuid.Nil.String(), 1),
		"no pairs":      good[:strings.Index(good, `"pairs"`)] + `"pairs": []}`,
		"key damaged":   strings.Replace(good, `"key": "M`, `"key": "N`, 1),
	} {
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		write(t, path, []byte(text))
		_, err := w.agent(t, asAlice).Identities()
		if f := fault.Of(err); f == nil || f.Code != agent.ErrState.Code || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ErrState with the path", name, err)
		}
		if _, err := w.enrol(t, agent.EnrolOptions{Again: true}); !errors.Is(err, agent.ErrState) {
			t.Errorf("%s: enrolling over it: %v, want ErrState", name, err)
		}
		if readFile(t, path) != text {
			t.Errorf("%s: the damaged file was written over", name)
		}
	}
	if len(w.requests) != 1 {
		t.Errorf("the server got %d requests", len(w.requests))
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	dir := filepath.Join(t.TempDir(), "state")
	if s, err := agent.LoadSettings(dir); s != nil || err != nil {
		t.Errorf("no settings: %+v, %v", s, err)
	}
	want := agent.Settings{Version: 1, Server: "https://ca.example.test", Roots: "Our root:\n" + string(pemOf(p.root))}
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := agent.LoadSettings(dir)
	if diff := cmp.Diff(&want, got); err != nil || diff != "" {
		t.Errorf("settings: %v %s", err, diff)
	}
	for name, roots := range map[string]string{
		"none": "", "no PEM": "hello", "a key": "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
		"garbage": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "too many": strings.Repeat(string(pemOf(p.root)), 102),
	} {
		if err := (agent.Settings{Roots: roots}).Save(dir); !errors.Is(err, agent.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	if got, err := agent.LoadSettings(dir); err != nil || cmp.Diff(&want, got) != "" {
		t.Errorf("settings %+v, %v", got, err)
	}
}

func TestStrangersInTheFolder(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backup", strings.ToUpper(uuid.NewString()), "{" + uuid.NewString() + "}"} {
		if err := os.Mkdir(filepath.Join(w.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(w.dir, name, "identity.json"), []byte("hello"))
	}
	ids, err := w.agent(t, asAlice).Identities()
	if err != nil || len(ids) != 1 {
		t.Errorf("%d identities, %v", len(ids), err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	leaf, err := x509.ParseCertificate(p.issue(t, template{name: "Alice", now: start}, ecKey(t).Public()))
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]agent.Config{
		"no folder":  {Anchors: []*x509.Certificate{p.root}},
		"no anchors": {Dir: t.TempDir()},
		"a leaf":     {Dir: t.TempDir(), Anchors: []*x509.Certificate{p.root, leaf}},
	} {
		if _, err := agent.New(cfg); !errors.Is(err, agent.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}

// FuzzState: whatever is in the agent's files, reading them ends in a value that can be written and read again, or in a
// fault.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"server":"https://ca.example.test","as":"login alice","name":"n","begun_at":"2026-11-23T09:00:00Z","person":{"id":"0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f","name":"Alice","mailboxes":["alice@example.test"]},"renew_after":0.75,"folder":"f","stores":{"nss":{"dir":"d"}},"prefer":{},"enrolment":"smime","signing_key":"MAA=","signing_csr":"MAA=","nonce_ends":"2026-11-23T10:00:00Z"}`))
	f.Add([]byte(`{"version":1,"server":"s","person":{"id":"0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f","name":"","mailboxes":null},"renew_after":1e308,"folder":"","stores":{},"prefer":{},"pairs":[{"enrolment":"e","name":"n","request":"0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f","kept_at":"2026-11-23T09:00:00Z","signing":{"issuer":"i","serial":"1","certificate":"MAA=","chain":["MAA="]}}]}`))
	f.Add([]byte(`{"version":1} {}`))
	f.Add(wholeIdentity(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := agent.DecodePending(data); err != nil && fault.Of(err) == nil {
			t.Errorf("pending: %v is no fault", err)
		}
		if err := agent.DecodeSettings(data); err != nil && fault.Of(err) == nil {
			t.Errorf("settings: %v is no fault", err)
		}
		if err := agent.DecodeRestore(data); err != nil && fault.Of(err) == nil {
			t.Errorf("restore: %v is no fault", err)
		}
		if err := agent.ReadMessage("transfer-"+string(data), data); err != nil && fault.Of(err) == nil {
			t.Errorf("message: %v is no fault", err)
		}
		id, err := agent.DecodeIdentity(data)
		if err != nil {
			if fault.Of(err) == nil {
				t.Errorf("identity: %v is no fault", err)
			}
			return
		}
		if _, err := id.Due(); err != nil {
			t.Errorf("due: %v", err)
		}
		again, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := agent.DecodeIdentity(again); err != nil {
			t.Errorf("not read again: %v", err)
		}
	})
}

// wholeIdentity is a file as the agent writes it.
func wholeIdentity(f *testing.F) []byte {
	f.Helper()
	cert := selfSigned(f)
	id := agent.Identity{Version: 1, Person: agent.Person{ID: uuid.New()}, RenewAfter: 0.75,
		Pairs: []agent.Pair{{Enrolment: "smime", Signing: &agent.Held{Serial: "01", Certificate: cert, Chain: [][]byte{cert}}}}}
	data, err := json.Marshal(id)
	if err != nil {
		f.Fatal(err)
	}
	return data
}
