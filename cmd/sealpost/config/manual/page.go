// Package manual makes docs/config.md, the manual of the configuration file, from the comments of the structs that the file
// is decoded into. `go generate ./cmd/sealpost/config` writes it, by this package's test; nothing else uses it.
//
// It owns the page's form and its introduction. What is said of a setting is said beside its field, and nowhere else.
package manual

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

const introduction = `# The configuration file

<!-- Made by go generate from the comments of the structs (cmd/sealpost/config). Change it there. -->

The server and its tools have one YAML file, ` + "`/etc/sealpost/server.yaml` unless `--config` names another. `sealpost init`" + `
writes one to start from; [config.example.yaml](config.example.yaml) has every setting.

- It is read strictly: a key that is not on this page is an error, and so is one that stands there twice.
- A setting that is left out has the safe value, or the one named here.
- Relative paths in it start at the folder that it lies in. *Duration* is a span as Go writes it: ` + "`500ms`, `72h`" + `.
- Secrets do not belong into it. They lie in files that others cannot read, or come from the environment.
- It is read at the start. To change something, change the file, ` + "run `sealpost check --connect`" + `, and start the servers again.

` + "`sealpost check`" + ` reports all faulty values at once, each with its path, such as ` + "`issuers[1].ldap.url`" + `.
`

// width is where lines of the page end, in characters.
const width = 120

// Page returns docs/config.md, made from the sources below the repository's root.
func Page(root string) ([]byte, error) {
	s := &source{root: root}
	all, err := s.sections("cmd/sealpost/config", "Config", "")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(introduction)
	for _, x := range all {
		if x.path == "" {
			b.WriteString("\n## The whole\n")
		} else {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", code(x.path), fill(x.doc, ""))
		}
		b.WriteByte('\n')
		for _, o := range x.settings {
			b.WriteString(fill(o.line(), "  ") + "\n")
		}
	}
	return linkPages(b.Bytes()), nil
}

// line is what the page says of a setting. A comment that begins with its name goes on after it; any other is a remark.
func (o setting) line() string {
	kind := o.kind
	if o.at != "" {
		kind = fmt.Sprintf("[%s](#%s)", strings.ReplaceAll(kind, "section", code(o.at)), anchor(o.at))
	}
	doc, isSentence := strings.CutPrefix(o.doc, code(o.key)+" ")
	if !isSentence {
		doc = ": " + doc
	} else {
		doc = " " + doc
	}
	if !strings.HasSuffix(doc, ".") {
		doc += "."
	}
	return fmt.Sprintf("- **%s** (%s)%s", code(o.key), kind, doc)
}

// linkPages makes links of the names of other pages.
func linkPages(text []byte) []byte {
	return regexp.MustCompile(`docs/([a-z-]+\.md)`).ReplaceAll(text, []byte("[$1]($1)"))
}

func code(s string) string { return "`" + s + "`" }

// anchor returns what a heading is called in links: letters, digits, hyphens and underscores of it.
func anchor(path string) string { return regexp.MustCompile(`[^a-z0-9_]`).ReplaceAllString(path, "") }

// nameOf returns what a section's comment calls it: its key, or one of them where there may be several.
func nameOf(path string) string {
	if strings.HasSuffix(path, "[]") {
		return "Each of them"
	}
	return code(path[strings.LastIndexByte(path, '.')+1:])
}

// named puts another name in place of a Go name, where that stands as a word of its own.
func named(text, goName, name string) string {
	return regexp.MustCompile(`(^|[^\w.`+"`"+`])`+goName+`\b`).ReplaceAllString(text, "${1}"+name)
}

// firstSentence returns a text up to its first full stop before a space.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i > 0 {
		return text[:i+1]
	}
	return text
}

// fill breaks each paragraph of a text into lines; indent begins all but the first.
func fill(text, indent string) string {
	var paragraphs []string
	for _, p := range strings.Split(text, "\n\n") {
		var b strings.Builder
		column := 0
		for i, word := range strings.Fields(p) {
			n := len([]rune(word))
			switch {
			case i == 0:
			case column+1+n > width:
				b.WriteString("\n" + indent)
				column = len(indent)
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
		paragraphs = append(paragraphs, b.String())
	}
	return strings.Join(paragraphs, "\n\n"+indent)
}
