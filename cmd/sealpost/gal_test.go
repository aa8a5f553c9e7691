package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// partner starts a further directory, in which entries are found by mail address, and returns its part of the configuration.
func partner(t *testing.T) (*slapdtest.Server, map[string]any) {
	t.Helper()
	s := slapdtest.New(t)
	return s, map[string]any{"name": "partners", "urls": []string{s.TLSURL()}, "trust_file": s.TrustFile, "people": map[string]any{"base": slapdtest.People},
		"lookup":    map[string]any{"dn": s.Lookup.DN, "password_file": s.Lookup.PasswordFile},
		"publisher": map[string]any{"dn": s.Publisher.DN, "password_file": s.Publisher.PasswordFile}, "domains": []string{"example.test"}}
}

// A further directory is in the configuration: the server shows certificates there too, and commands, REST and metrics tell of
// each.
func TestFurtherDirectory(t *testing.T) {
	t.Parallel()
	there, c := partner(t) // first: the installation's ports are chosen before they are used
	i := newInstallation(t)
	i.edit(t, map[string]any{"gal": map[string]any{"targets": []any{c}}})
	r := i.serve(t)
	i.run(t, "check --connect")
	r.enrol(t, "alice")
	shown := func() int {
		return strings.Count(there.Search(t, there.Lookup, "-b", slapdtest.PersonDN("alice"), "userCertificate"), "userCertificate;binary::")
	}
	e2etest.Eventually(t, func() error {
		if n := shown(); n != 1 {
			return fmt.Errorf("%d certificates there", n)
		}
		if left := i.psql(t, `select 'due ' || id from publication.due union all select 'due there ' || id from publication.due_further
			union all select 'sweep ' || target from gal.sweep where number = 0 or ended_at is null
			union all select 'no sweep' where (select count(*) from gal.sweep) < 2`); len(left) > 0 {
			return fmt.Errorf("the server is still at it: %v", left)
		}
		return nil
	})
	there.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\ndelete: userCertificate;binary\n")
	if out := i.run(t, "gal diff", "alice"); !strings.Contains(out, "company: Alice Anders: 0 missing") || !strings.Contains(out, "partners: Alice Anders: 1 missing") {
		t.Errorf("diff: %s", out)
	}
	if out := i.run(t, "gal diff", "--all", "--target", "partners"); !strings.Contains(out, "missing") || strings.Contains(out, "company:") {
		t.Errorf("diff --all: %s", out)
	}
	as := i.as(t, "operator")
	st, err := as.GAL(t.Context(), "partners")
	must(t, err)
	drift, err := as.Drift(t.Context(), client.DriftQuery{Directory: "partners"})
	must(t, err)
	if st.Directory != "partners" || st.Drift["missing"] != 1 || len(st.Directories) != 2 || len(drift.Items) != 1 {
		t.Errorf("%+v %+v", st, drift)
	}
	home, err := as.GAL(t.Context(), "")
	must(t, err)
	if home.Drift["missing"] != 0 || home.Directory != st.Directories[0] {
		t.Errorf("%+v", home)
	}
	if _, err := as.GAL(t.Context(), "nowhere"); err == nil {
		t.Error("a directory that there is not")
	}
	if _, err := i.as(t, "bob").GAL(t.Context(), "nowhere"); err == nil || strings.Contains(err.Error(), "unknown-directory") {
		t.Errorf("who sees nothing learns what there is not: %v", err)
	}
	i.run(t, "gal repair", "--all", "--target", "partners")
	if n := shown(); n != 1 {
		t.Errorf("%d certificates after the repair", n)
	}
	var names []string
	d := json.NewDecoder(strings.NewReader(i.run(t, "gal status", "--json")))
	for d.More() {
		var s api.GALStatus
		must(t, d.Decode(&s))
		names = append(names, s.Directory)
	}
	if len(names) != 2 || names[1] != "partners" {
		t.Errorf("status of %v", names)
	}
	oneLine(t, "nowhere", e2etest.Bad(t, i.command("gal diff --target nowhere", "alice"), `no directory "nowhere"`))
	if out := i.run(t, "gal check"); !strings.HasPrefix(out, "company\n  good     server ldaps://") || !strings.Contains(out, "\npartners\n  good     server "+there.TLSURL()) || strings.Contains(out, "  fault ") {
		t.Errorf("check: %s", out)
	}
	for line := range strings.Lines(i.run(t, "gal check --target partners --json")) {
		var one map[string]string
		must(t, json.Unmarshal([]byte(line), &one))
		if one["directory"] != "partners" || one["state"] != "good" || one["thing"] == "" || one["says"] == "" {
			t.Errorf("check: %s", line)
		}
	}
	// Away: said, and the other one is repaired all the same.
	there.Kill()
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\ndelete: userCertificate;binary\n")
	e2etest.Bad(t, i.command("gal publish", "alice"), "partners: ")
	e2etest.Bad(t, i.command("gal check"), "partners: 1 of 1 things that were tried must be put right")
	if out := i.slapd.Search(t, i.slapd.Lookup, "-b", slapdtest.PersonDN("alice"), "userCertificate"); !strings.Contains(out, "userCertificate;binary::") {
		t.Errorf("not repaired at home: %s", out)
	}
}
