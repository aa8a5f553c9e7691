package ocsp_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// openssl asks over HTTP about a certificate and verifies the answer with the root alone.
func (r *rig) openssl(t *testing.T, leaf []byte, options ...string) string {
	t.Helper()
	// The option for the hash counts for the certificates that follow it.
	args := append(append([]string{"ocsp"}, options...), "-issuer", write(t, "issuing.pem", pkitest.PEM(r.Issuing.Raw)), "-cert", write(t, "leaf.pem", pkitest.PEM(leaf)),
		"-CAfile", write(t, "root.pem", pkitest.PEM(r.Root.Raw)), "-url", r.server.URL+"/")
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v: %s", args, err, out)
	}
	return string(out)
}

func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestOpensslAsks(t *testing.T) {
	t.Parallel()
	r := setup(t)
	alice, bob, carol := r.issue(t, "alice"), r.issue(t, "bob"), r.issue(t, "carol")
	r.revoke(t, bob, ca.KeyCompromise)
	r.revoke(t, carol, ca.CertificateHold)
	r.run(t)
	for _, options := range [][]string{{"-sha1", "-no_nonce"}, {"-sha256", "-no_nonce"}, {"-sha1"}, {"-sha256", "-nonce"}} {
		for _, c := range []struct {
			leaf  ca.Certificate
			wants []string
		}{
			{alice, []string{"Response verify OK", ": good", "Next Update"}},
			{bob, []string{"Response verify OK", ": revoked", "Reason: keyCompromise"}},
			{carol, []string{"Response verify OK", ": revoked", "Reason: certificateHold"}},
		} {
			out := r.openssl(t, c.leaf.DER, options...)
			for _, want := range c.wants {
				if !strings.Contains(out, want) {
					t.Errorf("%v: no %q in: %s", options, want, out)
				}
			}
			if strings.Contains(out, "WARNING") { // that there is no nonce
				t.Errorf("%v: %s", options, out)
			}
		}
	}
	if out := r.openssl(t, alice.DER, "-signer", write(t, "signer.pem", pkitest.PEM(r.Issuing.Raw)), "-signkey", write(t, "key.pem", pkcs8(t, r.IssuingKey))); !strings.Contains(out, ": good") {
		t.Errorf("a signed request: %s", out)
	}
	got := r.http(t, "GET", getPath(query{ids: []id{r.id(t, bob)}}.der(t)), nil)
	if out := r.openssl(t, bob.DER, "-respin", write(t, "answer.der", got.body)); !strings.Contains(out, "Response verify OK") || !strings.Contains(out, ": revoked") {
		t.Errorf("answered by GET: %s", out)
	}
	out := r.openssl(t, alice.DER, "-issuer", write(t, "i.pem", pkitest.PEM(r.Issuing.Raw)), "-cert", write(t, "bob.pem", pkitest.PEM(bob.DER)))
	if !strings.Contains(out, ": good") || !strings.Contains(out, ": revoked") {
		t.Errorf("two certificates in one request: %s", out)
	}
}

// TestNSSAsks lets NSS, which Thunderbird checks certificates with, ask and judge: two of its programs.
func TestNSSAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("needs NSS' programs; not run with -short")
	}
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, bob := r.issue(t, "alice"), r.issue(t, "bob")
	r.revoke(t, bob, ca.KeyCompromise)
	dir := t.TempDir()
	run := func(name string, args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("certutil", "-N", "-d", "sql:"+dir, "--empty-password"); err != nil {
		t.Fatal(out)
	}
	for _, c := range []struct {
		name, trust string
		der         []byte
	}{{"root", "CT,C,C", r.Root.Raw}, {"issuing", ",,", r.Issuing.Raw}, {"alice", ",,", alice.DER}, {"bob", ",,", bob.DER}} {
		if out, err := run("certutil", "-A", "-d", "sql:"+dir, "-n", c.name, "-t", c.trust, "-i", write(t, c.name+".der", c.der)); err != nil {
			t.Fatal(out)
		}
	}
	for name, want := range map[string]string{"alice": "succeeded", "bob": "revoked"} {
		// E is an email signer. The address is in the certificate.
		out, _ := run("ocspclnt", "-d", "sql:"+dir, "-V", name, "-u", "E")
		if !strings.Contains(strings.ToLower(out), want) {
			t.Errorf("ocspclnt %s: %s", name, out)
		}
	}
}

// TestGpgsmAsks lets GnuPG's dirmngr ask, with a nonce as it always does, and gpgsm verify mail by the answer.
func TestGpgsmAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("needs gpgsm; not run with -short")
	}
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, bob := r.issue(t, "alice"), r.issue(t, "bob")
	r.revoke(t, bob, ca.KeyCompromise)
	home := gpgtest.New(t, r.Root)
	// No more than that OCSP may be used: neither responders nor their certificates are configured.
	log := home.Path("dirmngr.log")
	home.Write("dirmngr.conf", []byte("allow-ocsp\nverbose\nlog-file "+log+"\n"))
	home.Run("gpgsm", "--batch", "--import", write(t, "all.pem", pkitest.PEM(r.Root.Raw, r.Issuing.Raw, alice.DER, bob.DER)))
	for _, c := range []struct{ name, status, said string }{{"alice", "good", ""}, {"bob", "revoked", "certificate has been revoked"}} {
		out, _ := home.Try("gpgsm", "--batch", "--enable-ocsp", "--disable-crl-checks", "--with-validation", "--list-keys", c.name+"@"+pkitest.Domain)
		logged, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		// The root answers no OCSP, so gpgsm has nothing to check the issuing certificate with: the leaf's status is what counts.
		if !strings.Contains(string(logged), "certificate status is: "+c.status) || !strings.Contains(out, c.said) {
			t.Errorf("%s: gpgsm says: %s\ndirmngr says: %s", c.name, out, logged)
		}
	}
}
