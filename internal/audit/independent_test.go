package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/pgtest"
)

// openssl verifies a checkpoint, and PostgreSQL's own SHA-256 gives the hashes of events and the root of a small tree: what
// an auditor can do who trusts none of our programs.
func TestIndependentPrograms(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	l := newLog(t, db)
	add(t, db, "ca", registrar, events(3)...)
	sequence(t, l, 3)
	msg, err := l.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	text, signature, ok := bytes.Cut(msg, []byte("\n\n— "+logName+" "))
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signature)))
	if !ok || err != nil || len(sig) != 4+ed25519.SignatureSize {
		t.Fatalf("%q: %v", msg, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(newKey(1).Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"text": append(text, '\n'), "sig": sig[4:],
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text", "-sigfile", "sig")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}

	if n := d.Count(t, `select count(*) from audit.event e join audit.leaf l on l.event = e.id
		where l.hash = sha256('\x00'::bytea || convert_to(e.body, 'UTF8'))`); n != 3 {
		t.Errorf("PostgreSQL finds %d of 3 hashes right", n)
	}
	if n := d.Count(t, `with leaf as (select array_agg(sha256('\x00'::bytea || convert_to(e.body, 'UTF8')) order by idx) h
			from audit.event e join audit.leaf l on l.event = e.id)
		select count(*) from leaf, audit.checkpoint c
		where split_part(c.note, E'\n', 3) = encode(sha256('\x01'::bytea || sha256('\x01'::bytea || h[1] || h[2]) || h[3]), 'base64')`); n != 1 {
		t.Error("PostgreSQL finds another root")
	}
}
