package notice

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write testdata/letters.txt")

// sample is a letter with everything in it.
func sample() *letter {
	return &letter{Name: "Alice Anders", Case: uuid.MustParse("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), Kind: "a business case", Requester: "Rita Registrar",
		Subjects: "Alice Anders and Carol Müller-Żak", Recipient: "Bob Brown", Mine: "3 keys", All: "5 keys", Opened: "23 November 2026, 14:05 UTC",
		Deadline: "26 November 2026, 14:05 UTC", Asked: "2 officers", Agreed: 1, Agent: "Olivia Officer", Approved: true, State: "requested",
		Organisation: "Example Ltd", Contact: "the help desk, telephone 4711"}
}

// Every letter, as people get it: testdata/letters.txt is there to be read.
func TestLetters(t *testing.T) {
	t.Parallel()
	l, err := readLetters()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range l.subjects {
		names = append(names, name)
	}
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		event, p, _ := strings.Cut(name, ".")
		var before string
		for _, change := range []func(*letter){func(*letter) {}, func(l *letter) { l.Released, l.Approved, l.Restore, l.State = true, false, true, "closed" }} {
			to := sample()
			change(to)
			subject, text, err := l.write(event, part(p), to)
			if err != nil {
				t.Fatal(err)
			}
			check(t, name, subject, text)
			if letter := "Subject: " + subject + "\n\n" + text; letter != before {
				all.WriteString("=== " + name + "\n" + letter + "\n")
				before = letter
			}
		}
	}
	file := filepath.Join("testdata", "letters.txt")
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("the letters are not those of %s; look at them and run: go test ./notice -run TestLetters -update", file)
	}
}

// check holds a letter to what somebody can read who never heard of any of this.
func check(t *testing.T, name, subject, text string) {
	t.Helper()
	for _, word := range []string{"certificate", "private key", "encryption key", "PKCS", "CMS", "roster", "threshold", "share ", "partial", "escrow", "deposit", "fingerprint", "approval", "<no value>", "http"} {
		if strings.Contains(strings.ToLower(subject+text), strings.ToLower(word)) {
			t.Errorf("%s says %q:\n%s", name, word, text)
		}
	}
	if n := utf8.RuneCountInString(subject); n == 0 || n > 78 || strings.Contains(subject, "\n") {
		t.Errorf("%s: a subject of %d characters: %s", name, n, subject)
	}
	if n := len(strings.Fields(text)); n > 220 {
		t.Errorf("%s has %d words", name, n)
	}
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(line) > width+1 {
			t.Errorf("%s has a long line: %q", name, line)
		}
	}
	for _, must := range []string{"Dear Alice Anders,", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "the help desk, telephone 4711", "Example Ltd"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), must) {
			t.Errorf("%s does not say %q", name, must)
		}
	}
}

func TestEventKeys(t *testing.T) {
	t.Parallel()
	for _, e := range []event{{name: "requested"}, {name: "revealed"}, {name: aboutAnswered, agent: 1}, {name: aboutDisputed, agent: 65535},
		{name: aboutAgain, day: "2026-11-23"}, {name: aboutAgain, delivery: 999, day: "2026-11-23"}} {
		if got, err := eventOf(e.key()); err != nil || got != e {
			t.Errorf("%s: %v, %v", e.key(), got, err)
		}
	}
	for _, key := range []string{"answered/x", "answered/1 ", "answered/70000", "answered/-1", "disputed/01", "again/-1/x", "again/01/x", "again/1/x y"} {
		if e, err := eventOf(key); err == nil && e.name != key {
			t.Errorf("%q is taken for %v", key, e)
		}
	}
}

func TestNamesStayShort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Alice Anders":               "Alice Anders",
		"  a \t b\u00a0c ":           "a \ufffd b c",
		"x\r\n\r\nDear Bob,":         "x\ufffd\ufffd\ufffd\ufffdDear Bob,",
		strings.Repeat("ä", 100):     strings.Repeat("ä", 40),
		"\u202eevil":                 "\ufffdevil",
		strings.Repeat("a b\n", 500): "",
	} {
		got := short(in)
		if want != "" && got != want || len(got) > maxName || strings.Contains(got, "\n") {
			t.Errorf("%q became %q", in, got)
		}
	}
}
