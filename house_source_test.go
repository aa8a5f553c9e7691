package sealpost_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file, for whatever platform.
type source struct {
	path string // from the root, with slashes
	dir  string
	test bool
	ast  *ast.File
}

type house []source

// imports returns the file's import paths; those of this module without its name ("ca", not "…/sealpost/ca").
func (s source) imports() (own, foreign []string) {
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has checked it
		}
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			own = append(own, rest)
		} else if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
			foreign = append(foreign, p)
		}
	}
	return own, foreign
}

// name returns the name by which the file knows an imported package, "" if it does not import it.
func (s source) name(importPath string) string {
	for _, spec := range s.ast.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func (h house) hasCode(dir string) bool {
	return slices.ContainsFunc(h, func(s source) bool { return s.dir == dir && !s.test })
}

func readHouse(t testing.TB, root string) house {
	t.Helper()
	var h house
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			return skipFolder(p)
		case strings.HasSuffix(p, ".go"):
			h = append(h, parse(t, p, readText(t, p)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func parse(t testing.TB, p, text string) source {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	p = filepath.ToSlash(p)
	return source{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), ast: f}
}

// skipFolder passes by what is not part of the source.
func skipFolder(p string) error {
	switch {
	case p == ".", p == ".ci":
		return nil
	case p == "bin", p == "demo", filepath.Base(p) == "node_modules", p == filepath.Join("internal", "deps"), strings.HasPrefix(filepath.Base(p), "."):
		return fs.SkipDir
	}
	return nil
}

func readText(t testing.TB, p string) string {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file may go while we read
		t.Fatal(err)
	}
	return string(b)
}

// What is built is not kept beside what it is built from.
func TestNoProgramIsKept(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		f, err := os.Open(name)
		if err != nil { // removed, and not yet so in the index
			continue
		}
		magic := make([]byte, 4)
		n, _ := f.Read(magic) // an empty file is no program
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if string(magic[:n]) == "\x7fELF" {
			t.Errorf("%s is a program", name)
		}
	}
}
