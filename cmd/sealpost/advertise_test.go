package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// shows returns what ldapsearch finds in userSMIMECertificate of somebody's entry, each value as a file's path.
func (i *installation) shows(t *testing.T, login string) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for line := range strings.Lines(i.slapd.Search(t, i.slapd.Lookup, "-b", slapdtest.PersonDN(login), "-s", "base", "userSMIMECertificate")) {
		if text, ok := strings.CutPrefix(line, "userSMIMECertificate:: "); ok {
			der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			must(t, err)
			files = append(files, filepath.Join(dir, fmt.Sprint(len(files))))
			must(t, os.WriteFile(files[len(files)-1], der, 0o600))
		}
	}
	return files
}

// entry waits until somebody's entry has exactly one value beside others, which is good, and returns its path.
func (i *installation) entry(t *testing.T, login string, others []byte, good func(file string) error) (file string) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		found := slices.DeleteFunc(i.shows(t, login), func(f string) bool { return read(t, f) == string(others) })
		if len(found) != 1 {
			return fmt.Errorf("%d values of ours", len(found))
		}
		file = found[0]
		return good(file)
	})
	return file
}

// signedBy returns what openssl makes of a value: whether it is signed by a desk's current signing certificate, up to the root,
// and has the current encryption certificate.
func (d *desk) signedBy(file string) error {
	out := d.file("signer.pem")
	got := e2etest.Run(d.t, e2etest.Command{Path: "openssl", Dir: d.home, Args: []string{"cms", "-verify", "-inform", "DER", "-in", file, "-content", os.DevNull,
		"-CAfile", d.path("pki/root.pem"), "-purpose", "smimesign", "-signer", out, "-certsout", d.file("certs.pem"), "-out", os.DevNull}})
	if got.Code != 0 {
		return fmt.Errorf("openssl: %s", got.Stderr)
	}
	if read(d.t, out) != read(d.t, d.file("out", "signing.pem")) {
		return fmt.Errorf("another signed it")
	}
	certs := read(d.t, d.file("certs.pem"))
	for _, name := range []string{"signing.pem", "encryption.pem"} {
		if !strings.Contains(certs, read(d.t, d.file("out", name))) {
			return fmt.Errorf("%s is not in it", name)
		}
	}
	if root, _ := pem.Decode([]byte(read(d.t, d.path("pki/root.pem")))); bytes.Contains([]byte(read(d.t, file)), root.Bytes) {
		return fmt.Errorf("the root is in it")
	}
	return nil
}

// unsigned returns whether nobody signed a value, and it has a desk's current encryption certificate.
func (d *desk) unsigned(file string) error {
	if got := e2etest.Run(d.t, e2etest.Command{Path: "openssl", Args: []string{"cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", d.path("pki/root.pem"), "-out", os.DevNull}}); got.Code == 0 {
		return fmt.Errorf("it is signed")
	}
	certs := openssl(d.t, d.home, "pkcs7", "-inform", "DER", "-in", file, "-print_certs")
	if !strings.Contains(certs, read(d.t, d.file("out", "encryption.pem"))) || strings.Contains(certs, read(d.t, d.file("out", "signing.pem"))) {
		return fmt.Errorf("it has not the encryption certificate alone")
	}
	return nil
}

// What the agent signs at enrolment comes into the directory and is what openssl verifies there; it is replaced at renewal, and
// goes when what it says is over. What others put there stays.
func TestSignedDirectoryEntry(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"gal.smime": "equal"})
	foreign := filepath.Join(t.TempDir(), "foreign.der")
	key := filepath.Join(t.TempDir(), "key")
	openssl(t, "", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/CN=Other",
		"-config", os.DevNull, "-out", foreign+".pem")
	openssl(t, "", "cms", "-sign", "-binary", "-outform", "DER", "-signer", foreign+".pem", "-inkey", key, "-in", os.DevNull, "-out", foreign)
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nadd: userSMIMECertificate\nuserSMIMECertificate:< file://"+foreign+"\n")
	others := []byte(read(t, foreign))

	r := i.serve(t)
	d := r.desk(t, "alice")
	if out := e2etest.Run(t, d.enroll()); out.Code != 0 || !strings.Contains(out.Stderr, "signed by you") {
		t.Fatalf("%+v", out)
	}
	first := i.entry(t, "alice", others, d.signedBy)
	shown := openssl(t, "", "cms", "-cmsout", "-print", "-inform", "DER", "-in", first)
	for _, want := range []string{"S/MIME Capabilities", "aes-256-cbc", "id-smime-aa-encrypKeyPref", "1.3.6.1.4.1.311.16.4", "signingTime"} {
		if !strings.Contains(shown, want) {
			t.Errorf("openssl shows no %s", want)
		}
	}
	if out := i.run(t, "gal diff", "alice"); !strings.Contains(out, "0 missing, 0 stale, 1 of others") {
		t.Errorf("diff: %s", out)
	}
	d.does("renew")
	d.does("renew --force")
	second := i.entry(t, "alice", others, d.signedBy)
	if read(t, first) == read(t, second) {
		t.Error("the renewal changed nothing")
	}
	// Put back, the old one goes with the next repair, by its bytes.
	i.slapd.Modify(t, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: userSMIMECertificate\nuserSMIMECertificate:< file://%s\nuserSMIMECertificate:< file://%s\n",
		slapdtest.PersonDN("alice"), foreign, first))
	i.idle(t)
	i.run(t, "gal repair", "--all")
	if i.entry(t, "alice", others, d.signedBy); len(i.shows(t, "alice")) != 2 {
		t.Errorf("%d values after the repair", len(i.shows(t, "alice")))
	}

	serial := func(use, file string) string {
		cert, _ := pem.Decode([]byte(read(t, d.file("out", file))))
		for _, c := range d.list() {
			if c.Use == use && bytes.Equal(c.DER, cert.Bytes) {
				return c.Serial
			}
		}
		t.Fatalf("%s is not listed", file)
		return ""
	}
	signing, encryption := serial("signing", "signing.pem"), serial("encryption", "encryption.pem")
	d.does("revoke", signing, "--reason", "superseded", "--yes")
	i.entry(t, "alice", others, d.unsigned)
	c := r.as(t, "alice")
	defer c.Close()
	_, err := c.Revoke(t.Context(), d.issuer(), encryption, api.RevocationRequest{Reason: "superseded"})
	must(t, err)
	for _, l := range d.certificates(t, "alice", "encryption") {
		if l.Status == "good" { // that of the first enrolment
			_, err := c.Revoke(t.Context(), l.Issuer, l.Serial, api.RevocationRequest{Reason: "superseded"})
			must(t, err)
		}
	}
	e2etest.Eventually(t, func() error {
		if left := i.shows(t, "alice"); len(left) != 1 || read(t, left[0]) != string(others) {
			return fmt.Errorf("%d values when all is revoked", len(left))
		}
		return nil
	})
	e2etest.Good(t, d.enroll("--again")) // a new beginning
	i.entry(t, "alice", others, d.signedBy)
}

// issuer is the name of whoever issues mail certificates.
func (d *desk) issuer() string { return d.certificates(d.t, d.login, "encryption")[0].Issuer }

// certificates returns somebody's certificates of a use, by password.
func (r *running) certificates(t *testing.T, login, use string) (out []api.Certificate) {
	t.Helper()
	c := r.as(t, login)
	defer c.Close()
	for cert, err := range c.AllCertificates(t.Context(), client.CertificateQuery{}) {
		must(t, err)
		if cert.Use == use {
			out = append(out, cert)
		}
	}
	return out
}

// Where the server comes to want it later, was away, or the agent was killed once it had the certificates, a later run hands in
// what is missing.
func TestSignedDirectoryEntryInTheEnd(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"gal.smime": "absent"})
	r := i.serve(t)
	d := r.desk(t, "alice")
	e2etest.Good(t, d.enroll())
	if found := i.shows(t, "alice"); len(found) != 0 {
		t.Errorf("%d values where none is wanted", len(found))
	}
	r.stop(t)
	i.edit(t, map[string]any{"gal.smime": "equal"})
	d.does("renew --quiet") // the server is away: no matter
	r = i.serve(t)
	d.running = r
	i.idle(t)
	i.run(t, "gal repair", "--all") // as the next sweep would
	i.entry(t, "alice", nil, d.unsigned)
	d.unasked()
	d.does("renew")
	i.entry(t, "alice", nil, d.signedBy)

	bob := r.desk(t, "bob")
	killed := e2etest.Start(t, bob.enroll())
	e2etest.Eventually(t, func() error {
		if found, err := filepath.Glob(bob.file("state", "*", "identity.json")); err != nil || len(found) == 0 && !killed.Ended() {
			return fmt.Errorf("no identity yet: %v", err)
		}
		return nil
	})
	killed.Signal(syscall.SIGKILL)
	killed.Wait(t)
	e2etest.Good(t, bob.enroll())
	i.entry(t, "bob", nil, bob.signedBy)
}

// unasked makes the agent forget when it last asked, and what the server said then.
func (d *desk) unasked() {
	d.t.Helper()
	policies, err := filepath.Glob(d.file("state", "*", "policy.json"))
	must(d.t, err)
	for _, f := range policies {
		must(d.t, os.Remove(f))
	}
	files, err := filepath.Glob(d.file("state", "*", "identity.json"))
	must(d.t, err)
	for _, f := range files {
		text := read(d.t, f)
		at := strings.Index(text, `"at": "20`)
		if at < 0 {
			d.t.Fatalf("%s does not say when", f)
		}
		write(d.t, f, text[:at]+`"at": "2001`+text[at+len(`"at": "2001`):])
	}
}

// Nobody changes an entry with what its person did not sign, in whatever form.
func TestForgedDirectoryEntry(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"gal.smime": "equal"})
	r := i.serve(t)
	type person struct {
		login               string
		key                 crypto.Signer
		signing, encryption *x509.Certificate
		chain               []*x509.Certificate
	}
	enrolled := func(login string) person {
		st, sent := r.enrol(t, login)
		p := person{login: login, key: sent.keys.signing}
		for n, into := range []**x509.Certificate{&p.signing, &p.encryption} {
			var err error
			*into, err = x509.ParseCertificate(st.Certificates[n].DER)
			must(t, err)
		}
		for _, der := range st.Certificates[0].Chain {
			c, err := x509.ParseCertificate(der)
			must(t, err)
			p.chain = append(p.chain, c)
		}
		return p
	}
	value := func(signer, about person) []byte {
		v, err := cms.Advertise(signer.key, signer.signing, cms.AdvertiseOptions{Encryption: about.encryption, Chain: signer.chain, SigningTime: time.Now()})
		must(t, err)
		return v
	}
	older, alice, bob := enrolled("alice"), enrolled("alice"), enrolled("bob")
	good := value(alice, alice)
	tampered := bytes.Clone(good)
	tampered[len(tampered)-2] ^= 1
	ber := slices.Concat([]byte{0x30, 0x80}, good[4:], []byte{0, 0})
	for what, c := range map[string]struct {
		login string
		value []byte
		code  string
	}{
		"bob hands in alice's":        {"bob", good, "advertisement-refused"},
		"bob signs for alice":         {"alice", value(bob, alice), "advertisement-refused"},
		"alice signs for bob":         {"alice", value(alice, bob), "advertisement-refused"},
		"bob signs for alice, as bob": {"bob", value(bob, alice), "advertisement-refused"},
		"about what she had before":   {"alice", value(alice, older), "advertisement-refused"},
		"tampered with":               {"alice", tampered, "cms-not-verified"},
		"BER":                         {"alice", ber, "cms-malformed"},
		"huge":                        {"alice", bytes.Repeat([]byte{0x30}, 40<<10), "cms-too-large"},
		"a certificate":               {"alice", alice.signing.Raw, "cms-malformed"},
	} {
		asks := r.as(t, c.login)
		if _, err := asks.Advertise(t.Context(), api.Advertisement{Value: c.value}); codeOf(err) != c.code {
			t.Errorf("%s: %v", what, err)
		}
		asks.Close()
	}
	for _, login := range []string{"alice", "bob"} {
		e2etest.Eventually(t, func() error {
			found := i.shows(t, login)
			if len(found) != 1 {
				return fmt.Errorf("%s: %d values", login, len(found))
			}
			if a, err := cms.ReadAdvertisement([]byte(read(t, found[0]))); err == nil {
				t.Errorf("%s's entry shows %+v", login, a)
			}
			return nil
		})
	}
	if n := i.db.Count(t, `select count(*) from audit.event where kind = 'gal.advertisement-refused'`); n != 9 {
		t.Errorf("%d refusals are in the log", n)
	}
	asks := r.as(t, "alice")
	defer asks.Close()
	_, err := asks.Advertise(t.Context(), api.Advertisement{Value: good})
	must(t, err)
	i.entry(t, "alice", nil, func(file string) error {
		if read(t, file) != string(good) {
			return fmt.Errorf("it is not what alice signed")
		}
		return nil
	})
}
