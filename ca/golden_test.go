package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// TestGolden compares the to-be-signed bytes of every profile with those of former versions (signatures are random), and
// lets openssl judge each certificate for its purpose, with chain and revocation lists.
func TestGolden(t *testing.T) {
	t.Parallel()
	h := fixedHierarchy(t)
	c := h.Config()
	c.Now = func() time.Time { return goldenTime }
	dir := judgeDir(t, h)
	for _, s := range samples(t) {
		t.Run(s.profile+"/"+string(s.key), func(t *testing.T) {
			draft, err := ca.Drafter(c, counting())
			if err != nil {
				t.Fatal(err)
			}
			d, err := draft(s.request)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, s.profile+"-"+string(s.key)+".pem", d.TBS)
			der, err := d.Sign()
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil || !bytes.Equal(cert.RawTBSCertificate, d.TBS) {
				t.Fatalf("what was signed is not what was prepared: %v", err)
			}
			name := s.profile + "-" + string(s.key) + ".crt"
			if err := os.WriteFile(filepath.Join(dir, name), pkitest.PEM(der), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, purpose := range purposes(s) {
				if out, err := opensslVerify(dir, purpose, name); err != nil {
					t.Errorf("openssl verify -purpose %s: %v\n%s", purpose, err, out)
				}
			}
			if encrypts(s.profile) {
				if out, err := opensslEncrypt(dir, name); err != nil {
					t.Errorf("openssl cms -encrypt: %v\n%s", err, out)
				}
			}
			for _, purpose := range wrongPurposes(s) {
				if out, err := opensslVerify(dir, purpose, name); err == nil {
					t.Errorf("openssl verify -purpose %s accepts it\n%s", purpose, out)
				}
			}
		})
	}
}

// judgeDir holds what openssl needs: root, chain, and both lists.
func judgeDir(t *testing.T, h pkitest.Hierarchy) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("root.crt", "CERTIFICATE", h.Root.Raw)
	write("issuing.crt", "CERTIFICATE", h.Issuing.Raw)
	write("root.crl", "X509 CRL", h.RootCRL(t, goldenTime.Add(-time.Hour)))
	crl, err := x509.CreateRevocationList(nil, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: goldenTime.Add(-time.Hour),
		NextUpdate: goldenTime.AddDate(0, 0, 7)}, h.Issuing, h.IssuingKey)
	if err != nil {
		t.Fatal(err)
	}
	write("issuing.crl", "X509 CRL", crl)
	return dir
}

func opensslVerify(dir, purpose, name string) (string, error) {
	cmd := exec.Command("openssl", "verify", "-x509_strict", "-attime", fmt.Sprint(goldenTime.Unix()), "-purpose", purpose,
		"-CAfile", "root.crt", "-untrusted", "issuing.crt", "-crl_check_all", "-CRLfile", "root.crl", "-CRLfile", "issuing.crl", name)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// purposes are what openssl must accept a certificate for. OpenSSL 3.0 demands keyEncipherment of whoever is encrypted
// to, which an elliptic curve key must not have (S/MIME BR §7.1.2.3 e): there it is openssl cms that judges.
func purposes(s sample) []string {
	switch s.profile {
	case ca.SMIMESigning, ca.RoleMailboxSigning:
		return []string{"smimesign"}
	case ca.SMIMEEncryption, ca.RoleMailboxEncryption:
		if s.key == ca.P256 {
			return []string{"any"}
		}
		return []string{"smimeencrypt"}
	case ca.SMIMESingle:
		if s.key == ca.P256 {
			return []string{"smimesign"}
		}
		return []string{"smimesign", "smimeencrypt"}
	case ca.PersonAuth:
		return []string{"sslclient"}
	case ca.ServerTLS:
		return []string{"sslserver"}
	case ca.OCSPSigning:
		return []string{"ocsphelper"}
	default:
		return []string{"any"}
	}
}

func wrongPurposes(s sample) []string {
	var out []string
	right := strings.Join(purposes(s), " ")
	for _, p := range []string{"smimesign", "smimeencrypt", "sslclient", "sslserver", "timestampsign"} {
		if !strings.Contains(right, p) {
			out = append(out, p)
		}
	}
	return out
}

// encrypts reports whether certificates of a profile are there to be encrypted to.
func encrypts(profile string) bool {
	switch profile {
	case ca.SMIMEEncryption, ca.RoleMailboxEncryption, ca.SMIMESingle, ca.AgentDecryption, ca.RecoveryRecipient, ca.ArchiveExchange:
		return true
	}
	return false
}

// opensslEncrypt encrypts to a certificate. OpenSSL asks for no purpose, but for the key usage.
func opensslEncrypt(dir, name string) (string, error) {
	cmd := exec.Command("openssl", "cms", "-encrypt", "-aes-256-cbc", "-in", "root.crt", "-out", os.DevNull, "-recip", name)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func compare(t *testing.T, name string, tbs []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	got := pem.EncodeToMemory(&pem.Block{Type: "TBS CERTIFICATE", Bytes: tbs})
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the bytes changed; if they should, run go test ./ca -run Golden -update\n%s", path, got)
	}
}
