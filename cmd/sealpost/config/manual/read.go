package manual

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/sealpost/sealpost/"

// A section is one struct as the file has it.
type section struct {
	path     string // "issuers[].ldap"; "" is the file
	doc      string
	settings []setting
}

// A setting is one key of a section.
type setting struct {
	key  string // as the file has it
	name string // as Go has it
	kind string // what its value is
	doc  string
	at   string // path of the section that the key holds; "" if it holds a value
}

// source reads packages of ours.
type source struct {
	root     string
	packages map[string]map[string]declared // folder, type's name
}

// declared is a type and the file that it is in.
type declared struct {
	doc  string
	expr ast.Expr
	file *ast.File
	dir  string
}

// sections returns the struct in a folder and all that it holds, in the order of the fields, the outer before the inner.
func (s *source) sections(dir, name, path string) ([]section, error) {
	d, err := s.lookup(dir, name)
	if err != nil {
		return nil, err
	}
	structure, ok := d.expr.(*ast.StructType)
	if !ok {
		return nil, fmt.Errorf("%s.%s is no struct", dir, name)
	}
	out := section{path: path, doc: d.doc}
	var inner []section
	for _, f := range structure.Fields.List {
		key, err := yamlKey(f)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", dir, name, err)
		}
		if key == "" {
			continue
		}
		if key == inline {
			above, err := s.inline(d, f.Type, path)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", dir, name, err)
			}
			out.settings, inner = append(out.settings, above[0].settings...), append(inner, above[1:]...)
			continue
		}
		one := setting{key: key, name: f.Names[0].Name, doc: comment(f.Doc, f.Comment)}
		of, err := s.describe(d, f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s.%s: %w", dir, name, one.name, err)
		}
		one.kind = of.kind
		if of.structure != "" {
			one.at = strings.TrimPrefix(path+"."+key, ".")
			if of.list {
				one.at += "[]"
			}
			below, err := s.sections(of.dir, of.structure, one.at)
			if err != nil {
				return nil, err
			}
			if one.doc == "" {
				one.doc = firstSentence(below[0].doc)
			}
			inner = append(inner, below...)
		}
		if one.doc == "" {
			return nil, fmt.Errorf("%s.%s.%s has no comment: it is what the manual says of %s", dir, name, one.name, key)
		}
		out.settings = append(out.settings, one)
	}
	for i := range out.settings {
		out.settings[i].doc = out.inKeys(out.settings[i].doc)
	}
	out.doc = out.inKeys(named(out.doc, name, nameOf(path)))
	return append([]section{out}, inner...), nil
}

// inline is the key of a struct whose settings are the outer one's.
const inline = ",inline"

// inline returns the sections of such a struct, its own first.
func (s *source) inline(from declared, t ast.Expr, path string) ([]section, error) {
	of, err := s.describe(from, t)
	if err != nil {
		return nil, err
	}
	return s.sections(of.dir, of.structure, path)
}

// yamlKey returns the name that a field has in the file, "" if it is not in it.
func yamlKey(f *ast.Field) (string, error) {
	if f.Tag == nil {
		return "", nil
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return "", err
	}
	key := reflect.StructTag(tag).Get("yaml")
	if key == "-" {
		key = ""
	}
	if key != "" && key != inline && len(f.Names) != 1 {
		return "", fmt.Errorf("the key %q belongs to %d fields", key, len(f.Names))
	}
	return key, nil
}

func comment(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if text := strings.TrimSpace(g.Text()); text != "" {
			return text
		}
	}
	return ""
}

// shape is what a field's type comes to.
type shape struct {
	kind      string
	list      bool
	structure string // name of the struct, in dir
	dir       string
}

// describe resolves a type that is used in the file of from.
func (s *source) describe(from declared, t ast.Expr) (shape, error) {
	switch t := t.(type) {
	case *ast.ArrayType:
		of, err := s.describe(from, t.Elt)
		if of.structure == "" {
			of.kind += "s"
		}
		of.list, of.kind = true, "list of "+of.kind
		return of, err
	case *ast.StarExpr: // a value whose absence says something else than its zero
		return s.describe(from, t.X)
	case *ast.Ident:
		if kind, ok := basic[t.Name]; ok {
			return shape{kind: kind}, nil
		}
		return s.resolve(from.dir, t.Name)
	case *ast.SelectorExpr:
		dir, err := folderOf(from.file, t.X.(*ast.Ident).Name)
		if err != nil {
			return shape{}, err
		}
		return s.resolve(dir, t.Sel.Name)
	}
	return shape{}, fmt.Errorf("the manual knows no type %T", t)
}

var basic = map[string]string{"string": "text", "bool": "true or false", "int": "number", "int32": "number", "int64": "number", "float64": "number"}

func (s *source) resolve(dir, name string) (shape, error) {
	if name == "Duration" {
		return shape{kind: "duration"}, nil
	}
	d, err := s.lookup(dir, name)
	if err != nil {
		return shape{}, err
	}
	if _, ok := d.expr.(*ast.StructType); ok {
		return shape{kind: "section", structure: name, dir: dir}, nil
	}
	return s.describe(d, d.expr)
}

// folderOf returns the folder of a package of ours, by the name that a file imports it under; "" is another's.
func folderOf(f *ast.File, name string) (string, error) {
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return "", err
		}
		if path == name || strings.HasSuffix(path, "/"+name) {
			return strings.TrimPrefix(path, module), nil
		}
	}
	return "", fmt.Errorf("no import %s", name)
}

func (s *source) lookup(dir, name string) (declared, error) {
	if s.packages[dir] == nil {
		if err := s.read(dir); err != nil {
			return declared{}, err
		}
	}
	d, ok := s.packages[dir][name]
	if !ok {
		return declared{}, fmt.Errorf("there is no type %s in %s", name, dir)
	}
	return d, nil
}

func (s *source) read(dir string) error {
	files, err := filepath.Glob(filepath.Join(s.root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	types := map[string]declared{}
	var errs []error
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				t := spec.(*ast.TypeSpec)
				types[t.Name.Name] = declared{comment(t.Doc, g.Doc), t.Type, f, dir}
			}
		}
	}
	if s.packages == nil {
		s.packages = map[string]map[string]declared{}
	}
	s.packages[dir] = types
	return errors.Join(errs...)
}

// inKeys returns a comment with the keys of the file for the section's Go names.
func (s section) inKeys(text string) string {
	for _, o := range slices.Backward(s.settings) {
		text = named(text, o.name, code(o.key))
	}
	return text
}
