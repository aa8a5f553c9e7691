package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
)

var parameter = regexp.MustCompile(`\\\{[^/]*?\\\}`)

// documented returns the operations of the OpenAPI document ("GET /issuers/{id}"), each with what its requests look like.
func documented(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "api", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Servers []struct{ URL string }
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	out := map[string]*regexp.Regexp{}
	for path, operations := range document.Paths {
		short := strings.TrimPrefix(path, api.Base)
		for method := range operations {
			if method = strings.ToUpper(method); slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}, method) {
				out[method+" "+short] = regexp.MustCompile("^" + method + " " + parameter.ReplaceAllString(regexp.QuoteMeta(api.Base+short), "[^/]+") + "$")
			}
		}
	}
	return out
}

// Every method asks for something that the document has, and everything that the document has is asked for by a method.
func TestMethodsAreTheDocumentsOperations(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.Path)
		answer(w, http.StatusOK, struct{}{})
	}, func(cfg *client.Config) { cfg.Retries = -1 })
	operations := documented(t)
	reached := map[string]bool{}
	value := reflect.ValueOf(c)
	for i := range value.NumMethod() {
		name := value.Type().Method(i).Name
		if name == "Close" {
			continue
		}
		asked = nil
		invoke(t, name, value.Method(i))
		mu.Lock()
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		for _, request := range asked {
			known := false
			for operation, pattern := range operations {
				if pattern.MatchString(request) {
					known, reached[operation] = true, true
				}
			}
			if !known {
				t.Errorf("%s asks for %s, which is not in the document", name, request)
			}
		}
		mu.Unlock()
	}
	for operation := range operations {
		if !reached[operation] {
			t.Errorf("no method asks for %s", operation)
		}
	}
}

// invoke calls a method with sample arguments. What it returns is of no interest, but lists are asked for.
func invoke(t *testing.T, name string, method reflect.Value) {
	t.Helper()
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		in := method.Type().In(i)
		switch {
		case in == reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(t.Context()))
		case in == reflect.TypeFor[uuid.UUID]():
			args = append(args, reflect.ValueOf(uuid.New()))
		case in.Kind() == reflect.String:
			args = append(args, reflect.ValueOf("name-0001").Convert(in))
		case in.Kind() == reflect.Interface:
			t.Fatalf("%s: the test has no sample of %s", name, in)
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	for _, out := range method.Call(args) {
		if out.Kind() == reflect.Func { // a list: its first page is enough
			for range out.Seq2() {
				break
			}
		}
	}
}
