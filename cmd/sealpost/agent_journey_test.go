package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// A person's years with the agent and a real server: enrolled by password, listed, renewed by the certificate itself,
// revoked; openssl sees each as an outsider would.
func TestAgentJourney(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	d := r.desk(t, "alice")
	if out := e2etest.Good(t, d.enroll()); !strings.Contains(out, "Alice Anders <alice@example.test>") {
		t.Errorf("enroll says: %s", out)
	}
	d.count(2, 1)
	d.verifies()
	first := d.list()
	if len(first) != 2 || slices.ContainsFunc(first, func(c api.Certificate) bool { return c.Status != "good" }) {
		t.Fatalf("list: %+v", first)
	}
	old := d.file("old.pem")
	write(t, old, read(t, d.file("out", "signing.pem")))

	d.does("renew")
	d.count(2, 1) // it is not due
	d.does("renew --force")
	d.count(4, 2)
	d.verifies()
	if seen := r.Stderr(); strings.Count(seen, `"method":"POST","path":"/api/v1/enrolments"`) != 2 || !strings.Contains(seen, `"by":"certificate"`) {
		t.Errorf("the renewal was not asked for by certificate")
	}
	if n := strings.Count(d.tool("openssl", "pkcs12", "-in", "identity.p12", "-passin", "file:identity.password", "-nocerts", "-nodes"), "BEGIN PRIVATE KEY"); n != 3 {
		t.Errorf("identity.p12 holds %d keys after the renewal, want signing, encryption and the old encryption key", n)
	}
	// What was encrypted before the renewal is still read, with the key that came along.
	d.tool("openssl", "cms", "-encrypt", "-aes256", "-in", d.file("mail.txt"), "-out", d.file("old.p7m"), d.encryptionOf(first))
	if out := d.tool("openssl", "cms", "-decrypt", "-in", d.file("old.p7m"), "-inkey", d.key("03"), "-recip", d.encryptionOf(first)); !strings.Contains(out, "small room") {
		t.Errorf("the old mail reads: %s", out)
	}

	d.answers("signing.pem", "good", "OK")
	current := d.list()
	i := slices.IndexFunc(current, func(c api.Certificate) bool {
		return c.Use == "signing" && !slices.ContainsFunc(first, func(f api.Certificate) bool { return f.Serial == c.Serial })
	})
	fails(t, d.byCertificate("revoke", "00ff", "--reason", "superseded", "--yes"), "nothing-to-revoke")
	if out := d.does("revoke", current[i].Serial, "--reason", "keyCompromise", "--yes"); !strings.Contains(out, "revoked") {
		t.Errorf("revoke says: %s", out)
	}
	d.answers("signing.pem", "revoked", "certificate revoked")
	d.answers("encryption.pem", "good", "OK")
	fails(t, d.byCertificate("list"), "client-certificate-revoked")
	fails(t, d.byCertificate("renew --force"), "signing-certificate-revoked")
	d.count(4, 2)
}

// encryptionOf writes a person's encryption certificate of a list to a file, and returns its path.
func (d *desk) encryptionOf(list []api.Certificate) string {
	d.t.Helper()
	i := slices.IndexFunc(list, func(c api.Certificate) bool { return c.Use == "encryption" })
	write(d.t, d.file("encryption.der"), string(list[i].DER))
	d.tool("openssl", "x509", "-inform", "DER", "-in", d.file("encryption.der"), "-out", d.file("encryption.pem"))
	return d.file("encryption.pem")
}

// answers waits until OCSP and the revocation list both say of a certificate what is wanted: openssl asks both where any
// outsider would.
func (d *desk) answers(file, ocsp, verify string) {
	d.t.Helper()
	e2etest.Eventually(d.t, func() error {
		asked := e2etest.Run(d.t, e2etest.Command{Path: "openssl", Dir: d.file("out"), Args: []string{"ocsp", "-issuer", d.path("pki/issuing.pem"), "-cert", file,
			"-url", "http://" + d.public + "/ocsp/issuing", "-CAfile", d.path("pki/root.pem")}})
		if !strings.Contains(asked.Stdout, file+": "+ocsp) || !strings.Contains(asked.Stderr, "Response verify OK") {
			return fmt.Errorf("OCSP: %s%s", asked.Stdout, asked.Stderr)
		}
		write(d.t, d.file("issuing.crl"), string(d.fetch(d.t, "/crl/issuing.crl")))
		d.tool("openssl", "crl", "-inform", "DER", "-in", d.file("issuing.crl"), "-out", d.file("issuing.crl.pem"))
		checked := e2etest.Run(d.t, e2etest.Command{Path: "openssl", Dir: d.file("out"), Args: []string{"verify", "-crl_check", "-CAfile", d.path("pki/root.pem"),
			"-untrusted", "chain.pem", "-CRLfile", d.file("issuing.crl.pem"), file}})
		if !strings.Contains(checked.Stdout+checked.Stderr, verify) {
			return fmt.Errorf("the list: %s%s", checked.Stdout, checked.Stderr)
		}
		return nil
	})
}

// A token is good for one enrolment on one workstation.
func TestAgentToken(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	d := r.desk(t, "bob")
	token := d.token("robert.brown@example.test")
	thief := r.desk(t, "alice")
	e2etest.Good(t, d.enroll("--token-file", token))
	d.count(2, 1)
	d.verifies()
	fails(t, thief.enroll("--token-file", token), "enrolment-token")
	if out := e2etest.Good(t, thief.byCertificate("status")); !strings.Contains(out, "nothing here yet") && !strings.Contains(out, "was begun") {
		t.Errorf("status after a token that was used: %s", out)
	}
	thief.count(0, 0)
	d.count(2, 1)
	d.does("renew --force") // from now on the certificate is enough
	d.count(4, 2)
	fails(t, thief.enroll("--token-file", token, "--again"), "enrolment-token")
}

// Where a registrar must agree, nobody else can, and least of all the person who asks, even if a registrar.
func TestAgentEndorsement(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	waiting := func(login string) (*desk, api.EnrolmentStatus) {
		d := r.desk(t, login)
		run := d.enroll("--enrolment", "smime-endorsed", "--wait", "0s")
		if got := e2etest.Run(t, run); got.Code != 3 || !strings.Contains(got.Stderr, "waits for a registrar") {
			t.Fatalf("%s: %+v", run, got)
		}
		c := r.as(t, registrar)
		defer c.Close()
		list, err := c.Enrolments(t.Context(), client.EnrolmentQuery{State: api.StateSubmitted})
		must(t, err)
		if len(list.Items) == 0 {
			t.Fatalf("%s's request does not wait", login)
		}
		d.count(0, 1) // the key is held until the registrar has decided
		return d, list.Items[len(list.Items)-1]
	}
	endorse := func(login string, id api.EnrolmentStatus) error {
		c := r.as(t, login)
		defer c.Close()
		_, err := c.Endorse(t.Context(), id.ID, api.Decision{})
		return err
	}
	alice, request := waiting("alice")
	if code := codeOf(endorse("alice", request)); code == "" {
		t.Error("alice endorsed her own request")
	}
	rita, own := waiting(registrar)
	if code := codeOf(endorse(registrar, own)); code != "own-request" {
		t.Errorf("the registrar endorses her own request: %q", code)
	}
	alice.count(0, 1)
	rita.count(0, 1)
	must(t, endorse(registrar, request))
	e2etest.Good(t, alice.enroll())
	alice.count(2, 1)
	alice.verifies()
	if got := e2etest.Run(t, rita.enroll("--wait", "0s")); got.Code != 3 {
		t.Errorf("the registrar's own request: %+v", got)
	}
}
