package sealpost_test

import (
	"strings"
	"testing"
)

// files is a house as text: path → source.
type files map[string]string

func (f files) house(t *testing.T) (h house) {
	for p, text := range f {
		h = append(h, parse(t, p, text))
	}
	return h
}

const ours = `"` + module + `/`

// Every rule is shown a house that breaks it, and must name the fault and nothing else.
func TestRulesSeeWhatBreaksThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rule string
		in         files
		want       string // part of the one fault; "" is none
	}{
		{"a folder nobody knows", "every folder has a floor", files{"ledger/ledger.go": `package ledger`}, "ledger is in no table"},
		{"a room's subfolder", "every folder has a floor", files{"enroll/est/est.go": `package est`}, ""},
		{"a new folder in internal", "every folder has a floor", files{"internal/fax/fax.go": `package fax`}, "internal/fax is in no table"},

		{"down", "imports go down", files{"web/web.go": `package web; import ` + ours + `ca"`}, ""},
		{"up", "imports go down", files{"ca/ca.go": `package ca; import ` + ours + `crl"`}, "floor 1 may not look up to floor 2"},
		{"up, in a test", "imports go down", files{"ca/ca_test.go": `package ca_test; import ` + ours + `crl"`}, "floor 1 may not look up to floor 2"},
		{"a neighbour", "imports go down", files{"ca/ca.go": `package ca; import ` + ours + `archive"`}, "both stand on floor 1"},
		{"a neighbour's subfolder", "imports go down", files{"ca/ca.go": `package ca; import ` + ours + `archive/record"`}, "both stand on floor 1"},
		{"a neighbour, in a test", "imports go down", files{"ca/ca_test.go": `package ca_test; import ` + ours + `archive"`}, ""},
		{"a neighbour with leave", "imports go down", files{"internal/pg/pg.go": `package pg; import ` + ours + `migrations"`}, ""},
		{"and not the other way", "imports go down", files{"migrations/m.go": `package migrations; import ` + ours + `internal/pg"`}, "both stand on floor 0"},
		{"its own subfolder", "imports go down", files{"archive/a.go": `package archive; import ` + ours + `archive/record"`}, ""},
		{"fault, from everywhere", "imports go down", files{"api/a.go": `package api; import ` + ours + `internal/fault"`}, ""},
		{"a client of the server", "imports go down", files{"client/c.go": `package client; import ` + ours + `enroll"`}, "client may import"},
		{"a command of the client side", "imports go down", files{"cmd/sealpost-kra/main.go": `package main; import ` + ours + `archive"`}, "cmd/sealpost-kra may import"},
		{"its share of the archive", "imports go down", files{"cmd/sealpost-kra/main.go": `package main; import ` + ours + `archive/record"`}, ""},
		{"a room on a client", "imports go down", files{"web/w.go": `package web; import ` + ours + `client"`}, "it is no room on a floor"},
		{"tests' support in a room", "imports go down", files{"ca/ca.go": `package ca; import ` + ours + `internal/pgtest"`}, "runs servers for tests"},
		{"tests' support in a test", "imports go down", files{"ca/ca_test.go": `package ca_test; import ` + ours + `internal/pgtest"`}, ""},
		{"tests' support in the demo", "imports go down", files{"cmd/sealpost/demo.go": `package main; import ` + ours + `internal/slapdtest"`}, ""},

		{"other support in the demo", "imports go down", files{"cmd/sealpost/demo.go": `package main; import ` + ours + `internal/rostertest"`}, "runs servers for tests"},
		{"support that needs rooms", "imports go down", files{"internal/rostertest/r.go": `package rostertest; import ` + ours + `archive/record"`}, ""},

		{"through the door", "third parties use their door", files{"directory/d.go": `package directory; import "github.com/go-ldap/ldap/v3"`}, ""},
		{"past the door", "third parties use their door", files{"gal/g.go": `package gal; import "github.com/go-ldap/ldap/v3"`}, "whose door is directory"},
		{"past the door, in a test", "third parties use their door", files{"gal/g_test.go": `package gal; import "github.com/go-ldap/ldap/v3"`}, "whose door is directory"},
		{"the inner door", "third parties use their door", files{"ca/c.go": `package ca; import "go.step.sm/crypto/kms/apiv1"`}, "whose door is internal/keys"},
		{"the outer door", "third parties use their door", files{"ca/c.go": `package ca; import "go.step.sm/crypto/x509util"`}, ""},
		{"the shared part of a room with tables", "third parties use their door", files{"archive/record/r.go": `package record; import "github.com/jackc/pgx/v5"`}, "whose door is"},
		{"a stranger", "third parties use their door", files{"ca/c.go": `package ca; import "github.com/pkg/errors"`}, "has no door"},
		{"a tests' tool in production", "third parties use their door", files{"ca/c.go": `package ca; import "github.com/google/go-cmp/cmp"`}, "for tests only"},
		{"the standard library", "third parties use their door", files{"ca/c.go": `package ca; import "net/http"`}, ""},

		{"a silent package", "packages say what they own", files{"ca/ca.go": `package ca`}, "no package comment"},
		{"a curt package", "packages say what they own", files{"ca/ca.go": "// Package ca issues certificates.\npackage ca"}, "one sentence"},
		{"a package under another's name", "packages say what they own", files{"ca/ca.go": "// Package pki issues. It owns keys.\npackage ca"}, `must begin with "Package ca "`},
		{"a package that explains itself", "packages say what they own", files{"ca/ca.go": "// Package ca issues certificates. It owns\n// issuers and knows no mail.\npackage ca", "ca/b.go": "package ca"}, ""},
		{"a folder of tests", "packages say what they own", files{"ca/ca_test.go": `package ca_test`}, ""},

		{"a drawer", "names are of the trade", files{"ca/helper.go": `package ca`}, `"helper" says nothing`},
		{"a drawer for tests", "names are of the trade", files{"ca/issue_util_test.go": `package ca`}, `"util" says nothing`},
		{"a package that is a drawer", "names are of the trade", files{"internal/common/c.go": `package common`}, `"common" says nothing`},
		{"a type without a trade", "names are of the trade", files{"ca/ca.go": `package ca; type KeyManager struct{}`}, "type KeyManager"},
		{"a word that only contains one", "names are of the trade", files{"ca/score.go": `package ca; type Implied struct{}`}, ""},

		{"a clock of one's own", "time is handed in", files{"ca/ca.go": `package ca; import "time"; var now = time.Now`}, "package variable holds time.Now"},
		{"a clock under another name", "time is handed in", files{"ca/ca.go": `package ca; import tm "time"; var start = tm.Now()`}, "package variable holds time.Now"},
		{"a clock of a test's own", "time is handed in", files{"ca/ca_test.go": `package ca; import "time"; var start = time.Now()`}, ""},
		{"a default in New", "time is handed in", files{"ca/ca.go": `package ca; import "time"; func New() { now := time.Now; _ = now }`}, ""},

		{"testing in production", "testing stays in tests", files{"ca/kit.go": `package ca; import "testing"; var _ testing.TB`}, "imports testing"},
		{"testing in support", "testing stays in tests", files{"internal/pgtest/p.go": `package pgtest; import "testing"; var _ testing.TB`}, ""},

		{"an exit", "only commands end the process", files{"ca/ca.go": `package ca; import "os"; func f() { os.Exit(1) }`}, "os.Exit ends the process"},
		{"a panic", "only commands end the process", files{"ca/ca.go": `package ca; func f() { panic("no") }`}, "panic ends the process"},
		{"an exit in a command", "only commands end the process", files{"cmd/sealpost/main.go": `package main; import "os"; func main() { os.Exit(1) }`}, ""},

		{"the global logger", "logs are handed in", files{"ca/ca.go": `package ca; import "log/slog"; func f() { slog.Info("x") }`}, "slog.Info is the global logger"},
		{"a logger handed in", "logs are handed in", files{"ca/ca.go": `package ca; import "log/slog"; func f(l *slog.Logger) { l.Info("x") }`}, ""},

		{"another room's table", "rooms read their own tables", files{"enroll/store.go": "package enroll; const q = `select serial\n from ca.certificate`"}, "SQL on schema ca"},
		{"the queue's table", "rooms read their own tables", files{"enroll/store.go": "package enroll; const q = `delete from river.river_job`"}, "SQL on schema river"},
		{"its own table", "rooms read their own tables", files{"ca/store.go": "package ca; const q = `select serial from ca.certificate`"}, ""},
		{"prose", "rooms read their own tables", files{"ca/ca.go": "package ca; const q = `mail from example.test`"}, ""},

		{"mathematics that opens files", "pure packages do no I/O", files{"archive/threshold/t.go": `package threshold; import "os"; var _ = os.Args`}, "does no I/O"},
		{"mathematics", "pure packages do no I/O", files{"archive/threshold/t.go": `package threshold; import "math/big"; var _ big.Int`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if rules[c.rule] == nil {
				t.Fatalf("there is no rule %q", c.rule)
			}
			check(t, rules[c.rule](c.in.house(t)), c.want)
		})
	}
}

func TestEveryRuleIsShownAFault(t *testing.T) {
	t.Parallel()
	broken := files{
		"ledger/helper.go":    `package ledger; import ("testing"; "github.com/pkg/errors"; "time"; "os"; "log"); var now = time.Now; func f() { os.Exit(1); log.Print() }`,
		"ca/issue.go":         `package ca; import (` + ours + `web"); const q = "select 1 from archive.record"`,
		"archive/record/r.go": `package record; import "os"`,
	}.house(t)
	for name, rule := range rules {
		if len(rule(broken)) == 0 {
			t.Errorf("%q finds nothing in a house that breaks every rule", name)
		}
	}
}

func TestServerCodeInAClientIsSeen(t *testing.T) {
	t.Parallel()
	fine := []string{"fmt", module + "/api", module + "/archive/record", module + "/internal/fault", "github.com/google/uuid"}
	check(t, linksServerCode("agent", fine), "")
	for _, p := range []string{module + "/archive", module + "/web/pages", module + "/internal/pg", "github.com/jackc/pgx/v5/pgconn", "testing"} {
		check(t, linksServerCode("agent", append(fine, p)), "agent links "+p)
	}
}

func TestMachinePathsAreSeen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cd /wo" + "rk/main && make":             "/wo" + "rk/main",
		"see \"/ho" + "me/alice/x\"":             "/ho" + "me/alice/x",
		"first line\n\t/ro" + "ot/.cache":        "a.md:2",
		"/tmp/" + "house/RULES":                  "/tmp/" + "house/RULES",
		"pki/root/key and https://x.test/work/1": "",
		"./home/x, ~/work/x, /etc/sealpost":      "",
		"\x00/wo" + "rk/":                        "",
	} {
		check(t, machinePaths("a.md", text), want)
	}
}

// check wants exactly one fault that contains want, or none if want is "".
func check(t *testing.T, faults []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(faults) > 0:
		t.Errorf("found %q where nothing is wrong", faults)
	case want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)):
		t.Errorf("found %q, want one that says %q", faults, want)
	}
}
