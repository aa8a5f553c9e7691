package portal

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// madeOfParts are beginnings of keys that pages put together, in the order of the alphabet. A page's own stand in one line each.
var madeOfParts = []string{
	"about", "area", "card", "done", "fault", "language", "state", "step", "word",
	"guide", "guides.on", "guides.step", "setup.outlook", "setup.role",
	"officer.about", "officer.asks", "officer.certificate", "officer.drill", "officer.kind", "officer.round", "officer.said", "officer.state", "officer.tab", "officer.would", "officer.you",
	"restore.step",
	"fleet.code", "fleet.stands", "fleet.means", "fleet.schedule", "fleet.use", "fleet.place", "fleet.store",
	"explain", "file", "happens", "key-use", "kind", "past", "purpose", "reason", "stands", "way", "which", "why", // certificates
	"registrar-fault", "registrar-word", "registrar.line", "registrar.token-state",
	"testmail.all", "testmail.do", "testmail.fact", "testmail.found", "testmail.grade", "testmail.notice", "testmail.state",
}

// Every text that a page or handler uses is there in each language, with the same placeholders, and each one that is there
// is used.
func TestTexts(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, pattern := range []string{"templates/*.html", "*.go"} {
		files, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasPrefix(f, "texts") || strings.HasSuffix(f, "_test.go") {
				continue
			}
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
	}
	used := all.String()
	for _, m := range regexp.MustCompile(`\bt "([a-z0-9.-]+)"`).FindAllStringSubmatch(used, -1) {
		if texts[m[1]].EN == "" {
			t.Errorf("%s is used and not there", m[1])
		}
	}
	// Keys that are put together: what a page adds to a part of a key.
	made := regexp.MustCompile(`^(` + strings.Join(madeOfParts, "|") + `)\.`)
	verbs := regexp.MustCompile(`%[a-z]`)
	for key, text := range texts {
		if !made.MatchString(key) && !strings.Contains(used, `"`+key+`"`) {
			t.Errorf("%s is there and not used", key)
		}
		if text.EN == "" || text.DE == "" {
			t.Errorf("%s is not there in every language", key)
		}
		if en, de := strings.Join(verbs.FindAllString(text.EN, -1), ""), strings.Join(verbs.FindAllString(text.DE, -1), ""); en != de {
			t.Errorf("%s: %q in English, %q in German", key, en, de)
		}
	}
}
