package gal_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	certsonly "github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func pack(t *testing.T, ders ...[]byte) []byte {
	t.Helper()
	var list []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		must(t, err)
		list = append(list, c)
	}
	out, err := certsonly.Write(list)
	must(t, err)
	return out
}

// signed is a value as a mail program writes it: signed by the person, with their certificates, made by openssl.
func (b *bundle) signed(t *testing.T, p pkitest.Pair) []byte {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(p.SigningKey)
	must(t, err)
	out := filepath.Join(dir, "out.der")
	cmd := exec.CommandContext(t.Context(), "openssl", "cms", "-sign", "-binary", "-outform", "DER",
		"-signer", file("s.pem", pkitest.PEM(p.Signing.DER)), "-inkey", file("k.der", key), "-keyform", "DER",
		"-certfile", file("e.pem", pkitest.PEM(p.Encryption.DER, b.PKI.Issuing.Raw)), "-in", file("in", nil), "-out", out)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v %s", err, said)
	}
	value, err := os.ReadFile(out)
	must(t, err)
	return value
}

func TestSMIMEAttribute(t *testing.T) {
	b := setup(t)
	dn := slapdtest.PersonDN("alice")
	first := b.issue(t, "alice")
	p, err := b.Directory.ByLogin(t.Context(), "alice")
	must(t, err)
	pair := b.PKI.IssuePair(t, pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]})
	foreign := b.twin(t).Raw
	chain := b.PKI.Issuing.Raw
	old, mixed, theirs, junk, written := pack(t, first.DER, chain), pack(t, first.DER, foreign), pack(t, foreign), []byte("\x30\x03\x02\x01\x01"), b.signed(t, pair)
	stay := [][]byte{mixed, theirs, junk}
	b.put(t, dn, smime, append(stay, old, written)...)

	use := func(s gal.SMIME) *bundle { return with(t, b.House, gal.Policy{SMIME: s}) }
	use(gal.Untouched).sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "untouched", dn, smime, append(stay, old, written)...)
	b.drift(t, "untouched", map[gal.Kind]int{})

	use(gal.Equal).sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "equal, signed by the person", dn, smime, append(stay, written)...)
	use(gal.Equal).sweep(t, gal.Sweeping{})
	b.drift(t, "equal", map[gal.Kind]int{gal.Undecodable: 1})

	use(gal.Absent).sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "absent", dn, smime, stay...)
	if d, err := use(gal.Absent).Compare(t.Context(), p.ID); err != nil || !d.Empty() || d.Foreign != 2 || d.Undecodable != 1 {
		t.Errorf("absent: %+v %v", d, err)
	}

	use(gal.Equal).sweep(t, gal.Sweeping{Repair: true})
	b.drift(t, "equal again", map[gal.Kind]int{gal.Undecodable: 1})
	got := b.values(t, dn, smime)
	if len(got) != len(stay)+1 {
		t.Fatalf("%d values", len(got))
	}
	found := false
	for _, v := range got {
		certs, signed, err := cms.CertificatesIn([]byte(v))
		if err == nil && !signed && len(certs) >= 2 && string(certs[0].Raw) == string(pair.Encryption.DER) {
			found = true
		}
	}
	if !found {
		t.Error("there is no value with the current certificate and its chain")
	}
	for _, c := range []ca.Certificate{first, pair.Encryption} {
		b.revoke(t, c)
	}
	use(gal.Equal).sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "equal, revoked", dn, smime, stay...)
}
