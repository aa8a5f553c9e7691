package web_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
)

// curl asks as an integrator would, with programs that share nothing with ours.
func (r *rig) curl(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	out := run(t, "curl", append([]string{"--silent", "--show-error", "--cacert", r.CAFile, "--max-time", "20", "--write-out", "\n%{http_code}"}, args...)...)
	i := strings.LastIndex(out, "\n")
	return out[i+1:], out[:i]
}

func keyPEM(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestCurlWithEveryKindOfCredentials(t *testing.T) {
	r := setup(t)
	issued, keys := r.enrol(t, "alice", housetest.Pair)
	made := read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: "bob@example.test", Hours: 1}))
	dir := newFiles(t)
	signing, signingKey := dir.write("signing.pem", pemOf(issued.Certificates[0].DER)), dir.write("signing.key", keyPEM(t, keys.Signing))
	encryption, encryptionKey := dir.write("encryption.pem", pemOf(issued.Certificates[1].DER)), dir.write("encryption.key", keyPEM(t, keys.Encryption))
	policy := r.API + api.Base + "/policy"
	for _, c := range []struct {
		what   string
		args   []string
		status string
		says   string
	}{
		{"nothing", []string{policy}, "401", "credentials-missing"},
		{"a certificate", []string{"--cert", signing, "--key", signingKey, policy}, "200", "Alice Anders"},
		{"a certificate over HTTP/1.1 and TLS 1.2", []string{"--http1.1", "--tls-max", "1.2", "--cert", signing, "--key", signingKey, policy}, "200", "Alice Anders"},
		{"an encryption certificate", []string{"--cert", encryption, "--key", encryptionKey, policy}, "401", "client-certificate"},
		{"a token", []string{"--oauth2-bearer", made.Token, policy}, "200", "Bob Brown"},
		{"a password", []string{"--user", "carol:carol-sample", policy}, "200", "carol@example.test"},
		{"a wrong password", []string{"--user", "carol:x", policy}, "401", "wrong-credentials"},
	} {
		if status, body := r.curl(t, c.args...); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: status %s, %s", c.what, status, body)
		}
	}
}

// A renewal by curl, with the certificate that is being renewed; then 10 MB.
func TestCurlRenews(t *testing.T) {
	r := setup(t)
	issued, keys := r.enrol(t, "alice", housetest.Pair)
	dir := newFiles(t)
	s, _ := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	body, err := json.Marshal(wire(s))
	must(t, err)
	renew := func(file string) (string, string) {
		return r.curl(t, "--cert", dir.path("signing.pem"), "--key", dir.path("signing.key"), "--http1.1", "--header", "Content-Type: application/json",
			"--header", api.IdempotencyHeader+": "+uuid.NewString(), "--data-binary", "@"+file, r.API+api.Base+"/enrolments")
	}
	dir.write("signing.pem", pemOf(issued.Certificates[0].DER))
	dir.write("signing.key", keyPEM(t, keys.Signing))
	status, out := renew(dir.write("request.json", body))
	var got api.EnrolmentStatus
	decode(t, []byte(out), &got)
	if status != "201" || got.State != api.StateIssued || len(got.Certificates) != 2 {
		t.Fatalf("status %s, %s", status, out)
	}
	roots := dir.write("roots.pem", pemOf(r.PKI.Root.Raw, r.PKI.Issuing.Raw))
	// openssl knows no purpose for encryption with an elliptic curve.
	for i, purpose := range []string{"smimesign", "any"} {
		run(t, "openssl", "verify", "-purpose", purpose, "-CAfile", roots, dir.write("new.pem", pemOf(got.Certificates[i].DER)))
	}
	large := dir.path("large")
	f, err := os.Create(large)
	must(t, err)
	must(t, f.Truncate(10<<20))
	must(t, f.Close())
	if status, out := renew(large); status != "413" || !strings.Contains(out, "request-too-large") {
		t.Errorf("10 MB: status %s, %s", status, out)
	}
}

// The answers of the public addresses, as openssl reads them.
func TestCurlFetchesTheListAndTheIssuer(t *testing.T) {
	r := setup(t)
	_, err := r.Lists.Build(t.Context(), "issuing", 0)
	must(t, err)
	dir := newFiles(t)
	for path, file := range map[string]string{"/crl/issuing.crl": "list.crl", "/ca/issuing.cer": "issuing.cer", "/crl/root.crl": "root.crl"} {
		if status, _ := r.curl(t, "--output", dir.path(file), r.Public+path); status != "200" {
			t.Fatalf("%s: status %s", path, status)
		}
	}
	roots := dir.write("roots.pem", pemOf(r.PKI.Root.Raw, r.PKI.Issuing.Raw))
	for _, list := range []string{"list.crl", "root.crl"} {
		if out := run(t, "openssl", "crl", "-inform", "DER", "-in", dir.path(list), "-CAfile", roots, "-noout", "-issuer", "-crlnumber"); !strings.Contains(out, "verify OK") {
			t.Errorf("%s: %s", list, out)
		}
	}
	if out := run(t, "openssl", "x509", "-inform", "DER", "-in", dir.path("issuing.cer"), "-noout", "-subject"); !strings.Contains(out, "Test Issuing") {
		t.Errorf("%s", out)
	}
}
