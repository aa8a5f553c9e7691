package demo

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/sealpost/sealpost/internal/slapdtest"
)

// message is what alice writes to bob.
const message = "From: Alice Anders <alice@example.test>\r\nTo: Bob Brown <bob@example.test>\r\nSubject: Meeting\r\n\r\nAt ten, in the small room.\r\n"

// keyFiles takes a person's keys out of identity.p12 with openssl, as a mail program would; they go into the folder for
// secrets, which is removed at the end.
func (d *Demo) keyFiles(ctx context.Context, login string) error {
	p12 := d.path("people", login, "identity.p12")
	out, err := d.program(ctx, "openssl", "pkcs12", "-in", p12, "-passin", "file:"+d.path("people", login, "identity.password"), "-nocerts", "-nodes")
	if err != nil {
		return err
	}
	// openssl prints the keys in the order of the file; which is which is told by the certificates.
	keys := strings.SplitAfter(out, "-----END PRIVATE KEY-----\n")
	for _, kind := range []string{"signing", "encryption"} {
		want, err := d.program(ctx, "openssl", "x509", "-in", d.path("people", login, kind+".pem"), "-noout", "-pubkey")
		if err != nil {
			return err
		}
		if err := d.keyFor(ctx, keys, want, login, kind); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) keyFor(ctx context.Context, keys []string, public, login, kind string) error {
	for _, k := range keys {
		at := strings.Index(k, "-----BEGIN PRIVATE KEY-----")
		if at < 0 {
			continue
		}
		have, err := d.programWith(ctx, nil, []byte(k[at:]), "openssl", "pkey", "-pubout")
		if err != nil {
			return err
		}
		if have == public {
			return os.WriteFile(d.secret(login, kind), []byte(k[at:]), 0o600)
		}
	}
	return fmt.Errorf("identity.p12 of %s holds no key for %s.pem", login, kind)
}

// secret is where a private key lies while openssl uses it: in memory's place for short-lived files, never in the folder
// that is left.
func (d *Demo) secret(login, kind string) string {
	return d.sockets + "/" + login + "-" + kind + ".key"
}

// signed makes alice sign the message and openssl verify it, as bob would: with the root and the CRL alone.
func (d *Demo) signed(ctx context.Context, file string, flags ...string) error {
	if err := d.write([]byte(message), "mail", "message.txt"); err != nil {
		return err
	}
	args := append([]string{"cms", "-sign", "-in", "mail/message.txt", "-signer", "people/alice/signing.pem", "-inkey", d.secret("alice", "signing"),
		"-certfile", "pki/issuing.pem", "-md", "sha256", "-from", "alice@example.test", "-to", "bob@example.test", "-subject", "Meeting", "-out", "mail/" + file}, flags...)
	if _, err := d.program(ctx, "openssl", args...); err != nil {
		return err
	}
	return d.verifySigned(ctx, "mail/"+file)
}

// verifySigned verifies a signed mail with root and CRLs.
func (d *Demo) verifySigned(ctx context.Context, file string) error {
	out, err := d.program(ctx, "openssl", "cms", "-verify", "-in", file, "-CAfile", "pki/root-and-crls.pem", "-crl_check_all", "-purpose", "smimesign")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "At ten, in the small room.") {
		return fmt.Errorf("openssl verified another message: %s", clip(out))
	}
	return nil
}

func (d *Demo) signClear(ctx context.Context) (string, error) {
	for _, login := range []string{"alice", "bob"} {
		if err := d.keyFiles(ctx, login); err != nil {
			return "", err
		}
	}
	return "openssl cms -verify -crl_check_all: mail/signed.eml is alice's", d.signed(ctx, "signed.eml")
}

func (d *Demo) signOpaque(ctx context.Context) (string, error) {
	return "openssl cms -verify -crl_check_all: mail/opaque.eml is alice's", d.signed(ctx, "opaque.eml", "-nodetach")
}

// encrypt sends the signed mail to bob: his certificate is looked up in the directory, as alice's mail program would.
func (d *Demo) encrypt(ctx context.Context) (string, error) {
	der, err := d.shown(ctx, "bob")
	if err != nil {
		return "", err
	}
	if len(der) != 1 {
		return "", fmt.Errorf("the directory shows %d certificates of bob", len(der))
	}
	found := d.sockets + "/bob-from-directory.der"
	if err := os.WriteFile(found, der[0], 0o600); err != nil {
		return "", err
	}
	if _, err := d.program(ctx, "openssl", "x509", "-inform", "DER", "-in", found, "-out", d.sockets+"/bob-from-directory.pem"); err != nil {
		return "", err
	}
	_, err = d.program(ctx, "openssl", "cms", "-encrypt", "-in", "mail/signed.eml", "-aes-256-cbc", "-from", "alice@example.test", "-to", "bob@example.test",
		"-subject", "Meeting", "-out", "mail/encrypted.eml", d.sockets+"/bob-from-directory.pem")
	if err != nil {
		return "", err
	}
	opened := d.sockets + "/opened.eml"
	_, err = d.program(ctx, "openssl", "cms", "-decrypt", "-in", "mail/encrypted.eml", "-recip", "people/bob/encryption.pem", "-inkey", d.secret("bob", "encryption"), "-out", opened)
	if err != nil {
		return "", err
	}
	if err := d.verifySigned(ctx, opened); err != nil {
		return "", err
	}
	return "openssl cms: encrypted to the certificate found by ldapsearch; bob's key decrypts it, and the signature inside is alice's",
		d.refused(ctx, "", "openssl", "cms", "-decrypt", "-in", "mail/encrypted.eml", "-recip", "people/alice/encryption.pem", "-inkey", d.secret("alice", "encryption"))
}

// shown returns the certificates that a person's directory entry shows.
func (d *Demo) shown(ctx context.Context, login string) ([][]byte, error) {
	out, err := d.ldapsearch(ctx, slapdtest.PersonDN(login), "(objectClass=*)", certificateAttribute)
	if err != nil {
		return nil, err
	}
	return binaryValues(out, certificateAttribute)
}

// binaryValues returns the values of an attribute in LDIF.
func binaryValues(ldif, attribute string) ([][]byte, error) {
	var out [][]byte
	for line := range strings.Lines(ldif) {
		text, ok := strings.CutPrefix(line, attribute+":: ")
		if !ok {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// gpgsmReads lets another mail encryptor read the mail: bob's key goes into a keyring of its own.
func (d *Demo) gpgsmReads(ctx context.Context) (string, error) {
	home := d.sockets + "/gnupg"
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	defer func() {
		_, _ = d.programWith(context.WithoutCancel(ctx), []string{"GNUPGHOME=" + home}, nil, "gpgconf", "--kill", "all") // no process is left
	}()
	env := []string{"GNUPGHOME=" + home}
	password, err := os.ReadFile(d.path("people", "bob", "identity.password"))
	if err != nil {
		return "", err
	}
	files, err := os.ReadDir(d.path("people", "bob", "gpgsm"))
	if err != nil {
		return "", err
	}
	imported := 0
	for _, f := range files {
		_, err := d.programWith(ctx, env, password, "gpgsm", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", d.path("people", "bob", "gpgsm", f.Name()))
		if err == nil {
			imported++
		}
	}
	der, err := d.program(ctx, "openssl", "cms", "-cmsout", "-in", "mail/encrypted.eml", "-outform", "DER")
	if err != nil {
		return "", err
	}
	mail := d.sockets + "/encrypted.der"
	if err := os.WriteFile(mail, []byte(der), 0o600); err != nil {
		return "", err
	}
	out, err := d.programWith(ctx, env, password, "gpgsm", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", mail)
	if err != nil {
		return "", fmt.Errorf("%d of %d files imported: %w", imported, len(files), err)
	}
	if !strings.Contains(out, "At ten, in the small room.") {
		return "", fmt.Errorf("gpgsm decrypted something else: %s", clip(out))
	}
	return "gpgsm: imports bob's encryption key and decrypts mail/encrypted.eml", nil
}
