package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

var (
	codeSpan   = regexp.MustCompile("(?s)`([^`]+)`")
	codeFence  = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	commandEnd = regexp.MustCompile(`[;&|>)]|  +#`)
	flagName   = regexp.MustCompile(`^--?[a-z][a-z0-9-]*`)
	// ourCommand is the begin of a command line of ours: after a prompt, an indentation, or at once.
	ourCommand = regexp.MustCompile(`^\s*(?:[a-z]+[$#] )?(sealpost(?:-agent|-kra)?) (.+)$`)
)

// quoted returns the command lines of ours in a document: in code spans, fences of console and sh, and indented blocks.
func quoted(text string) (out [][]string) {
	add := func(line string) {
		m := ourCommand.FindStringSubmatch(line)
		if m == nil {
			return
		}
		rest := m[2]
		if i := commandEnd.FindStringIndex(strings.ReplaceAll(rest, "enroll|renew", "enroll/renew")); i != nil {
			rest = rest[:i[0]]
		}
		out = append(out, append([]string{m[1]}, strings.Fields(rest)...))
	}
	for _, m := range codeFence.FindAllStringSubmatch(text, -1) {
		if m[1] != "console" && m[1] != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(m[2], "\\\n", " ")) {
			add(strings.TrimSpace(line))
		}
	}
	text = codeFence.ReplaceAllString(text, "")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			add(strings.TrimSpace(line))
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		add(strings.Join(strings.Fields(m[1]), " "))
	}
	return out
}

// helps asks the real programs for their help, once for each command.
type helps struct {
	dir  string
	said map[string]string
}

func (h *helps) of(t *testing.T, words []string) string {
	t.Helper()
	key := strings.Join(words, " ")
	if text, known := h.said[key]; known {
		return text
	}
	r := e2etest.Run(t, e2etest.Command{Path: filepath.Join(h.dir, words[0]), Args: append(slices.Clone(words[1:]), "--help")})
	text := r.Stdout + r.Stderr
	if r.Code != 0 || !regexp.MustCompile(`(?m)^  `+regexp.QuoteMeta(key)+`( |$)`).MatchString(text) { // its usage line
		text = ""
	}
	h.said[key] = text
	return text
}

// fault returns what is wrong with a quoted command, "" if it could be typed.
func (h *helps) fault(t *testing.T, words []string) string {
	t.Helper()
	isWord := regexp.MustCompile(`^[a-z][a-z-]*$`)
	path, help := words[:1], h.of(t, words[:1])
	for n := 2; n <= len(words) && isWord.MatchString(words[n-1]); n++ {
		deeper := h.of(t, words[:n])
		if deeper == "" {
			break
		}
		path, help = words[:n], deeper
	}
	takesCommand := strings.Contains(help, "Available Commands:")
	if len(words) > len(path) && takesCommand && isWord.MatchString(words[len(path)]) {
		return "there is no " + strings.Join(words[:len(path)+1], " ")
	}
	for _, w := range words[len(path):] {
		flag := flagName.FindString(w)
		if flag != "" && !regexp.MustCompile(`(^|[ ,])`+regexp.QuoteMeta(flag)+`([ ,]|$)`).MatchString(strings.ReplaceAll(help, "\n", " ")) {
			return strings.Join(path, " ") + " has no " + flag
		}
	}
	return ""
}

func newHelps(t *testing.T) *helps {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs; not run with -short")
	}
	dir := t.TempDir()
	must(t, e2etest.Build(dir, "sealpost-agent", "sealpost-kra"))
	self, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(dir, program)))
	return &helps{dir, map[string]string{}}
}

// Every command of ours that a document quotes exists, with the flags that it quotes.
func TestDocumentsQuoteCommandsThatAre(t *testing.T) {
	t.Parallel()
	h := newHelps(t)
	root := filepath.Join("..", "..")
	n := 0
	check := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		for _, words := range quoted(read(t, path)) {
			n++
			if fault := h.fault(t, words); fault != "" {
				t.Errorf("%s: %s: %s", path, strings.Join(words, " "), fault)
			}
		}
		return nil
	}
	must(t, filepath.WalkDir(filepath.Join(root, "docs"), check))
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		path := filepath.Join(root, name)
		info, err := os.Stat(path)
		must(t, err)
		must(t, check(path, fs.FileInfoToDirEntry(info), nil))
	}
	if n < 100 {
		t.Errorf("only %d commands were found", n)
	}
}

// The search finds what is wrong.
func TestQuotedCommandsThatAreNot(t *testing.T) {
	t.Parallel()
	h := newHelps(t)
	for text, want := range map[string]string{
		"`sealpost crl publish`":                              "",
		"`sealpost crl\nstatus --json`":                       "",
		"`sealpost crl`, `sealpost …`":                        "",
		"`sealpost gal diff LOGIN`":                           "",
		"```console\nca$ sealpost serve -c x; true --no\n```": "",
		"`sealpost frobnicate`":                               "there is no sealpost frobnicate",
		"`sealpost crl print`":                                "there is no sealpost crl print",
		"```console\nx# sealpost audit verify --all\n```":     "sealpost audit verify has no --all",
		"    sealpost-agent enroll --servers x":               "sealpost-agent enroll has no --servers",
		"`sealpost-kra ceremony burn DIR`":                    "there is no sealpost-kra ceremony burn",
	} {
		got := ""
		for _, words := range quoted(text) {
			got += h.fault(t, words)
		}
		if got != want || len(quoted(text)) == 0 {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
