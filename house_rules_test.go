package sealpost_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A rule returns what breaks it, one sentence each, with what to do.
type rule func(house) []string

var rules = map[string]rule{
	"every folder has a floor":      everyFolderHasAFloor,
	"imports go down":               importsGoDown,
	"third parties use their door":  thirdPartiesUseTheirDoor,
	"packages say what they own":    packagesSayWhatTheyOwn,
	"names are of the trade":        namesAreOfTheTrade,
	"time is handed in":             timeIsHandedIn,
	"testing stays in tests":        testingStaysInTests,
	"only commands end the process": onlyCommandsEndTheProcess,
	"logs are handed in":            logsAreHandedIn,
	"rooms read their own tables":   roomsReadTheirOwnTables,
	"pure packages do no I/O":       purePackagesDoNoIO,
}

// --- floors ----------------------------------------------------------------------------------------------------------

// matches reports whether a pattern of the tables ("ca", "ca/...", "...") covers a path.
func matches(pattern, p string) bool {
	room, all := strings.CutSuffix(pattern, "...")
	if !all {
		return pattern == p
	}
	return strings.HasPrefix(p+"/", room)
}

func anyMatches(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

// roomOf returns the entry of a table that a folder belongs to: itself, or the nearest folder above it.
func roomOf[V any](table map[string]V, dir string) (string, bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := table[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

func isSupport(dir string) bool {
	return dir == "internal/child" || (path.Dir(dir) == "internal" && strings.HasSuffix(dir, "test"))
}

func everyFolderHasAFloor(h house) (faults []string) {
	seen := map[string]bool{".": true}
	for _, s := range h {
		_, onFloor := roomOf(floors, s.dir)
		_, isListed := roomOf(listed, s.dir)
		if !seen[s.dir] && !onFloor && !isListed && !isSupport(s.dir) {
			faults = append(faults, fmt.Sprintf("%s is in no table of house_test.go: give it a floor, or list what it may import", s.dir))
		}
		seen[s.dir] = true
	}
	return faults
}

func importsGoDown(h house) (faults []string) {
	for _, s := range h {
		own, _ := s.imports()
		for _, to := range own {
			if why := refused(s, to); why != "" {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", s.path, to, why))
			}
		}
	}
	return faults
}

// refused returns why a file may not import a package of ours, "" if it may.
func refused(s source, to string) string {
	if isSupport(to) {
		if s.test || isSupport(s.dir) || (matches("cmd/sealpost/...", s.dir) && slices.Contains(demoSupport, to)) {
			return ""
		}
		return "it runs servers for tests and for cmd/sealpost's demo and bench; nothing else may need it"
	}
	if room, ok := roomOf(listed, s.dir); ok {
		if s.test || to == room || matches(room+"/...", to) || anyMatches(listed[room], to) {
			return ""
		}
		return fmt.Sprintf("%s may import %s only. If that is too narrow, widen its list in house_test.go and say why in the commit",
			room, strings.Join(listed[room], ", "))
	}
	from, ok := roomOf(floors, s.dir)
	if !ok {
		return "" // support, or everyFolderHasAFloor tells
	}
	room, ok := roomOf(floors, to)
	switch {
	case !ok:
		return "it is no room on a floor; only commands and tests' support may import it"
	case room == from, floors[room] < floors[from], slices.Contains(neighbours[from], room):
		return ""
	case floors[room] > floors[from]:
		return fmt.Sprintf("floor %d may not look up to floor %d. Let the higher one call down, or move what both need down", floors[from], floors[room])
	case s.test:
		return "" // a test may set a neighbour up
	default:
		return fmt.Sprintf("both stand on floor %d. Let a higher floor join them, or move what both need down", floors[from])
	}
}

// --- doors -----------------------------------------------------------------------------------------------------------

func thirdPartiesUseTheirDoor(h house) (faults []string) {
	for _, s := range h {
		_, foreign := s.imports()
		for _, p := range foreign {
			var in *door
			for i, d := range doors {
				if matches(d.prefix+"/...", p) && (in == nil || len(d.prefix) > len(in.prefix)) {
					in = &doors[i]
				}
			}
			switch {
			case in == nil:
				faults = append(faults, fmt.Sprintf("%s imports %s, which has no door: do without it, or give it one in house_test.go and a decision in docs/decisions", s.path, p))
			case (s.test && in.tests) || anyMatches(in.rooms, s.dir):
			case len(in.rooms) == 0:
				faults = append(faults, fmt.Sprintf("%s imports %s, which is for tests only", s.path, p))
			default:
				faults = append(faults, fmt.Sprintf("%s imports %s, whose door is %s: call that room instead", s.path, p, strings.Join(in.rooms, ", ")))
			}
		}
	}
	return faults
}

// linksServerCode judges all that a client-side package links, its third parties' imports included.
func linksServerCode(p string, deps []string) (faults []string) {
	for _, d := range deps {
		if anyMatches(serverOnly, d) {
			faults = append(faults, fmt.Sprintf("%s links %s: it runs on other people's machines, with no server code in it. `go list -deps` tells the way; cut it", p, d))
		}
	}
	return faults
}

// --- what a package owes its readers ---------------------------------------------------------------------------------

func packagesSayWhatTheyOwn(h house) (faults []string) {
	comments := map[string]string{}
	names := map[string]string{}
	for _, s := range h {
		if s.test {
			continue
		}
		names[s.dir] = s.ast.Name.Name
		comments[s.dir] += s.ast.Doc.Text()
	}
	for dir, name := range names {
		text := strings.Join(strings.Fields(comments[dir]), " ")
		switch {
		case text == "":
			faults = append(faults, fmt.Sprintf("%s has no package comment: say what it owns and what it does not", dir))
		case name != "main" && !strings.HasPrefix(text, "Package "+name+" "):
			faults = append(faults, fmt.Sprintf("%s: its package comment must begin with \"Package %s \"", dir, name))
		case text == new(doc.Package).Synopsis(text):
			faults = append(faults, fmt.Sprintf("%s: one sentence of package comment is not enough: say what it owns and what it does not", dir))
		}
	}
	return faults
}

func namesAreOfTheTrade(h house) (faults []string) {
	for _, s := range h {
		base := strings.TrimSuffix(path.Base(s.path), ".go")
		for _, word := range strings.FieldsFunc(base+"/"+s.ast.Name.Name+"/"+s.dir, func(r rune) bool { return strings.ContainsRune("_-./", r) }) {
			if slices.Contains(bannedWords, word) {
				faults = append(faults, fmt.Sprintf("%s: %q says nothing: name it for the thing of the trade that it holds (docs/glossary.md)", s.path, word))
				break
			}
		}
		for _, d := range s.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				name := spec.(*ast.TypeSpec).Name.Name
				if slices.Contains(bannedWords, lastWord(name)) {
					faults = append(faults, fmt.Sprintf("%s: type %s: name it for the thing of the trade that it is (docs/glossary.md)", s.path, name))
				}
			}
		}
	}
	return faults
}

// lastWord returns "manager" for KeyManager.
func lastWord(name string) string {
	i := strings.LastIndexFunc(name, unicode.IsUpper)
	return strings.ToLower(name[max(i, 0):])
}

// --- what code may not do --------------------------------------------------------------------------------------------

// uses calls found for each use of one of the functions of an imported package in the tree below n.
func (s source) uses(n ast.Node, importPath string, functions []string, found func(string)) {
	name := s.name(importPath)
	if name == "" {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && slices.Contains(functions, sel.Sel.Name) {
			found(name + "." + sel.Sel.Name)
		}
		return true
	})
}

func timeIsHandedIn(h house) (faults []string) {
	for _, s := range h {
		if s.test {
			continue
		}
		for _, d := range s.ast.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				s.uses(g, "time", []string{"Now"}, func(string) {
					faults = append(faults, fmt.Sprintf("%s: a package variable holds time.Now: put `Now func() time.Time` in the Config (nil means time.Now)", s.path))
				})
			}
		}
	}
	return faults
}

func testingStaysInTests(h house) (faults []string) {
	for _, s := range h {
		if !s.test && s.name("testing") != "" && !isSupport(s.dir) {
			faults = append(faults, fmt.Sprintf("%s imports testing: move what needs it to a _test.go file", s.path))
		}
	}
	return faults
}

// production returns the files that run in the server below cmd, or in a client.
func (h house) production() (out house) {
	for _, s := range h {
		if !s.test && !matches("cmd/...", s.dir) && !isSupport(s.dir) {
			out = append(out, s)
		}
	}
	return out
}

func onlyCommandsEndTheProcess(h house) (faults []string) {
	for _, s := range h.production() {
		add := func(what string) {
			faults = append(faults, fmt.Sprintf("%s: %s ends the process: return an error, cmd decides", s.path, what))
		}
		s.uses(s.ast, "os", []string{"Exit"}, add)
		s.uses(s.ast, "log", []string{"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"}, add)
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "panic" {
					add("panic")
				}
			}
			return true
		})
	}
	return faults
}

func logsAreHandedIn(h house) (faults []string) {
	for _, s := range h.production() {
		add := func(what string) {
			faults = append(faults, fmt.Sprintf("%s: %s is the global logger: use the Config's *slog.Logger (nil discards)", s.path, what))
		}
		s.uses(s.ast, "log/slog", []string{"Debug", "Info", "Warn", "Error", "Log", "DebugContext", "InfoContext", "WarnContext",
			"ErrorContext", "Default", "SetDefault"}, add)
		s.uses(s.ast, "log", []string{"Print", "Printf", "Println"}, add)
	}
	return faults
}

// tableIn finds the schema of each table that a statement reads or writes.
var tableIn = regexp.MustCompile(`(?i)\b(?:from|join|into|update|table)\s+(?:only\s+)?"?([a-z_]+)"?\.`)

// roomsReadTheirOwnTables: a room's schema has the room's name. The database's roles refuse the rest at run time; this
// tells sooner.
func roomsReadTheirOwnTables(h house) (faults []string) {
	for _, s := range h.production() {
		room, ok := roomOf(floors, s.dir)
		if !ok || slices.Contains([]string{"migrations", "internal/pg", "internal/jobs"}, room) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			for _, m := range tableIn.FindAllStringSubmatch(text.Value, -1) {
				if other := m[1]; other != path.Base(room) && isSchema(other) {
					faults = append(faults, fmt.Sprintf("%s: SQL on schema %s: rooms ask each other through methods, never by SQL", s.path, other))
				}
			}
			return true
		})
	}
	return faults
}

// isSchema reports whether a room has tables under that name, so that prose ("from example.com") is no SQL.
func isSchema(name string) bool {
	return name == "river" || slices.ContainsFunc(withTables, func(room string) bool { return path.Base(room) == name })
}

func purePackagesDoNoIO(h house) (faults []string) {
	doIO := []string{"os/...", "net", "net/http/...", "io/fs", "path/filepath", "database/sql", "log/...", "syscall"}
	for _, s := range h.production() {
		if !slices.Contains(pure, s.dir) {
			continue
		}
		for _, spec := range s.ast.Imports {
			if p, _ := strconv.Unquote(spec.Path.Value); anyMatches(doIO, p) {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s computes and does no I/O; let its caller read and write", s.path, p, s.dir))
			}
		}
	}
	return faults
}

// --- text ------------------------------------------------------------------------------------------------------------

// Split, so that this file does not hold what it looks for.
var machinePath = regexp.MustCompile(`(^|[^\w.\-/~])(/(?:work|root|home|Users)/[\w.\-/]*|/tmp/` + `house[\w.\-/]*)`)

// machinePaths finds paths that exist on somebody's machine only.
func machinePaths(file, text string) (faults []string) {
	if bytes.IndexByte([]byte(text[:min(len(text), 8000)]), 0) >= 0 {
		return nil // no text
	}
	for i, line := range strings.Split(text, "\n") {
		if m := machinePath.FindStringSubmatch(line); m != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: %s is a path of one machine: write it relative to the root, or as an example under /etc, /var or ~", file, i+1, m[2]))
		}
	}
	return faults
}
