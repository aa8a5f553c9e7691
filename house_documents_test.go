package sealpost_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documents returns the Markdown files of the repository with their text.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(file)
		}
		if strings.HasSuffix(file, ".md") {
			out[filepath.ToSlash(file)] = readText(t, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	testName   = regexp.MustCompile(`\bTest[A-Z]\w*`)
	fuzzName   = regexp.MustCompile(`\bFuzz[A-Z]\w*`)
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// What a document says that a test shows, a test of that name shows.
func TestDocumentsNameTestsThatAre(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, s := range readHouse(t, ".") {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				there[f.Name.Name] = true
			}
		}
	}
	for file, text := range documents(t) {
		for _, name := range append(testName.FindAllString(text, -1), fuzzName.FindAllString(text, -1)...) {
			if !there[name] {
				t.Errorf("%s names %s, and there is no such test", file, name)
			}
		}
	}
}

// Every line of what the archive stands against names a test.
func TestEveryAttackHasATest(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(documents(t)["docs/security-model.md"], "\n## What the archive stands against\n")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || strings.Contains(line, "---") || strings.Contains(line, "shown by") {
			continue
		}
		if lines++; !testName.MatchString(cells[2]) {
			t.Errorf("no test shows this: %s", line)
		}
	}
	if lines < 25 {
		t.Errorf("%d lines: the table is not where this test looks", lines)
	}
}

// Links within the repository lead somewhere, and so do those to a heading.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for file, text := range all {
		for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			name, heading, _ := strings.Cut(m[1], "#")
			target := file
			if name != "" {
				target = path.Join(path.Dir(file), name)
			}
			if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			} else if heading != "" && !slices.Contains(headings(all[target]), heading) {
				t.Errorf("%s links to %s, and %s has no such heading", file, m[1], target)
			}
		}
	}
}

// headings returns what the headings of a page are called in links.
func headings(text string) (out []string) {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
			out = append(out, regexp.MustCompile(`[^\pL\pN_-]`).ReplaceAllString(title, ""))
		}
	}
	return out
}

var (
	floorLine = regexp.MustCompile(`^ ?([−0-9]+)  `)
	braces    = regexp.MustCompile(`([\w/]+)/\{([^}]*)\}`)
	roomName  = regexp.MustCompile(`[a-z0-9]+(?:/[a-z0-9-]+)*`)
)

// TestPicture: the picture of docs/design.md shows every room on its floor, and the client side below.
func TestPicture(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(documents(t)["docs/design.md"], "## The picture\n\n```\n")
	picture, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("docs/design.md has no picture")
	}
	shown := map[string]string{} // room, floor
	floor := ""
	for line := range strings.Lines(picture) {
		if m := floorLine.FindStringSubmatch(strings.Replace(line, "  ", " ", 1)); m != nil {
			floor = strings.Replace(m[1], "−", "-", 1)
		}
		if strings.Contains(line, "client side") {
			floor = "clients"
		}
		line = braces.ReplaceAllStringFunc(line, func(s string) string {
			m := braces.FindStringSubmatch(s)
			return m[1] + "/" + strings.Join(strings.Fields(m[2]), " "+m[1]+"/")
		})
		for _, name := range roomName.FindAllString(line, -1) {
			if shown[name] == "" {
				shown[name] = floor
			}
		}
	}
	for room, on := range floors {
		if shown[room] != strconv.Itoa(on) {
			t.Errorf("the picture shows %s on floor %q; it stands on %d", room, shown[room], on)
		}
	}
	for _, room := range outside {
		if shown[room] != "clients" {
			t.Errorf("the picture does not show %s on the client side", room)
		}
	}
}
