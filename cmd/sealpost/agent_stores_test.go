package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// What the agent writes is read by those that it is written for: openssl, NSS and gpgsm; and the older protection by gpgsm 2.2.
func TestAgentFiles(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	e2etest.Good(t, d.enroll("--signing-key", "RSA-3072"))
	info := d.tool("openssl", "pkcs12", "-in", "identity.p12", "-passin", "file:identity.password", "-info", "-noout")
	if !strings.Contains(info, "MAC: sha256") || !strings.Contains(info, "PBES2, PBKDF2, AES-256-CBC") || strings.Contains(info, "3-KeyTripleDES") {
		t.Errorf("identity.p12: %s", info)
	}
	info = d.tool("openssl", "pkcs12", "-legacy", "-in", "gpgsm/01.p12", "-passin", "file:identity.password", "-info", "-noout")
	if !strings.Contains(info, "3-KeyTripleDES-CBC") {
		t.Errorf("gpgsm/01.p12: %s", info)
	}
	for _, file := range []string{"identity.p12", "gpgsm/01.p12", "gpgsm/02.p12"} {
		want := 1
		if file == "identity.p12" {
			want = 2
		}
		out := d.tool("pk12util", "-l", file, "-w", "identity.password")
		keys, own, issuers := strings.Count(out, "Key(shrouded):"), strings.Count(out, "Certificate(has private key):"), strings.Count(out, "Certificate:")
		if keys != want || own != want || issuers != 2 {
			t.Errorf("NSS finds %d keys, %d certificates for them and %d issuers in %s:\n%s", keys, own, issuers, file, out)
		}
		e2etest.ToolRefuses(t, "", d.file("out"), "openssl", "pkcs12", "-legacy", "-in", file, "-passin", "pass:wrong", "-noout")
	}
	_, gpgsm := d.gnupg()
	for _, file := range []string{"gpgsm/01.p12", "gpgsm/02.p12"} {
		if out := e2etest.Run(t, gpgsm("--status-fd", "1", "--import", d.file("out", filepath.FromSlash(file)))); !strings.Contains(out.Stdout, "IMPORT_OK") {
			t.Errorf("gpgsm does not take %s: %+v", file, out)
		}
	}
	if out := e2etest.Good(t, gpgsm("--list-secret-keys", "--with-colons")); strings.Count(out, "\ncrs:") != 2 {
		t.Errorf("gpgsm has not both keys:\n%s", out)
	}
	for _, file := range []string{"signing.pem", "encryption.pem"} {
		if text := read(t, d.file("out", file)); strings.Count(text, "-----BEGIN") != 1 || !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----\n") {
			t.Errorf("%s holds more than a certificate:\n%s", file, text)
		}
	}
	d.verifies()
}

// A password of one's own protects the files and is written nowhere.
func TestAgentOwnPassword(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	write(t, d.file("mine"), "five words of my own\n")
	e2etest.Good(t, d.enroll("--p12-password-file", d.file("mine")))
	d.tool("openssl", "pkcs12", "-in", "identity.p12", "-passin", "file:"+d.file("mine"), "-noout")
	if found := e2etest.Run(t, e2etest.Command{Path: "grep", Args: []string{"-r", "five words", d.file("out"), d.file("state")}}); found.Code != 1 {
		t.Errorf("the password is on disk: %s", found.Stdout)
	}
	fails(t, d.byCertificate("renew --force"), "identity-password")
	d.count(2, 1)
	d.does("renew --force", "--p12-password-file", d.file("mine"))
	d.count(4, 2)
}

var nickname = regexp.MustCompile(`(?m)^(Alice .*?) +u,u,u`)

// Thunderbird's database: the agent fills it, and NSS signs and reads mail with what is in it.
func TestAgentInstallsIntoNSS(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	db := "sql:" + d.file("profile")
	e2etest.Good(t, d.enroll("--nss", d.file("profile")))
	m := nickname.FindStringSubmatch(d.tool("certutil", "-L", "-d", db))
	if m == nil {
		t.Fatalf("the database has no certificate of alice's:\n%s", d.tool("certutil", "-L", "-d", db))
	}
	if keys := d.tool("certutil", "-K", "-d", db); strings.Count(keys, "\n<") != 2 {
		t.Errorf("keys:\n%s", keys)
	}
	d.tool("cmsutil", "-S", "-d", db, "-N", m[1], "-i", d.file("mail.txt"), "-o", d.file("mail.p7s"), "-G")
	if out := d.tool("openssl", "cms", "-verify", "-inform", "DER", "-in", d.file("mail.p7s"), "-CAfile", d.path("pki/root.pem"), "-purpose", "smimesign", "-certsout", d.file("signer.pem")); !strings.Contains(out, "small room") {
		t.Errorf("what NSS signed, openssl reads as: %s", out)
	}
	if !strings.Contains(read(t, d.file("signer.pem")), strings.Split(read(t, d.file("out", "signing.pem")), "\n")[1]) {
		t.Error("NSS signed with another certificate")
	}
	d.tool("openssl", "cms", "-encrypt", "-aes256", "-outform", "DER", "-in", d.file("mail.txt"), "-out", d.file("mail.p7m"), "encryption.pem")
	if out := d.tool("cmsutil", "-D", "-d", db, "-i", d.file("mail.p7m")); !strings.Contains(out, "small room") {
		t.Errorf("what openssl encrypted, NSS reads as: %s", out)
	}
	// A renewal fills it again, and the old mail stays readable there.
	d.does("renew --force")
	if keys := d.tool("certutil", "-K", "-d", db); strings.Count(keys, "\n<") != 4 {
		t.Errorf("keys after the renewal:\n%s", keys)
	}
	if out := d.tool("cmsutil", "-D", "-d", db, "-i", d.file("mail.p7m")); !strings.Contains(out, "small room") {
		t.Errorf("after the renewal NSS reads the old mail as: %s", out)
	}
}

// gpgsm: the agent fills its key ring; it signs, verifies, and reads what openssl encrypted.
func TestAgentInstallsIntoGPGSM(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).desk(t, "alice")
	home, gpgsm := d.gnupg()
	e2etest.Good(t, d.enroll("--signing-key", "RSA-3072", "--gpgsm-home", home, "--gpgsm-trust"))
	signed := d.file("mail.p7s")
	e2etest.Good(t, gpgsm("-u", "alice@example.test", "--output", signed, "--sign", d.file("mail.txt")))
	if out := e2etest.Run(t, gpgsm("--verify", signed)); out.Code != 0 || !strings.Contains(out.Stderr, "Good signature") {
		t.Errorf("gpgsm verifies its own: %+v", out)
	}
	if out := d.tool("openssl", "cms", "-verify", "-inform", "DER", "-in", signed, "-CAfile", d.path("pki/root.pem"), "-certfile", "chain.pem", "-purpose", "smimesign"); !strings.Contains(out, "small room") {
		t.Errorf("what gpgsm signed, openssl reads as: %s", out)
	}
	d.tool("openssl", "cms", "-encrypt", "-aes256", "-outform", "DER", "-in", d.file("mail.txt"), "-out", d.file("mail.p7m"), "encryption.pem")
	if out := e2etest.Good(t, gpgsm("--decrypt", d.file("mail.p7m"))); !strings.Contains(out, "small room") {
		t.Errorf("what openssl encrypted, gpgsm reads as: %s", out)
	}
	tampered := []byte(read(t, signed))
	tampered[len(tampered)-20] ^= 1
	write(t, signed, string(tampered))
	if out := e2etest.Run(t, gpgsm("--verify", signed)); out.Code == 0 {
		t.Errorf("gpgsm takes a tampered signature: %+v", out)
	}
}
