package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// One event is proven by two files and a key, without a server; and nothing else is.
func TestAuditProve(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := proof.NewSigner("test.example/audit", key)
	must(t, err)
	_, other, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	stranger, err := proof.NewSigner("test.example/audit", other)
	must(t, err)
	body := []byte(`{"v":1,"nonce":"AAAAAAAAAAAAAAAAAAAAAA","at":"2026-12-01T09:30:00.000000Z","kind":"certificate.issued","actor":{"method":"system","strength":"none"}}`)
	checkpoint, err := proof.Checkpoint{Origin: "test.example/audit", Size: 1, Root: proof.LeafHash(body)}.Sign(signer)
	must(t, err)
	text, err := proof.Inclusion{Checkpoint: checkpoint}.MarshalText()
	must(t, err)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		return filepath.Join(dir, name)
	}
	event, inclusion := write("event.json", body), write("event.tlog-proof", text)
	run := func(args ...string) (string, error) {
		c := auditProveCommand()
		var out bytes.Buffer
		c.SetArgs(args)
		c.SetOut(&out)
		c.SetErr(&out)
		err := c.Execute()
		return out.String(), err
	}
	said, err := run(event, inclusion, "--key", signer.VerifierKey())
	if err != nil || !strings.Contains(said, "The event 0 (certificate.issued) is among the first 1 of test.example/audit") {
		t.Errorf("%q, %v", said, err)
	}
	for what, args := range map[string][]string{
		"an altered event": {write("altered.json", bytes.Replace(body, []byte("issued"), []byte("revoked"), 1)), inclusion, "--key", signer.VerifierKey()},
		"another key":      {event, inclusion, "--key", stranger.VerifierKey()},
		"no key":           {event, inclusion},
		"nonsense as key":  {event, inclusion, "--key", "x"},
		"no proof":         {event, event, "--key", signer.VerifierKey()},
		"no file":          {event, filepath.Join(dir, "none"), "--key", signer.VerifierKey()},
		"a huge file":      {write("huge.json", make([]byte, 1<<20)), inclusion, "--key", signer.VerifierKey()},
	} {
		if said, err := run(args...); err == nil {
			t.Errorf("%s: %q", what, said)
		}
	}
}
