package main

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// A registrar makes tokens from a list, for whoever sets up computers; somebody enrols with theirs; one is withdrawn.
func TestTokensFromList(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	rita := r.desk(t, "rita")
	by := func(line string, args ...string) e2etest.Command {
		return rita.agent(rita.home, "rita", line, append(args, "--server", rita.url(), "--roots", rita.path("pki/root.pem"), "--login", "rita")...)
	}
	list, out := rita.file("people.csv"), rita.file("tokens.csv")
	write(t, list, "\ufeffname,Mailbox\nAlice Anders,alice@example.test\n\"Brown, Bob\", bob@example.test \nNobody,nobody@example.test\n")
	bad := rita.file("bad.csv")
	write(t, bad, "name\nalice@example.test\n")
	fails(t, by("token make", "--list", bad), "token-list")
	write(t, bad, "mailbox,name\nalice@example.test,A\n,B\n")
	fails(t, by("token make", "--list", bad), "token-list", "Line 3")
	fails(t, by("token make"), "token-list", "--for")
	if got := e2etest.Run(t, by("token make --list", list, "--out", out)); got.Code != 1 || !strings.Contains(got.Stderr, "(tokens-incomplete)") {
		t.Fatalf("%d %s%s", got.Code, got.Stdout, got.Stderr)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the tokens are in %v, %v", info, err)
	}
	f, err := os.Open(out)
	must(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	must(t, err)
	if len(rows) != 4 || len(rows[1][1]) != 32 || len(rows[2][1]) != 32 || rows[3][1] != "" || rows[3][4] != "unknown-person" {
		t.Fatalf("%q", rows)
	}
	fails(t, by("token make --list", list, "--out", out), "token-out")
	if got := e2etest.Run(t, by("token make --list", list)); got.Code != 1 || strings.Count(got.Stdout, "token-made") != 2 || strings.Contains(got.Stdout, rows[1][1]) {
		t.Errorf("the same list again: %d %s%s", got.Code, got.Stdout, got.Stderr)
	}
	if said := e2etest.Good(t, by("token list")); strings.Count(said, "handed") != 2 {
		t.Errorf("token list says: %s", said)
	}
	d := r.desk(t, "alice")
	write(t, d.file("token.txt"), rows[1][1]+"\n")
	e2etest.Good(t, d.enroll("--token-file", d.file("token.txt")))
	d.count(2, 1)
	fails(t, by("token withdraw", "x"), "token-list")
	e2etest.Good(t, by("token withdraw", rows[2][2]))
	e2etest.Bad(t, by("token withdraw", rows[2][2]), "(unknown-token)")
	bob := r.desk(t, "bob")
	write(t, bob.file("token.txt"), rows[2][1]+"\n")
	e2etest.Bad(t, bob.enroll("--token-file", bob.file("token.txt")), "(enrolment-token)")
	e2etest.Bad(t, d.agent(d.home, "bob", "token list", "--login", "bob"), "(enrolment-not-allowed)")
}
