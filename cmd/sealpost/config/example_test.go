package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
)

// excluded are settings of the example that exclude one beside them: commented out, without a space.
var excluded = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash("../../../docs/config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExampleIsValid(t *testing.T) {
	c, err := config.Decode([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// The example has every key, those that exclude another commented out.
func TestExampleIsComplete(t *testing.T) {
	text := excluded.ReplaceAllString(example(t), "$1$2")
	if _, err := config.Decode([]byte(text)); err != nil {
		t.Fatalf("with what is commented out: %v", err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	for _, key := range missing(root.Content[0], reflect.TypeFor[config.Config](), "") {
		t.Errorf("docs/config.example.yaml has no %s", key)
	}
}

// missing returns the keys of a struct that a node lacks. In a list it is enough that one of the entries has them.
func missing(n *yaml.Node, structure reflect.Type, path string) (out []string) {
	for i := range structure.NumField() {
		f := structure.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		if key == ",inline" {
			out = append(out, missing(n, f.Type, path)...)
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		value := child(n, key)
		switch of := f.Type; {
		case value == nil:
			out = append(out, at)
		case of.Kind() == reflect.Struct:
			out = append(out, missing(value, of, at)...)
		case of.Kind() == reflect.Pointer && of.Elem().Kind() == reflect.Struct:
			out = append(out, missing(value, of.Elem(), at)...)
		case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct:
			out = append(out, missingFromAll(value.Content, of.Elem(), at+"[]")...)
		}
	}
	return out
}

// missingFromAll returns the keys that every entry of a list lacks.
func missingFromAll(entries []*yaml.Node, structure reflect.Type, path string) (out []string) {
	lacking := make([][]string, len(entries))
	for n, e := range entries {
		lacking[n] = missing(e, structure, path)
	}
	for _, key := range slices.Concat(lacking...) {
		lacks := func(keys []string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return k == key || strings.HasPrefix(key, k+".") })
		}
		if !slices.ContainsFunc(lacking, func(keys []string) bool { return !lacks(keys) }) {
			out = append(out, key)
		}
	}
	return out
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// The sample of docs/crl.md can be taken as it is.
func TestSampleOfPoints(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../../docs/crl.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	sample, _, _ := strings.Cut(rest, "```")
	c, err := config.Decode([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.CRL.Points) != 3 || c.Issuers[0].LDAP.Lists == "" {
		t.Errorf("%+v", c.CRL)
	}
	if err := c.Validate(); strings.Contains(err.Error(), "crl.") || strings.Contains(err.Error(), "ldap") {
		t.Error(err)
	}
}
