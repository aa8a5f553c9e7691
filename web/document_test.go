package web_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/web"
)

func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }

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

// document is what the test reads of the served document.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Tags        []string
		Security    []map[string][]string
		Parameters  []struct{ Name, In, Description string }
		Responses   map[string]struct{ Content map[string]json.RawMessage }
	}
	Components struct{ SecuritySchemes map[string]json.RawMessage }
}

// Every operation of the document answers, says who may come in, and every route is in the document.
func TestDocumentAndHandlersAgree(t *testing.T) {
	r := setup(t)
	served := r.ask(t, as{}, "GET", "/openapi.json", nil)
	made, err := web.Document()
	must(t, err)
	if served.status != 200 || !bytes.Equal(served.body, made) || served.header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v", served.status, served.header)
	}
	a := as{header: http.Header{"If-None-Match": {served.header.Get("ETag")}}}
	if again := r.ask(t, a, "GET", "/openapi.json", nil); again.status != 304 {
		t.Errorf("unchanged document: status %d", again.status)
	}
	var d document
	must(t, json.Unmarshal(served.body, &d))
	if d.OpenAPI != "3.1.0" || len(d.Components.SecuritySchemes) != 5 {
		t.Errorf("OpenAPI %s, %d security schemes", d.OpenAPI, len(d.Components.SecuritySchemes))
	}
	routes := []string{"GET " + api.Base + "/openapi.json"}
	public := []string{}
	fill := strings.NewReplacer("{id}", uuid.NewString(), "{issuer}", "issuing", "{serial}", "4f1d0c2b3a495867")
	for path, methods := range d.Paths {
		for method, op := range methods {
			method = strings.ToUpper(method)
			routes = append(routes, method+" "+path)
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || op.Security == nil || len(op.Responses) < 3 {
				t.Errorf("%s %s: something is missing: %+v", method, path, op)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s is not described", op.OperationID, p.Name)
				}
			}
			at := r.API + fill.Replace(path)
			anonymous := r.ask(t, as{}, method, at, nil)
			if len(op.Security) == 0 {
				public = append(public, op.OperationID)
				if anonymous.status == 401 || anonymous.status >= 500 {
					t.Errorf("%s: nobody: status %d", op.OperationID, anonymous.status)
				}
				continue
			}
			if anonymous.status != 401 || anonymous.code(t) != "credentials-missing" {
				t.Errorf("%s: nobody: status %d", op.OperationID, anonymous.status)
			}
			// What it answers a registrar who sends nothing is an answer of its own, in the document (CheckAnswer).
			if got := r.ask(t, person("rita"), method, at, nil); got.status == 401 || got.status == 405 || got.status >= 500 {
				t.Errorf("%s: a registrar: status %d, %s", op.OperationID, got.status, got.body)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(public)
	if diff := cmp.Diff(routes, web.Routes(r.Server)); diff != "" {
		t.Errorf("document and routes: %s", diff)
	}
	if diff := cmp.Diff([]string{"getCRL", "getHealth", "getIssuer", "getSignIn", "listIssuers"}, public); diff != "" {
		t.Errorf("public operations: %s", diff)
	}
}
