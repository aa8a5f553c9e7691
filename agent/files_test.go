package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
)

// realWorkstation enrols with today's date and an RSA key to read mail with, as most people have: other programs look at
// the clock, and not all take EC keys.
func realWorkstation(t *testing.T, opt agent.EnrolOptions) (*workstation, *agent.Identity) {
	t.Helper()
	w := newWorkstation(t)
	w.clock.at = time.Now()
	w.plans[0] = dualPlan("RSA-3072")
	opt.Folder = t.TempDir()
	id, err := w.enrol(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	return w, id
}

// OpenSSL reads every file, and the two certificates and their keys do what they are for.
func TestFilesWithOpenSSL(t *testing.T) {
	t.Parallel()
	w, id := realWorkstation(t, agent.EnrolOptions{})
	in := func(name ...string) string { return filepath.Join(append([]string{id.Folder}, name...)...) }
	root := filepath.Join(t.TempDir(), "root.pem")
	write(t, root, pemOf(w.pki.root))
	password := "file:" + in(agent.PasswordFile)
	for name, purpose := range map[string]string{agent.SigningFile: "smimesign", agent.EncryptionFile: "smimeencrypt"} {
		run(t, "", "openssl", "verify", "-CAfile", root, "-untrusted", in(agent.ChainFile), "-purpose", purpose, in(name))
	}
	for name, want := range map[string][3]int{agent.P12File: {2, 4, 0}, "gpgsm/01.p12": {1, 3, 0}, "gpgsm/02.p12": {1, 3, 0}} {
		out := run(t, "", "openssl", "pkcs12", "-in", in(name), "-passin", password, "-nodes", "-info")
		if keys, certs := strings.Count(out, "BEGIN PRIVATE KEY"), strings.Count(out, "BEGIN CERTIFICATE"); keys != want[0] || certs != want[1] {
			t.Errorf("%s has %d keys and %d certificates, want %d and %d", name, keys, certs, want[0], want[1])
		}
	}
	keys := filepath.Join(t.TempDir(), "keys.pem")
	for file, certificate := range map[string]string{"gpgsm/01.p12": agent.SigningFile, "gpgsm/02.p12": agent.EncryptionFile} {
		write(t, keys, []byte(run(t, "", "openssl", "pkcs12", "-in", in(file), "-passin", password, "-nodes", "-nocerts")))
		mail := filepath.Join(t.TempDir(), "mail")
		write(t, mail, []byte("hello\n"))
		if certificate == agent.SigningFile {
			run(t, "", "openssl", "cms", "-sign", "-in", mail, "-signer", in(certificate), "-inkey", keys, "-certfile", in(agent.ChainFile), "-out", mail+".p7s")
			run(t, "", "openssl", "cms", "-verify", "-in", mail+".p7s", "-CAfile", root, "-purpose", "smimesign")
			continue
		}
		run(t, "", "openssl", "cms", "-encrypt", "-aes256", "-in", mail, "-out", mail+".p7m", in(certificate))
		if out := run(t, "", "openssl", "cms", "-decrypt", "-in", mail+".p7m", "-recip", in(certificate), "-inkey", keys); !strings.Contains(out, "hello") {
			t.Errorf("decrypted %q", out)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
