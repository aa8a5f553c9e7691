package ca_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// judged are the certificates that programs of others judge: made now, because not all of them let the time be set.
func judged(t *testing.T) (pkitest.Hierarchy, map[string][]byte) {
	t.Helper()
	h := pkitest.NewHierarchy(t, time.Now())
	draft, err := ca.Drafter(h.Config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, s := range samples(t) {
		d, err := draft(s.request)
		if err != nil {
			t.Fatal(err)
		}
		if out[s.profile+"-"+string(s.key)], err = d.Sign(); err != nil {
			t.Fatal(err)
		}
	}
	return h, out
}

// TestGoAcceptsChains lets Go's verifier, which demands an extended key usage of the whole chain, judge every profile.
// OCSP signing is missing: an issuer does not list it, and no responder's certificate is verified that way
// (docs/decisions/0006-ca.md).
func TestGoAcceptsChains(t *testing.T) {
	t.Parallel()
	h, certs := judged(t)
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(h.Root)
	middle.AddCert(h.Issuing)
	for name, der := range certs {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		usages := cert.ExtKeyUsage
		if len(usages) == 0 { // one of ours, which Go cannot ask for
			usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, KeyUsages: usages}); (err != nil) != strings.HasPrefix(name, ca.OCSPSigning) {
			t.Errorf("%s: %v", name, err)
		}
		if len(cert.UnhandledCriticalExtensions) > 0 {
			t.Errorf("%s: unhandled %v", name, cert.UnhandledCriticalExtensions)
		}
	}
}

// TestNSSAcceptsChains lets NSS, as Thunderbird does, judge certificates for mail, and for TLS.
func TestNSSAcceptsChains(t *testing.T) {
	if testing.Short() {
		t.Skip("needs certutil; not run with -short")
	}
	t.Parallel()
	h, certs := judged(t)
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "certutil", append([]string{"-d", "sql:" + dir}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
	add := func(name, trust string, der []byte) {
		t.Helper()
		file := filepath.Join(dir, name+".pem")
		if err := os.WriteFile(file, pkitest.PEM(der), 0o600); err != nil {
			t.Fatal(err)
		}
		must("-A", "-n", name, "-t", trust, "-a", "-i", file)
	}
	must("-N", "--empty-password")
	add("root", "CT,C,C", h.Root.Raw)
	add("issuing", ",,", h.Issuing.Raw)
	for name, der := range certs {
		add(name, ",,", der)
	}
	// certutil -V -u: S signs mail, R receives mail, C is a TLS client, V a TLS server. Of a key on an elliptic curve NSS
	// asks no more than that it signs or agrees: hence R for one that only signs.
	for name, usages := range map[string]string{
		ca.SMIMESigning + "-P-256": "SR", ca.SMIMESigning + "-RSA-3072": "S",
		ca.SMIMEEncryption + "-P-256": "R", ca.SMIMEEncryption + "-RSA-3072": "R",
		ca.SMIMESingle + "-RSA-3072": "SR", ca.RoleMailboxSigning + "-RSA-3072": "S", ca.RoleMailboxEncryption + "-RSA-3072": "R",
		ca.PersonAuth + "-P-256": "C", ca.ServerTLS + "-P-256": "V",
		ca.ArchiveExchange + "-P-256": "", ca.PolicySigning + "-P-256": "", ca.AgentSigning + "-P-256": "", ca.AgentDecryption + "-RSA-3072": "",
	} {
		for _, u := range []string{"S", "R", "C", "V"} {
			out, err := run("-V", "-n", name, "-u", u)
			if (err == nil) != strings.Contains(usages, u) {
				t.Errorf("%s for %s: %v %s", name, u, err, out)
			}
		}
	}
}

// TestGpgsmAcceptsChains lets GnuPG judge the certificates of a pair.
func TestGpgsmAcceptsChains(t *testing.T) {
	if testing.Short() {
		t.Skip("needs gpgsm; not run with -short")
	}
	t.Parallel()
	h, certs := judged(t)
	home := gpgtest.New(t, h.Root)
	names := []string{ca.SMIMESigning + "-P-256", ca.SMIMESigning + "-RSA-3072", ca.SMIMEEncryption + "-P-256", ca.SMIMEEncryption + "-RSA-3072"}
	all := [][]byte{h.Root.Raw, h.Issuing.Raw}
	for _, n := range names {
		all = append(all, certs[n])
	}
	home.Import(all...)
	out, err := home.Try("gpgsm", "--batch", "--disable-crl-checks", "--with-validation", "--list-keys", "alice@example.test")
	if err != nil || strings.Count(out, "certificate is good") != len(names) {
		t.Errorf("gpgsm --list-keys: %v\n%s", err, out)
	}
}
