package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// Every address in every certificate of every kind that an installation issues is asked, as a relying party would, and
// answers with what it is named for.
func TestEveryAddressAnswers(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	issuing := parseFile(t, i.path("pki/issuing.pem"))
	i.public = host(t, issuing.CRLDistributionPoints[0]) // where `init` was told that this installation would be
	i.complete(t)
	i.db.Exec(t, `delete from enroll.server_key`) // it names the first installation's directory
	before := i.db.Count(t, `select coalesce(max(number), 0) from ca.certificate`)
	i.everyKind(t)
	var profiles []string
	for _, p := range ca.DefaultProfiles() {
		profiles = append(profiles, p.Name)
	}
	query := fmt.Sprintf(` from ca.certificate where number > %d`, before)
	if kinds := i.psql(t, `select distinct profile`+query); !slices.Equal(slices.Sorted(slices.Values(kinds)), slices.Sorted(slices.Values(profiles))) {
		t.Errorf("certificates of the kinds %v were issued; there are %v", kinds, profiles)
	}
	a := &asker{t: t, i: i, dir: t.TempDir(), answers: map[string][]byte{}}
	must(t, os.CopyFS(filepath.Join(a.dir, "pki"), os.DirFS(i.path("pki"))))
	a.askAll("issuing", issuing, "root")
	a.askAll("root", parseFile(t, i.path("pki/root.pem")), "root")
	for _, row := range i.psql(t, `select profile || ':' || replace(encode(der, 'base64'), E'\n', '')`+query) {
		profile, text, _ := strings.Cut(row, ":")
		der, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		leaf, err := x509.ParseCertificate(der)
		must(t, err)
		if n := a.askAll(profile, leaf, "issuing"); (n < 4) != (profile == ca.OCSPSigning) {
			t.Errorf("a certificate of the kind %s has %d addresses", profile, n)
		}
	}
	if len(a.answers) != 5 { // two lists over HTTP, one from the directory, two issuers
		t.Errorf("%d addresses were asked: %v", len(a.answers), slices.Collect(func(yield func(string) bool) {
			for u := range a.answers {
				if !yield(u) {
					return
				}
			}
		}))
	}
}

// everyKind starts the server and has it issue a certificate of every kind.
func (i *installation) everyKind(t *testing.T) {
	t.Helper()
	kinds := []map[string]any{
		{"name": "pair", "signing": ca.SMIMESigning, "encryption": ca.SMIMEEncryption},
		{"name": "single", "signing": ca.SMIMESingle},
		{"name": "role", "signing": ca.RoleMailboxSigning, "encryption": ca.RoleMailboxEncryption},
		{"name": "auth", "signing": ca.PersonAuth},
		{"name": "recipient", "encryption": ca.RecoveryRecipient},
	}
	for _, k := range kinds {
		k["title"] = k["name"]
	}
	i.edit(t, map[string]any{"enrolment.plans": kinds})
	for _, use := range []string{"signing", "decryption"} {
		write(t, i.path(use+".csr"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: pkitest.CSR(t, pkitest.NewKey(t, ca.P256), "x")})))
	}
	i.run(t, "roster certify olivia", "--signing", i.path("signing.csr"), "--decryption", i.path("decryption.csr"), "--out", i.path("card"))
	r := i.serve(t)
	alice := r.as(t, "alice")
	defer alice.Close()
	p, err := alice.Policy(t.Context())
	must(t, err)
	for _, e := range p.Enrolments {
		q := api.EnrolmentRequest{Enrolment: e.Name}
		var key crypto.Signer
		if e.Signing != nil {
			q.SigningCSR = pkitest.CSR(t, pkitest.NewKey(t, ca.P256), "x")
		}
		if e.Encryption != nil {
			key = pkitest.NewKey(t, ca.P256)
			q.EncryptionCSR = pkitest.CSR(t, key, "x")
			if e.Encryption.Escrowed {
				q.EscrowedKey = escrow(t, p, q, key)
			}
		}
		if status, err := alice.Enrol(t.Context(), uuid.NewString(), q); err != nil || status.State != api.StateIssued {
			t.Errorf("%s: %+v, %v", e.Name, status, err)
		}
	}
	e2etest.Eventually(t, func() error { // the list is brought to the directory a moment later
		if n := i.db.Count(t, `select count(*) from crl.point where point = 'ldap-issuing' and file = 'issuing.crl' and seen_at is not null`); n != 1 {
			return fmt.Errorf("the list has been seen at %d places", n)
		}
		return nil
	})
}

// asker asks addresses as relying parties do, with nothing but what a certificate says.
type asker struct {
	t       *testing.T
	i       *installation
	dir     string // with pki/
	answers map[string][]byte
}

// askAll asks every address in a certificate, and returns how many there are.
func (a *asker) askAll(what string, c *x509.Certificate, issuer string) int {
	a.t.Helper()
	leaf := filepath.Join(a.dir, "leaf.pem")
	writePEM(a.t, leaf, c.Raw)
	asked := 0
	for _, u := range c.IssuingCertificateURL {
		asked++
		writePEM(a.t, filepath.Join(a.dir, "fetched.pem"), a.get(u, "application/pkix-cert"))
		openssl(a.t, a.dir, "verify", "-partial_chain", "-no-CAfile", "-no-CApath", "-trusted", "fetched.pem", "leaf.pem")
	}
	for _, u := range c.CRLDistributionPoints {
		asked++
		var der []byte
		if strings.HasPrefix(u, "ldap:") {
			der = a.search(u)
		} else {
			der = a.get(u, "application/pkix-crl")
		}
		write(a.t, filepath.Join(a.dir, "fetched.crl"), string(der))
		openssl(a.t, a.dir, "crl", "-inform", "DER", "-in", "fetched.crl", "-out", "crl.pem", "-CAfile", "pki/"+issuer+".pem")
		openssl(a.t, a.dir, "verify", "-x509_strict", "-crl_check", "-partial_chain", "-no-CAfile", "-no-CApath", "-trusted", "pki/"+issuer+".pem", "-CRLfile", "crl.pem", "leaf.pem")
	}
	for _, u := range c.OCSPServer {
		asked++
		a.ocsp(what, u, issuer)
	}
	text := openssl(a.t, a.dir, "x509", "-in", "leaf.pem", "-noout", "-text")
	if n := strings.Count(text, "URI:"); n != asked {
		a.t.Errorf("%s: openssl sees %d addresses, %d were asked:\n%s", what, n, asked, text)
	}
	return asked
}

func (a *asker) get(u, mediaType string) []byte {
	a.t.Helper()
	if b, ok := a.answers[u]; ok {
		return b
	}
	a.answers[u] = a.read(u, mediaType, func() (*http.Response, error) { return http.Get(u) })
	return a.answers[u]
}

func (a *asker) read(u, mediaType string, ask func() (*http.Response, error)) []byte {
	a.t.Helper()
	resp, err := ask()
	must(a.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(a.t, err)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != mediaType || len(b) == 0 {
		a.t.Fatalf("%s: status %d, %s, %d bytes", u, resp.StatusCode, resp.Header.Get("Content-Type"), len(b))
	}
	return b
}

// search asks an LDAP URL (RFC 4516) with ldapsearch, which takes its parts one by one. Nobody logs in.
func (a *asker) search(u string) []byte {
	a.t.Helper()
	if b, ok := a.answers[u]; ok {
		return b
	}
	parsed, err := url.Parse(u)
	must(a.t, err)
	parts := strings.Split(parsed.RawQuery, "?") // attributes, scope, filter
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "(") {
		a.t.Fatalf("%s has the parts %q", u, parts)
	}
	out := e2etest.Good(a.t, e2etest.Command{Path: "ldapsearch", Env: []string{"LDAPCONF=/dev/null"}, Args: []string{"-LLL", "-x", "-o", "ldif-wrap=no", "-H", "ldap://" + parsed.Host,
		"-b", strings.TrimPrefix(parsed.Path, "/"), "-s", parts[1], parts[2], parts[0]}})
	_, text, found := strings.Cut(out, ":: ")
	if !found {
		a.t.Fatalf("%s: %s", u, out)
	}
	text, _, _ = strings.Cut(text, "\n")
	der, err := base64.StdEncoding.DecodeString(text)
	must(a.t, err)
	a.answers[u] = der
	return der
}

// ocsp asks about the certificate in leaf.pem.
func (a *asker) ocsp(what, u, issuer string) {
	a.t.Helper()
	about := []string{"ocsp", "-issuer", "pki/" + issuer + ".pem", "-cert", "leaf.pem"}
	openssl(a.t, a.dir, append(about, "-reqout", "ocsp.req")...)
	request := []byte(read(a.t, filepath.Join(a.dir, "ocsp.req")))
	post := func() (*http.Response, error) {
		return http.Post(u, "application/ocsp-request", bytes.NewReader(request))
	}
	get := func() (*http.Response, error) {
		return http.Get(strings.TrimSuffix(u, "/") + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(request)))
	}
	for _, ask := range []func() (*http.Response, error){post, get} {
		write(a.t, filepath.Join(a.dir, "ocsp.resp"), string(a.read(u, "application/ocsp-response", ask)))
		said := openssl(a.t, a.dir, append(about, "-respin", "ocsp.resp", "-CAfile", "pki/root.pem", "-no_nonce")...)
		if !strings.Contains(said, "Response verify OK") || !strings.Contains(said, "leaf.pem: good") {
			a.t.Errorf("%s: OCSP says %s", what, said)
		}
	}
}

func parseFile(t testing.TB, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, path)))
	c, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return c
}

func writePEM(t testing.TB, path string, der []byte) {
	t.Helper()
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func host(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Host
}
