package demo_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/cmd/sealpost/demo"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// folder returns a folder for a demo, which the user that servers run as can reach.
func folder(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL, slapd and vsftpd; not run with -short")
	}
	dir, err := child.TempDir("sp-tour-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The contract of `sealpost demo --once --dir DIR`: what is left in DIR, and that other programs agree with it.
func TestTour(t *testing.T) {
	dir := folder(t)
	program := t.TempDir()
	if err := e2etest.Build(program, "sealpost"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := demo.Run(t.Context(), demo.Config{Dir: dir, Once: true, Program: filepath.Join(program, "sealpost"), Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var steps []demo.Step
	text, err := os.ReadFile(filepath.Join(dir, "tour.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &steps); err != nil {
		t.Fatal(err)
	}
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	for _, want := range []string{"laptop-lost", "one-officer-refused", "own-approval-refused", "keys-restored",
		"ftp-started", "crl-published", "certificate-revoked", "points-read-back", "delta-suffices", "ocsp-agrees",
		"directory-drifted", "directory-repaired", "workstation-enrolled", "second-workstation-restored", "workstation-renewed"} {
		if !slices.Contains(names, want) {
			t.Errorf("no step %s in %v", want, names)
		}
	}
	if len(steps) < 35 {
		t.Errorf("%d steps", len(steps))
	}
	for _, s := range steps {
		if !kebab.MatchString(s.Name) || !s.OK || s.Detail == "" {
			t.Errorf("step %+v", s)
		}
	}
	for _, login := range []string{"alice", "bob"} {
		for _, kind := range []string{"signing", "encryption"} {
			leafAlone(t, filepath.Join(dir, "people", login, kind+".pem"))
		}
		password := filepath.Join(dir, "people", login, "identity.password")
		if b, err := os.ReadFile(password); err != nil || bytes.Count(b, []byte("\n")) != 1 || !bytes.HasSuffix(b, []byte("\n")) {
			t.Errorf("%s is not one line, %v", password, err)
		}
		p12 := openssl(t, dir, "pkcs12", "-in", filepath.Join("people", login, "identity.p12"), "-passin", "file:"+password, "-nodes")
		if k, c := strings.Count(p12, "BEGIN PRIVATE KEY"), strings.Count(p12, "BEGIN CERTIFICATE"); k != 2 || c != 4 {
			t.Errorf("identity.p12 of %s holds %d keys and %d certificates, want both pairs and the chain", login, k, c)
		}
		if _, err := os.Stat(filepath.Join(dir, "people", login, "gpgsm", "01.p12")); err != nil {
			t.Error(err)
		}
	}
	for _, mail := range []string{"signed.eml", "opaque.eml"} {
		got := openssl(t, dir, "cms", "-verify", "-in", "mail/"+mail, "-CAfile", "pki/root.pem", "-certfile", "people/alice/signing.pem", "-purpose", "smimesign")
		if !strings.Contains(got, "At ten") {
			t.Errorf("%s: %s", mail, got)
		}
	}
	workstationsAgree(t, dir)
	listsAgree(t, dir)
	entriesAgree(t, dir)
	openssl(t, dir, "verify", "-CAfile", "pki/root.pem", "pki/issuing.pem")
	keys := openssl(t, dir, "pkcs12", "-in", "recovered/alice.p12", "-passin", "file:recovered/alice.password", "-nodes", "-nocerts")
	if n := strings.Count(keys, "BEGIN PRIVATE KEY"); n != 3 {
		t.Errorf("recovered/alice.p12 holds %d keys, want the new pair and the old encryption key", n)
	}
	for _, f := range []string{"server.yaml", "mail/encrypted.eml", "recovered/old.eml"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
}

// workstationsAgree: NSS has on both computers what agent/status.json says, and reads the mail that the first one's key was for.
func workstationsAgree(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "agent", "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var status map[string]struct {
		Machine    string
		Pairs      int
		Renewed    int
		OldKeys    int    `json:"old_keys"`
		Encryption string `json:"encryption_serial"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	first, second := status["first"], status["second"]
	if first.Machine == "" || first.Machine == second.Machine || first.Pairs != 2 || first.Renewed != 1 || second.Pairs != 1 || second.OldKeys != 1 {
		t.Errorf("%s", text)
	}
	for name, keys := range map[string]int{"first": 4, "second": 3} {
		nss := "sql:" + filepath.Join("agent", name, "nss")
		if out := tool(t, dir, "certutil", "-K", "-d", nss); strings.Count(out, "\n<") != keys {
			t.Errorf("%s: certutil finds\n%s", name, out)
		}
		if out := tool(t, dir, "cmsutil", "-D", "-d", nss, "-i", "agent/old.cms"); !strings.Contains(out, "At ten") {
			t.Errorf("%s: cmsutil says %s", name, out)
		}
	}
}

// listsAgree: what was fetched from the four distribution points is the same list, and an older one needs but the delta.
func listsAgree(t *testing.T, dir string) {
	t.Helper()
	serial := strings.TrimPrefix(strings.TrimSpace(openssl(t, dir, "x509", "-in", "people/carol/signing.pem", "-noout", "-serial")), "serial=")
	want, err := os.ReadFile(filepath.Join(dir, "crl", "issuing.crl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuing", "http", "ldap", "file", "ftp", "delta"} {
		file := filepath.Join("crl", name+".crl")
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || bytes.Equal(got, want) == (name == "delta") {
			t.Errorf("%s: %v, %d bytes; over HTTP %d bytes were fetched", file, err, len(got), len(want))
		}
		text := openssl(t, dir, "crl", "-inform", "DER", "-in", file, "-noout", "-text", "-CAfile", "pki/issuing.pem")
		for _, part := range []string{"verify OK", "Serial Number: " + serial} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: openssl does not say %q:\n%s", file, part, text)
			}
		}
		if strings.Contains(text, "X509v3 Delta CRL Indicator: critical") != (name == "delta") || strings.Contains(text, "X509v3 Freshest CRL") == (name == "delta") {
			t.Errorf("%s is of the wrong kind:\n%s", file, text)
		}
	}
	for trust, verdict := range map[string]string{"root-and-old-crl.pem": ": OK", "root-and-delta.pem": "certificate revoked"} {
		cmd := exec.CommandContext(t.Context(), "openssl", "verify", "-crl_check_all", "-use_deltas", "-extended_crl", "-CAfile", filepath.Join("pki", trust),
			"-untrusted", "pki/issuing.pem", "people/carol/signing.pem")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), verdict) || (err == nil) != (verdict == ": OK") {
			t.Errorf("with %s: %v: %s", trust, err, out)
		}
	}
}

// entriesAgree: before the repair alice's entry had a certificate too many and bob's lacked his; afterwards both are right, and
// what another authority issued is where it was. gal/diff.txt said so beforehand.
func entriesAgree(t *testing.T, dir string) {
	t.Helper()
	old, now := serial(t, dir, "people/alice/encryption.pem"), serial(t, dir, "recovered/laptop/encryption.pem")
	bob, hers, his := serial(t, dir, "people/bob/encryption.pem"), serial(t, dir, "gal/other-authority-alice.pem"), serial(t, dir, "gal/other-authority-bob.pem")
	for file, want := range map[string]map[string][]string{
		"before.ldif": {"alice": {old, now, hers}, "bob": {his}},
		"after.ldif":  {"alice": {now, hers}, "bob": {bob, his}},
	} {
		ldif, err := os.ReadFile(filepath.Join(dir, "gal", file))
		if err != nil {
			t.Fatal(err)
		}
		for login, want := range want {
			got := serialsIn(t, dir, string(ldif), login)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s shows %v, want %v", file, login, got, want)
			}
		}
	}
	diff, err := os.ReadFile(filepath.Join(dir, "gal", "diff.txt"))
	for _, want := range []string{"Alice Anders: 0 missing, 1 stale, 1 of others\n", "Bob Brown: 1 missing, 0 stale, 1 of others\n"} {
		if err != nil || !strings.Contains(string(diff), want) {
			t.Errorf("diff.txt: %v\n%swant %s", err, diff, want)
		}
	}
}

// serialsIn returns the serial numbers of the certificates in a person's entry in LDIF.
func serialsIn(t *testing.T, dir, ldif, login string) (out []string) {
	t.Helper()
	for entry := range strings.SplitSeq(ldif, "\n\n") {
		if !strings.HasPrefix(entry, "dn: uid="+login+",") {
			continue
		}
		for line := range strings.Lines(entry) {
			value, ok := strings.CutPrefix(line, "userCertificate;binary:: ")
			if !ok {
				continue
			}
			der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "value.der")
			if err := os.WriteFile(file, der, 0o600); err != nil {
				t.Fatal(err)
			}
			out = append(out, serial(t, dir, file))
		}
	}
	return out
}

func serial(t *testing.T, dir, file string) string {
	t.Helper()
	return strings.TrimSpace(openssl(t, dir, "x509", "-in", file, "-noout", "-serial"))
}

func leafAlone(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		t.Errorf("%s does not hold one certificate alone", path)
	}
}

func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return tool(t, dir, "openssl", args...)
}

func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestAFolderWithOtherThingsIsLeftAlone(t *testing.T) {
	dir := folder(t)
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := demo.Run(t.Context(), demo.Config{Dir: dir, Once: true, Out: new(bytes.Buffer)})
	if err == nil || !strings.Contains(err.Error(), "neither empty nor a former demo's") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
