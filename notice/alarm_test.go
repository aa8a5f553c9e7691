package notice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Every message to operators, as they get it: testdata/operators.txt is there to be read.
func TestAlarms(t *testing.T) {
	t.Parallel()
	l, err := readAlarms("operators", "point", "lists", "drill", good)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	file := FileAt{File: "issuing.crl", Address: "ftp://ftp.example.test/issuing.crl", Number: 4, Newest: 7, Until: now.Add(5 * time.Hour), Since: now.Add(-time.Hour),
		Failure: "The server ftp.example.test:21 does not answer, or not in time."}
	certificate := FileAt{File: "issuing.cer", Since: now.Add(-time.Hour), Failure: "It shows another certificate."}
	never := FileAt{File: "issuing.3.delta.crl", Newest: 7, Failure: "Nobody has looked here yet. Is a server running?"}
	newest := FileAt{File: "issuing.crl", Newest: 7, Until: now.Add(5 * time.Hour)}
	many := &Files{Point: true, Worst: "unknown"}
	for range 20 {
		many.Files = append(many.Files, certificate)
	}
	var all strings.Builder
	for _, m := range []Matter{
		{Key: "the distribution point ftp", About: &Files{Point: true, Worst: "late", Files: []FileAt{file, certificate, never}}},
		{Key: "the distribution point ftp", About: &Files{Point: true, Worst: "running-out", Files: []FileAt{file}}},
		{Key: "the distribution point ftp", About: &Files{Point: true, Worst: "run-out", Files: []FileAt{file}}},
		{Key: "the distribution point ftp", About: many},
		{Key: "the revocation lists of issuing", About: &Files{Worst: "running-out", Files: []FileAt{newest}}},
		{Key: "the revocation lists of issuing", About: &Files{Worst: "run-out", Files: []FileAt{newest}}},
		{Key: "the revocation lists of issuing", About: &Files{Worst: "unknown", Files: []FileAt{{File: "issuing.crl", Failure: "There is none yet."}}}},
		{Key: "the revocation list root.crl", About: &Files{Others: true, Worst: "running-out", Files: []FileAt{newest}}},
		{Key: "the recovery officers' drill", Every: weekly, About: &Drill{Due: now}},
		{Key: "the recovery officers' drill", Every: weekly, About: &Drill{Due: now, Last: now.AddDate(-1, 0, 0)}},
		{Key: "the distribution point ftp"},
	} {
		name := good
		if m.About != nil {
			name = m.About.template()
		}
		subject, text, err := l.write(name, newAlarm(m, "Example Ltd", now))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("=== " + name + "\nSubject: " + subject + "\n\n" + text + "\n")
		if n := utf8.RuneCountInString(subject); n == 0 || n > 78 || strings.Contains(text, "<no value>") || strings.Contains(text, "\n\n\n") || !strings.Contains(text, "Example Ltd") {
			t.Errorf("%s: %s\n%s", name, subject, text)
		}
	}
	golden := filepath.Join("testdata", "operators.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("the messages are not those of %s; look at them and run: go test ./notice -run TestAlarms -update", golden)
	}
}
