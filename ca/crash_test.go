package ca_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// broken makes the database refuse, at one point of a transaction, and back.
type broken struct {
	name   string
	table  string
	timing string // of the trigger: when the row is written, or at commit
	kill   bool   // the connection dies instead of an error coming back
}

func (b broken) sql() string {
	act := `raise exception 'broken here'`
	if b.kill {
		act = `perform pg_terminate_backend(pg_backend_pid())`
	}
	create := `create trigger broken after insert on ` + b.table
	if b.timing == "commit" {
		create = `create constraint trigger broken after insert on ` + b.table + ` deferrable initially deferred`
	}
	// The room's role may not signal its own connection; whoever owns the function may.
	return `create function public.broken() returns trigger language plpgsql security definer as $$ begin ` + act + `; return null; end $$;
		grant usage on schema public to public; ` + create + ` for each row execute function public.broken()`
}

func (b broken) repair() string {
	return `drop trigger broken on ` + b.table + `; drop function public.broken()`
}

// TestCrashPoints breaks Prepare and Sign at every table they write, when they write it and when they commit, with an
// error and with a connection that dies. Afterwards nothing is half done, and the same call succeeds.
func TestCrashPoints(t *testing.T) {
	var points []broken
	for _, table := range []string{"keyuse.key_use", "ca.prepared", "ca.certificate", "audit.event", "audit.pending"} {
		for _, timing := range []string{"write", "commit"} {
			for _, kill := range []bool{false, true} {
				points = append(points, broken{fmt.Sprintf("%s at %s, kill %v", table, timing, kill), table, timing, kill})
			}
		}
	}
	r := setup(t)
	for _, b := range points {
		alice := pkitest.NewPerson("alice")
		s, e := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()), alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
		e.ID = s.ID
		count := func(what string) int64 {
			return r.d.Count(t, `select count(*) from `+what, s.ID)
		}
		failed := func(step string, err error) {
			t.Helper()
			switch {
			case err == nil:
				t.Errorf("%s: %s succeeded", b.name, step)
			case b.kill && !errors.Is(err, pg.ErrUnavailable):
				t.Errorf("%s: %s: %v is not ErrUnavailable", b.name, step, err)
			}
		}
		if b.table != "ca.certificate" { // which Prepare does not write
			r.d.Exec(t, b.sql())
			_, err := r.Prepare(t.Context(), by, s, e)
			failed("Prepare", err)
			r.d.Exec(t, b.repair())
		}
		if n := count(`ca.prepared where request = $1`); n != 0 {
			t.Errorf("%s: %d serials left", b.name, n)
		}
		prepared, err := r.Prepare(t.Context(), by, s, e)
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		if b.table != "keyuse.key_use" && b.table != "ca.prepared" { // which Sign does not write
			r.d.Exec(t, b.sql())
			_, err = r.Sign(t.Context(), by, prepared)
			failed("Sign", err)
			r.d.Exec(t, b.repair())
		}
		if n := count(`ca.certificate where request = $1`) + count(`ca.prepared where state <> 'prepared' and request = $1`); n != 0 {
			t.Errorf("%s: %d half issued", b.name, n)
		}
		certs, err := r.Sign(t.Context(), by, prepared)
		if err != nil || len(certs) != 2 {
			t.Fatalf("%s: %v", b.name, err)
		}
		if n := count(`audit.event where body::jsonb #>> '{data,request}' = $1::text`); n != 4 {
			t.Errorf("%s: %d events, want 4", b.name, n)
		}
	}
	if n := r.d.Count(t, `select count(*) from ca.certificate c full join ca.prepared p using (issuer, serial) where c.der is null or p.state <> 'issued'`); n != 0 {
		t.Errorf("%d serials without their certificate, or the other way round", n)
	}
}

// TestPairIsOfOnePerson refuses requests under one id that do not name the same person in the same way.
func TestPairIsOfOnePerson(t *testing.T) {
	r := setup(t)
	alice, bob := pkitest.NewPerson("alice"), pkitest.NewPerson("bob")
	s := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())
	for name, spoil := range map[string]func(*ca.Request){
		"person":  func(q *ca.Request) { q.Person = bob.ID },
		"subject": func(q *ca.Request) { q.Subject.CommonName = "Bob" },
		"mailbox": func(q *ca.Request) { q.Mailboxes = append(q.Mailboxes, "other@example.test") },
	} {
		e := alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
		e.ID = s.ID
		spoil(&e)
		if _, err := r.Prepare(t.Context(), by, s, e); !errors.Is(err, ca.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestResponderIsAccepted: OpenSSL accepts an answer of the delegated responder, although the issuing certificate lists
// extended key usages and OCSP signing is not among them (docs/decisions/0006-ca.md).
func TestResponderIsAccepted(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := pkitest.NewHierarchy(t, now)
	draft, err := ca.Drafter(h.Config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(q ca.Request) []byte {
		t.Helper()
		d, err := draft(q)
		if err != nil {
			t.Fatal(err)
		}
		der, err := d.Sign()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	responderKey := pkitest.NewKey(t, ca.P256)
	responder := issue(ca.Request{ID: pkitest.NewPerson("").ID, Profile: ca.OCSPSigning, PublicKey: pkitest.SPKI(responderKey.Public()),
		Subject: ca.Subject{CommonName: "OCSP"}})
	leaf := issue(pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
	dir := t.TempDir()
	for name, der := range map[string][]byte{"root.crt": h.Root.Raw, "issuing.crt": h.Issuing.Raw, "leaf.crt": leaf} {
		if err := os.WriteFile(filepath.Join(dir, name), pkitest.PEM(der), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "openssl", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	answer := ocspAnswer(t, h, responder, responderKey, leaf, now)
	if err := os.WriteFile(filepath.Join(dir, "r.der"), answer, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run("ocsp", "-issuer", "issuing.crt", "-cert", "leaf.crt", "-respin", "r.der", "-CAfile", "root.crt", "-verify_other", "issuing.crt", "-no_nonce")
	if err != nil || !strings.Contains(out, "Response verify OK") || !strings.Contains(out, "leaf.crt: good") {
		t.Errorf("openssl ocsp: %v\n%s", err, out)
	}
	if _, err := ocsp.ParseResponse(answer, h.Issuing); err != nil {
		t.Errorf("Go: %v", err)
	}
}

func ocspAnswer(t *testing.T, h pkitest.Hierarchy, responder []byte, key crypto.Signer, leaf []byte, now time.Time) []byte {
	t.Helper()
	cert, err := x509.ParseCertificate(responder)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := x509.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	der, err := ocsp.CreateResponse(h.Issuing, cert, ocsp.Response{Status: ocsp.Good, SerialNumber: subject.SerialNumber, Certificate: cert,
		ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
