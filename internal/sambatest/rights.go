package sambatest

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Parts of a dsacls command: the entry, whom the rights are inherited by, and what is granted to whom.
var (
	dsaclsEntry   = regexp.MustCompile(`^dsacls "([^"]+)" `)
	dsaclsInherit = regexp.MustCompile(` /I:([TSP]) `)
	dsaclsGrant   = regexp.MustCompile(`"[^"\\:]+\\([^":]+):([A-Z]+)(?:;([A-Za-z]*))?(?:;([A-Za-z]*))?"`)
)

// Dsacls does what a dsacls command of Windows would do, as far as documents use it: dsacls "DN" [/I:T|S] /G "DOMAIN\account:RIGHTS;attribute
// or class;class that inherits"…. Names are replaced first, in pairs of old and new, so that commands can be taken from a document.
func (s *Server) Dsacls(t testing.TB, command string, names ...string) {
	t.Helper()
	command = strings.NewReplacer(names...).Replace(command)
	entry, grants := dsaclsEntry.FindStringSubmatch(command), dsaclsGrant.FindAllStringSubmatch(command, -1)
	if entry == nil || len(grants) == 0 {
		t.Fatalf("this is no command that grants rights: %s", command)
	}
	flags := ""
	if inherit := dsaclsInherit.FindStringSubmatch(command); inherit != nil {
		flags = map[string]string{"T": "CI", "S": "CIIO", "P": "CINP"}[inherit[1]]
	}
	sddl := ""
	for _, g := range grants {
		sid, err := s.sid(t.Context(), s.find(t, g[1]))
		if err != nil {
			t.Fatal(err)
		}
		sddl += fmt.Sprintf("(OA;%s;%s;%s;%s;%s)", flags, g[2], s.schemaID(t, g[3]), s.schemaID(t, g[4]), sid)
	}
	if out, err := s.allow(t.Context(), entry[1], sddl); err != nil {
		t.Fatalf("samba-tool dsacl: %v: %s", err, out)
	}
}

// find returns the name of an account's entry.
func (s *Server) find(t testing.TB, account string) string {
	t.Helper()
	out := s.Search(t, s.Admin, "-b", Base, "(sAMAccountName="+account+")", "1.1")
	_, dn, ok := strings.Cut(out, "dn: ")
	if !ok {
		t.Fatalf("there is no account %s", account)
	}
	dn, _, _ = strings.Cut(dn, "\n")
	return dn
}

// schemaID returns the identifier of an attribute or a class in access rights.
func (s *Server) schemaID(t testing.TB, name string) string {
	t.Helper()
	if name == "" {
		return ""
	}
	out := s.Search(t, s.Admin, "-b", "CN=Schema,"+Configuration, "(lDAPDisplayName="+name+")", "schemaIDGUID")
	_, value, _ := strings.Cut(out, "schemaIDGUID:: ")
	value, _, _ = strings.Cut(value, "\n")
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(b) != 16 {
		t.Fatalf("the schema has no %s: %s", name, out)
	}
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6] // MS-DTYP §2.3.4.2
	return uuid.UUID(b).String()
}

// ShowToWorld lets everybody read an entry and all below it, without a login. While the test runs the whole forest answers who has
// not logged in (dSHeuristics), so only one test of a package may call it.
func (s *Server) ShowToWorld(t testing.TB, dn string) {
	t.Helper()
	const heuristics = "dn: CN=Directory Service,CN=Windows NT,CN=Services," + Configuration + "\nchangetype: modify\nreplace: dSHeuristics\n"
	s.Modify(t, heuristics+"dSHeuristics: 0000002\n")
	t.Cleanup(func() {
		if out, err := s.modify(context.WithoutCancel(t.Context()), s.Admin, heuristics); err != nil {
			t.Errorf("ldapmodify: %v: %s", err, out)
		}
	})
	if out, err := s.allow(t.Context(), dn, "(A;CI;RPLCLO;;;AN)"); err != nil {
		t.Fatalf("samba-tool dsacl: %v: %s", err, out)
	}
}
