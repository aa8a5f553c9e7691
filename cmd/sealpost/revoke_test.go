package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// An operator revokes at the command line: nothing without --yes and a note; then by serial number, by person, by key, and
// the running server's next list has them all.
func TestRevoke(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	alice, _ := r.enrol(t, "alice")
	bob, _ := r.enrol(t, "bob")
	serial, other := alice.Certificates[0].Serial, alice.Certificates[1].Serial
	left := []string{"--reason", "affiliationChanged", "--note", "left on Friday"}
	with := func(more ...string) []string { return append(append([]string{}, more...), left...) }
	key := filepath.Join(t.TempDir(), "key.pem")
	write(t, key, string(pkitest.PEM(bob.Certificates[0].DER)))
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	write(t, notPEM, "no key")

	e2etest.Bad(t, i.command("revoke", with()...), "one of them")
	e2etest.Bad(t, i.command("revoke", with(serial, "--person", "alice")...), "one of them")
	e2etest.Bad(t, i.command("revoke", serial, "--reason", "superseded"), "--note is missing")
	e2etest.Bad(t, i.command("revoke", serial, "--reason", "spite", "--note", "x"), "spite")
	e2etest.Bad(t, i.command("revoke", serial, "--reason", "certificateHold", "--note", "x"), "only registrars")
	e2etest.Bad(t, i.command("revoke", with("4f1d0c2b3a495867", "--yes")...), "unknown-certificate")
	e2etest.Bad(t, i.command("revoke", with(serial, "--issuer", "nobody", "--yes")...), "unknown-certificate")
	e2etest.Bad(t, i.command("revoke", with("--person", "mallory", "--yes")...), "unknown-person")
	e2etest.Bad(t, i.command("revoke", with("--key", notPEM, "--yes")...), "neither a certificate nor a public key")
	e2etest.Bad(t, i.command("revoke", with(serial, "--since", "yesterday")...), "--since")
	if out := i.run(t, "revoke", with("--person", "alice@example.test")...); !bytes.Contains([]byte(out), []byte("Nothing was revoked")) {
		t.Errorf("without --yes: %s", out)
	}
	if n := i.db.Count(t, `select count(*) from ca.revocation`); n != 0 {
		t.Fatalf("%d are revoked", n)
	}

	i.run(t, "revoke", with(serial, "--yes")...)
	e2etest.Bad(t, i.command("revoke", with(serial, "--yes")...), "already-revoked")
	i.run(t, "revoke", with("--person", "alice", "--yes")...)
	i.run(t, "revoke", "--key", key, "--reason", "keyCompromise", "--since", "2026-01-02T03:04:05Z", "--note", "ticket 4711", "--yes")
	want := map[string]int{serial: 3, other: 3, bob.Certificates[0].Serial: 1}
	e2etest.Eventually(t, func() error {
		list, err := x509.ParseRevocationList(i.fetch(t, "/crl/issuing.crl"))
		if err != nil {
			return err
		}
		if len(list.RevokedCertificateEntries) != len(want) {
			return fmt.Errorf("%d entries", len(list.RevokedCertificateEntries))
		}
		for _, e := range list.RevokedCertificateEntries {
			if reason, ok := want[fmt.Sprintf("%032x", e.SerialNumber)]; !ok || reason != e.ReasonCode {
				return fmt.Errorf("%x, reason %d", e.SerialNumber, e.ReasonCode)
			}
		}
		return nil
	})
	if n := i.db.Count(t, `select count(*) from audit.event where kind = 'certificate.revoked' and body::jsonb #>> '{data,note}' in ('left on Friday', 'ticket 4711')
		and body::jsonb #>> '{actor,method}' = 'local'`); n != 3 {
		t.Errorf("%d events say why and by whom", n)
	}
}

// At the server: who is disabled is listed, kept, and revoked; by login while there is an entry, by id after.
func TestLeaversCommand(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"leavers.grace": "1ns"})
	r := i.serve(t)
	alice, _ := r.enrol(t, "alice")
	bob, _ := r.enrol(t, "bob")
	if out := i.run(t, "leavers sweep"); !strings.Contains(out, "Nobody") {
		t.Errorf("nobody left: %s", out)
	}
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: delete\n")
	out := strings.Join(strings.Fields(i.run(t, "leavers sweep")), " ")
	for _, want := range []string{"disabled " + alice.Person.String() + " Alice Anders alice@example.test policy", "gone " + bob.Person.String() + " Bob Brown bob@example.test policy"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s does not say %s", out, want)
		}
	}
	e2etest.Bad(t, i.command("leavers keep alice"), "leaver-reason")
	e2etest.Bad(t, i.command("leavers revoke carol --note x"), "unknown-leaver")
	e2etest.Bad(t, i.command("leavers revoke bob --note x"), "unknown-person")
	if out := i.run(t, "leavers keep alice", "--note", "On leave."); !strings.Contains(out, "Alice Anders: kept") {
		t.Errorf("keep: %s", out)
	}
	if out := i.run(t, "leavers revoke "+bob.Person.String(), "--note", "Left on Friday."); !strings.Contains(out, "Bob Brown: left") {
		t.Errorf("revoke: %s", out)
	}
	if out := i.run(t, "leavers list"); !strings.Contains(out, ": On leave.") || !strings.Contains(out, ": Left on Friday.") {
		t.Errorf("list: %s", out)
	}
	if n := i.db.Count(t, `select count(*) from ca.revocation`); n != 1 {
		t.Errorf("%d are revoked, want 1", n)
	}
}
