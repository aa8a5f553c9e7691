package audit_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

func readFile(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	notes, err := proof.ReadKept(f)
	if err != nil {
		t.Fatal(err)
	}
	return notes
}
