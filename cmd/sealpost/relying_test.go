package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/ftptest"
)

// TestRelyingParties is docs/relying-parties.md, command by command: a folder that a web server shows and an FTP server are
// points, and outsiders find the same everywhere.
func TestRelyingParties(t *testing.T) {
	t.Parallel()
	i, base := newInstallation(t), t.TempDir()
	ftp := ftptest.New(t, ftptest.Config{Security: ftptest.Explicit})
	share := t.TempDir()
	web := httptest.NewServer(http.StripPrefix("/pki/", http.FileServer(http.Dir(share))))
	t.Cleanup(web.Close)
	f := newFollower(t, i, base, "/srv/www/pki", share, "http://www.example.com", web.URL, "ftp://ftp.example.com", ftp.URL(), "ftp.example.com", ftp.Address(),
		"login: sealpost", "login: "+ftptest.Login, "ldap://ldap.example.com", strings.TrimSuffix(i.slapd.StartTLSURL(), "/"))
	write(t, f.path("ftp.password"), ftp.Password)
	must(t, os.Chmod(f.path("ftp.password"), 0o600))
	write(t, f.path("ftp-ca.pem"), read(t, ftp.TrustFile))

	var serial string
	f.before["sealpost crl status"] = func() {
		pair, _ := f.server.enrol(t, "alice")
		serial = pair.Certificates[0].Serial
		f.carry(f.path("pki/root.pem"), "anybody/root.pem")
		write(t, f.at("anybody/alice.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificates[0].DER})))
		f.run(t, "crl publish") // the very first list names no delta
	}
	f.says = map[string]string{
		"sealpost crl status":                              "partners",
		"openssl x509 -in alice.pem":                       i.public + "/crl/issuing.crl",
		"openssl verify -CAfile":                           "alice.pem: OK",
		"curl -fsS http://" + i.public + "/ca/issuing.p7c": "CN = Example Secure Mail CA",
		"openssl crl -inform DER -in issuing.crl -CAfile":  "verify OK",
		"openssl verify -crl_check_all -CAfile":            "alice.pem: OK",
		"openssl ocsp":                                     "alice.pem: revoked",
		"openssl verify -crl_check_all -use_deltas -extended_crl -CAfile trusted.pem":    "alice.pem: OK",
		"openssl verify -crl_check_all -use_deltas -extended_crl -CAfile with-delta.pem": "certificate revoked",
	}
	f.before["curl -fsS -o issuing.crl"] = f.everywhere
	f.before["openssl ocsp"] = func() {
		f.run(t, "revoke", serial, "--reason", "keyCompromise", "--note", "Her computer is lost.", "--yes")
	}
	f.before["curl -fsS http://"+i.public+"/crl/issuing.delta.crl"] = func() {
		e2etest.Eventually(t, func() error {
			delta, err := x509.ParseRevocationList(f.fetch(t, "/crl/issuing.delta.crl"))
			if err == nil && len(delta.RevokedCertificateEntries) == 0 {
				err = errors.New("the delta is not yet the one after the revocation")
			}
			return err
		})
	}
	f.document("docs/relying-parties.md", "", "")
	f.done(24)
}

// everywhere waits until every distribution point was seen to show the newest list of the issuing authority.
func (f *follower) everywhere() {
	f.t.Helper()
	e2etest.Eventually(f.t, func() error {
		status := f.run(f.t, "crl status")
		file, newest := (crl.Kind{}).FileName(setup.IssuerID), ""
		for line := range strings.Lines(status) {
			if w := strings.Fields(line); len(w) > 1 && w[0] == file {
				newest = w[1]
			}
		}
		for _, point := range []string{"http", "ldap-" + setup.IssuerID, "web", "partners"} {
			shown := false
			for line := range strings.Lines(status) {
				w := strings.Fields(line)
				shown = shown || len(w) > 3 && w[0] == point && w[1] == file && w[3] == newest
			}
			if !shown {
				return fmt.Errorf("%s does not show number %s:\n%s", point, newest, status)
			}
		}
		return nil
	})
}
