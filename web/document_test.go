package web_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/web"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write the OpenAPI document anew")

const committed = "../api/openapi.json"

func TestDocumentIsCommitted(t *testing.T) {
	t.Parallel()
	made, err := web.Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, made) {
		t.Errorf("%s is not what the code says: run go generate ./web\n%s", committed, cmp.Diff(string(have), string(made)))
	}
}
