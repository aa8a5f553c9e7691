package manual

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/config.md")

// TestPageIsCurrent: docs/config.md is what the comments yield now, and every setting has a comment.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	root := filepath.FromSlash("../../../..")
	want, err := Page(root)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "docs", "config.md")
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/config.md is not current: go generate ./cmd/sealpost/config")
	}
}

// tree writes files of a module of our name and returns its root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPage(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"cmd/sealpost/config/config.go": `package config

import "github.com/sealpost/sealpost/ca"

// Config is the file.
type Config struct {
	// Name is ours. Each Rule may have another.
	Name string ` + "`yaml:\"name\"`" + `
	Rule ca.Rule ` + "`yaml:\"the_rule\"`" + `
	// Others are more.
	Others []ca.Rule ` + "`yaml:\"others\"`" + `
	hidden int
	Runtime func() ` + "`yaml:\"-\"`" + `
}
`,
		"ca/rule.go": `package ca

// Rule says what holds. See docs/certificate-profile.md.
type Rule struct {
	Kinds []Kind ` + "`yaml:\"kinds\"`" + ` // "x" or "y"
}

// Kind is one of a few words.
type Kind string
`})
	b, err := Page(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimPrefix(string(b), introduction)
	const want = `
## The whole

- **` + "`name`** (text) is ours. Each `the_rule`" + ` may have another.
- **` + "`the_rule`** ([`the_rule`](#the_rule))" + ` says what holds.
- **` + "`others`** ([list of `others[]`](#others))" + ` are more.

## ` + "`the_rule`" + `

` + "`the_rule`" + ` says what holds. See [certificate-profile.md](certificate-profile.md).

- **` + "`kinds`" + `** (list of texts): "x" or "y".

## ` + "`others[]`" + `

Each of them says what holds. See [certificate-profile.md](certificate-profile.md).

- **` + "`kinds`" + `** (list of texts): "x" or "y".
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	for what, config := range map[string]string{
		"A has no comment":      "type Config struct { A int `yaml:\"a\"` }",
		"belongs to 2 fields":   "type Config struct { A, B int `yaml:\"a\"` /* x */ }",
		"knows no type":         "type Config struct { A map[string]int `yaml:\"a\"` /* x */ }",
		"there is no type Rule": "type Config struct { A Rule `yaml:\"a\"` /* x */ }",
		"no import ca":          "type Config struct { A ca.Rule `yaml:\"a\"` /* x */ }",
		"is no struct":          "type Config string",
		"expected":              "type Config struct {",
	} {
		_, err := Page(tree(t, map[string]string{"cmd/sealpost/config/config.go": "package config\n" + config}))
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, want %q", config, err, what)
		}
	}
}
