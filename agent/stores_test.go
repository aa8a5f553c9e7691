package agent_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
)

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// Keys and trust arrive in NSS such that its own programs accept both certificates for mail and nothing for servers.
func TestNSS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		own      string // password of identity.p12
		database string // password of the database
	}{{"new database", "", ""}, {"with a password", "", "sesame"}, {"own password", "pässwörd €", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
			if tt.database != "" { // as a mail program that was there before has it
				nss.PasswordFile = filepath.Join(t.TempDir(), "password")
				write(t, nss.PasswordFile, []byte(tt.database+"\n"))
				if err := os.Mkdir(nss.Dir, 0o700); err != nil {
					t.Fatal(err)
				}
				run(t, "", "certutil", "-N", "-d", "sql:"+nss.Dir, "-f", nss.PasswordFile)
			}
			w, id := realWorkstation(t, agent.EnrolOptions{Password: tt.own, Stores: agent.Stores{NSS: agent.Databases{nss}}})
			for range 2 { // the second time changes nothing
				if _, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{Password: tt.own}); err != nil {
					t.Fatal(err)
				}
			}
			db := []string{"-d", "sql:" + nss.Dir}
			if tt.database != "" {
				db = append(db, "-f", nss.PasswordFile)
			}
			if keys := run(t, "", "certutil", append(db, "-K")...); strings.Count(keys, "\n<") != 2 {
				t.Errorf("keys:\n%s", keys)
			}
			for usage, file := range map[string]string{"4": agent.SigningFile, "5": agent.EncryptionFile} { // email signer, email recipient
				out := run(t, "", "vfychain", "-d", "sql:"+nss.Dir, "-pp", "-u", usage, "-a", filepath.Join(id.Folder, file))
				if !strings.Contains(out, "Chain is good") {
					t.Errorf("%s for usage %s: %s", file, usage, out)
				}
			}
			server := filepath.Join(t.TempDir(), "server.pem")
			der := w.pki.issue(t, template{name: "www.example.test", now: w.clock.at, usage: x509.KeyUsageDigitalSignature, change: func(c *x509.Certificate) {
				c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"www.example.test"}
			}}, ecKey(t).Public())
			write(t, server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
			out, err := runError("", nil, "vfychain", "-d", "sql:"+nss.Dir, "-pp", "-u", "1", "-a", server)
			if err == nil || strings.Contains(out, "Chain is good") {
				t.Errorf("the root is trusted for servers too: %s", out)
			}
		})
	}
}

// gpgsm 2.2 takes RSA keys and only the certificate of an EC key, and says so; newer ones take both. Signing, encrypting
// and decrypting work without another question once the root is trusted.
func TestGPGSM(t *testing.T) {
	t.Parallel()
	for _, signing := range []string{"P-256", "RSA-3072"} {
		t.Run(signing, func(t *testing.T) {
			t.Parallel()
			home, err := os.MkdirTemp("", "gpgsm-") // short: sockets lie in it
			if err != nil {
				t.Fatal(err)
			}
			env := []string{"GNUPGHOME=" + home}
			t.Cleanup(func() {
				if out, err := runError("", env, "gpgconf", "--kill", "all"); err != nil {
					t.Errorf("gpgconf: %v: %s", err, out)
				}
				if err := os.RemoveAll(home); err != nil {
					t.Error(err)
				}
			})
			mine := "# mine\n" + strings.Repeat("00:", 19) + "11 S"
			trustlist := filepath.Join(home, "trustlist.txt")
			write(t, trustlist, []byte(mine) /* no end of line */)
			w, id := realWorkstation(t, agent.EnrolOptions{Prefer: agent.Prefer{Signing: signing}})
			opt := agent.FillOptions{Stores: agent.Stores{GPGSM: &store.GPGSM{Home: home, TrustRoots: true}}}
			var filled []agent.Filled
			for range 2 {
				if filled, err = w.agent(t, asAlice).Fill(t.Context(), opt); err != nil {
					t.Fatal(err)
				}
			}
			if list := readFile(t, trustlist); strings.Count(list, "relax") != 1 || !strings.HasPrefix(list, mine+"\n#") {
				t.Errorf("trustlist.txt:\n%s", list)
			}
			version := run(t, "", "gpgsm", "--version")
			old := strings.Contains(version, "GnuPG) 2.2")
			noted := len(filled[0].Notes) == 1 && strings.Contains(filled[0].Notes[0], "RSA keys only")
			if want := old && signing == "P-256"; noted != want {
				t.Errorf("notes = %q", filled[0].Notes)
			}
			password, err := id.GeneratedPassword()
			if err != nil {
				t.Fatal(err)
			}
			gpgsm := func(args ...string) string {
				out, err := runError(password+"\n", env, "gpgsm", append([]string{"--batch", "--disable-crl-checks", "--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)...)
				if err != nil {
					t.Errorf("gpgsm %v: %v\n%s", args, err, out)
				}
				return out
			}
			mail := filepath.Join(home, "mail")
			write(t, mail, []byte("hello\n"))
			gpgsm("-r", "alice@example.test", "--output", mail+".p7m", "--encrypt", mail)
			if out := gpgsm("--decrypt", mail+".p7m"); !strings.Contains(out, "hello") {
				t.Errorf("decrypted %q", out)
			}
			if old && signing == "P-256" {
				return
			}
			gpgsm("-u", "alice@example.test", "--output", mail+".p7s", "--sign", mail)
			if out := gpgsm("--verify", mail+".p7s"); !strings.Contains(out, "Good signature") {
				t.Errorf("verified: %s", out)
			}
		})
	}
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{}); !errors.Is(err, agent.ErrNoIdentity) {
		t.Errorf("nobody: %v, want ErrNoIdentity", err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{Password: "chosen"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{}); !errors.Is(err, agent.ErrPassword) {
		t.Errorf("without the password: %v, want ErrPassword", err)
	}
}

// Renewal keeps the stores in mind, and the kinds of key.
func TestRenewalRemembers(t *testing.T) {
	t.Parallel()
	nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
	w, _ := realWorkstation(t, agent.EnrolOptions{Prefer: agent.Prefer{Signing: "RSA-3072"}, Stores: agent.Stores{NSS: agent.Databases{nss}}})
	w.clock.at = time.Now().Add(time.Second)
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := r.Identity.Signing().Leaf()
	if err != nil || leaf.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the new signing key is %v, %v", leaf.PublicKeyAlgorithm, err)
	}
	if _, err := w.agent(t, byCertificate).Fill(t.Context(), agent.FillOptions{}); err != nil {
		t.Fatal(err)
	}
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 3 { // signing, encryption, old encryption
		t.Errorf("keys:\n%s", keys)
	}
}
