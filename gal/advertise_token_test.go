//go:build cgo

package gal_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// A key in a token (SoftHSM, by PKCS #11) signs what the entry shows, for the person's own certificate and for the role mailbox
// that they stand for. SoftHSM finds its configuration through the environment, so this test is not parallel.
func TestAdvertisedByAToken(t *testing.T) {
	if testing.Short() {
		t.Skip("needs SoftHSM; not run with -short")
	}
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	must(t, os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	if out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "alice", "--so-pin", "12345678", "--pin", "5678").CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	b := with(t, housetest.New(t), gal.Policy{SMIME: gal.Equal})
	p, err := b.Directory.ByLogin(t.Context(), "alice")
	must(t, err)
	by := p.Actor(audit.MethodCertificate, audit.StrengthCertificate)
	who, role := pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]}, pkitest.Person{ID: p.ID, Name: "Support", Mailbox: "support@example.test"}
	encryption := b.PKI.Issue(t, who.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public()))[0]
	support := b.PKI.Issue(t, role.Request(ca.RoleMailboxEncryption, pkitest.NewKey(t, ca.P256).Public()))[0]
	for id, a := range []keys.Algorithm{keys.P256, keys.RSA3072} {
		key, err := keys.Create(t.Context(), fmt.Sprintf("pkcs11:module-path=%s;token=alice;id=%02x;object=%s", module, id+1, a), a, keys.Unlock("5678"))
		must(t, err)
		signing := b.PKI.Issue(t, who.Request(ca.SMIMESigning, key.Public()))[0]
		own, theirs := b.advertise(t, key, signing, encryption, b.PKI.Chain()...), b.advertise(t, key, signing, support, b.PKI.Chain()...)
		for _, value := range [][]byte{own, theirs} {
			_, err := b.Advertise(t.Context(), by, value)
			must(t, err)
		}
		_, err = b.Publish(t.Context(), by.Person)
		must(t, err)
		b.holds(t, string(a), slapdtest.PersonDN("alice"), smime, own, theirs)
	}
}
