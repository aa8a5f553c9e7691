package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// files is a folder for the programs that judge what the server answers.
type files struct {
	t   testing.TB
	dir string
}

func newFiles(t testing.TB) files { return files{t, t.TempDir()} }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) write(name string, content []byte) string {
	f.t.Helper()
	must(f.t, os.WriteFile(f.path(name), content, 0o600))
	return f.path(name)
}

func pemOf(der ...[]byte) []byte { return pkitest.PEM(der...) }

func tryRun(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	return string(out), err
}

func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := tryRun(t, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
	return out
}

// proves checks, with the checkpoint's key and the receipt alone, that a deposit is in the audit log.
func (r *rig) proves(t *testing.T, receipt api.Receipt, p api.ReceiptProof) {
	t.Helper()
	signed, err := record.ParseReceipt(receipt.Signed)
	must(t, err)
	if string(signed.AuditLeaf[:]) != string(p.LeafHash) {
		t.Error("the proof is of another leaf than the receipt's")
	}
	key, err := note.NewVerifier(r.Audit.VerifierKey())
	must(t, err)
	c, err := proof.Open([]byte(p.Checkpoint), note.VerifierList(key))
	must(t, err)
	var hashes tlog.RecordProof
	for _, h := range p.Hashes {
		hashes = append(hashes, tlog.Hash(h))
	}
	if err := tlog.CheckRecord(hashes, c.Size, c.Root, p.Index, tlog.Hash(p.LeafHash)); err != nil || c.Size != p.Size {
		t.Errorf("%v; sizes %d and %d", err, c.Size, p.Size)
	}
}

func (f files) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	must(f.t, err)
	return b
}
