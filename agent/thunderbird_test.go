package agent_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/imaptest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/thunderbirdtest"
)

// desk is a workstation on which Thunderbird has an account of Alice's.
type desk struct {
	*workstation
	*thunderbirdtest.Thunderbird
	t    *testing.T
	smtp *mailtest.Server
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Parallel()
	box, smtp := imaptest.New(t), mailtest.New(t, mail.None)
	smtp.Deliver(t, box.Mailboxes())
	w := newWorkstation(t)
	w.clock.at = time.Now()
	w.plans[0] = dualPlan("RSA-3072")
	tb := thunderbirdtest.New(t, thunderbirdtest.Config{Address: "Alice@example.test", IMAP: box.Port, Password: imaptest.Password, TrustFile: box.TrustFile, SMTP: smtp.Port})
	return &desk{w, tb, t, smtp}
}

// agent starts one whose home is the desk's.
func (d *desk) agent(change func(*client.Config)) *agent.Agent {
	d.t.Helper()
	cfg := agent.Config{Dir: d.dir, Server: d.config(), Anchors: []*x509.Certificate{d.pki.root}, Poll: time.Millisecond, Now: d.clock.now, Home: d.Home}
	change(&cfg.Server)
	a, err := agent.New(cfg)
	must(d.t, err)
	return a
}

// fill fills what is found, which is the one profile.
func (d *desk) fill() agent.Filled {
	d.t.Helper()
	got, err := d.agent(asAlice).Fill(d.t.Context(), agent.FillOptions{Stores: agent.Stores{Thunderbird: &agent.Profiles{}}})
	must(d.t, err)
	if len(got) != 1 || got[0].Store != "nss" || got[0].Place != d.Profile {
		d.t.Fatalf("filled %+v", got)
	}
	return got[0]
}

// serial is a certificate's as Thunderbird writes it.
func serial(t *testing.T, h *agent.Held) string {
	t.Helper()
	leaf, err := h.Leaf()
	must(t, err)
	b := leaf.SerialNumber.Bytes()
	if b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	var parts []string
	for _, one := range b {
		parts = append(parts, strings.ToUpper(sprintf("%02x", one)))
	}
	return strings.Join(parts, ":")
}

// uses holds what the account uses to be an identity's current certificates.
func (d *desk) uses(id *agent.Identity) {
	d.t.Helper()
	want := thunderbirdtest.Account{Signing: serial(d.t, id.Signing()), Encryption: serial(d.t, id.Encryption()), Sign: true}
	if got := d.Account(d.t); got != want {
		d.t.Errorf("the account uses %+v, want %+v", got, want)
	}
}

// toHerself has Thunderbird send a mail and read it.
func (d *desk) toHerself(id *agent.Identity, subject string) {
	d.t.Helper()
	if sent := d.Send(d.t, "alice@example.test", subject, "Nobody else can read this: äöü."); sent != (thunderbirdtest.Sent{Signs: true, Gone: true}) {
		d.t.Fatalf("sent: %+v", sent)
	}
	want := thunderbirdtest.Seen{Signed: "OK", Encrypted: "OK", Signer: serial(d.t, id.Signing()), Body: "Nobody else can read this: äöü."}
	if seen := d.Read(d.t, subject); seen != want {
		d.t.Errorf("%s: seen %+v, want %+v", subject, seen, want)
	}
}

// Nobody is asked anything: the agent finds Thunderbird's profile, and from its next start on Alice's account signs, encrypts and reads
// with what it enrolled. OpenSSL opens and verifies the same mail with the same keys.
func TestThunderbird(t *testing.T) {
	d := newDesk(t)
	id, err := d.agent(asAlice).Enrol(t.Context(), agent.EnrolOptions{Folder: t.TempDir()})
	must(t, err)
	if f := d.fill(); len(f.Notes) != 0 || f.Again {
		t.Errorf("filled %+v", f)
	}
	before, err := os.ReadFile(filepath.Join(d.Profile, "prefs.js"))
	must(t, err)
	if d.fill(); !bytes.Equal(before, []byte(readFile(t, filepath.Join(d.Profile, "prefs.js")))) {
		t.Error("filled again, prefs.js is another")
	}
	d.Start(t)
	d.uses(id)
	d.toHerself(id, "hello")
	d.Quit(t)

	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	password, err := id.GeneratedPassword()
	must(t, err)
	entries, _ := decode(t, filepath.Join(id.Folder, agent.P12File), password)
	der, err := x509.MarshalPKCS8PrivateKey(entries[1].Key)
	must(t, err)
	write(t, at("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, at("root.pem"), pemOf(d.pki.root))
	write(t, at("mail"), []byte(d.smtp.Wait(t, 1)[0].Raw))
	run(t, "", "openssl", "cms", "-decrypt", "-in", at("mail"), "-recip", filepath.Join(id.Folder, agent.EncryptionFile), "-inkey", at("key.pem"), "-out", at("signed"))
	run(t, "", "openssl", "cms", "-verify", "-in", at("signed"), "-CAfile", at("root.pem"), "-certfile", filepath.Join(id.Folder, agent.ChainFile),
		"-purpose", "smimesign", "-signer", at("signer.pem"), "-out", at("text"))
	if signer := readFile(t, at("signer.pem")); signer != readFile(t, filepath.Join(id.Folder, agent.SigningFile)) {
		t.Errorf("signed by %s", signer)
	}
}

// A renewal while Thunderbird runs: it has the new certificates at once and takes them into use at its next start; nothing of its own
// preferences is lost, the agent's lines go again, and mail to the old key is still read.
func TestThunderbirdRunsDuringRenewal(t *testing.T) {
	d := newDesk(t)
	first, err := d.agent(asAlice).Enrol(t.Context(), agent.EnrolOptions{Folder: t.TempDir()})
	must(t, err)
	d.Start(t)
	if f := d.fill(); !f.Again || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "Restart it") {
		t.Errorf("filled while it runs: %+v", f)
	}
	d.Quit(t)
	d.Start(t)
	d.uses(first)
	d.toHerself(first, "before the renewal")

	d.clock.at = time.Now().Add(time.Second)
	r, err := d.agent(byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	must(t, err)
	d.fill()
	d.uses(first) // until it is started again
	if known := d.Certificates(t, r.Identity.Person.Name); !slices.Contains(known, serial(t, r.Identity.Signing())) || !slices.Contains(known, serial(t, r.Identity.Encryption())) {
		t.Errorf("it knows %q", known)
	}
	d.Run(t, `Services.prefs.setStringPref("mail.identity.id1.organization", "chosen meanwhile")`)
	d.Quit(t)
	d.Start(t)
	d.uses(r.Identity)
	d.toHerself(r.Identity, "after the renewal")
	if seen := d.Read(t, "before the renewal"); seen.Encrypted != "OK" || seen.Signed != "OK" {
		t.Errorf("the older mail: %+v", seen)
	}
	d.Quit(t)
	if f := d.fill(); f.Again || len(f.Notes) != 0 {
		t.Errorf("filled afterwards: %+v", f)
	}
	if _, err := os.Stat(filepath.Join(d.Profile, "user.js")); !os.IsNotExist(err) {
		t.Errorf("user.js: %v", err)
	}
	if prefs := readFile(t, filepath.Join(d.Profile, "prefs.js")); !strings.Contains(prefs, "chosen meanwhile") {
		t.Error("what was chosen meanwhile is lost")
	}
}
