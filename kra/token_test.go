package kra_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// TestTokens: two of three officers have their keys on tokens, from the ceremony to a case. SoftHSM's configuration is found
// through the environment, so this test is not parallel.
func TestTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("needs SoftHSM; not run with -short")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	write(t, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), conf)
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "officers", "--so-pin", "12345678", "--pin", "5678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	pin := keys.Unlock("5678")
	v := &vault{company: newCompany(t), kept: map[string][]*kept{}}
	v.officers = v.company.officers("Olga")
	for _, name := range []string{"Otto", "Odile"} { // both on one token: their homes keep them apart
		home := filepath.Join(t.TempDir(), "home")
		o := open(t, home)
		_, err := o.KeyGenOnToken(t.Context(), name, "pkcs11:module-path="+softHSM+";token=officers", pin)
		must(t, err)
		again := open(t, home)
		must(t, os.Remove(filepath.Join(home, "decryption.csr"))) // as if it had been interrupted
		_, err = again.KeyGenOnToken(t.Context(), name, "pkcs11:module-path="+softHSM+";token=officers", pin)
		must(t, err)
		if on, err := again.OnToken(); !on || err != nil {
			t.Errorf("not on a token: %v", err)
		}
		_, err = again.KeyGenOnToken(t.Context(), name, "pkcs11:module-path="+softHSM+";token=officers", pin)
		refused(t, "keys twice", err, kra.ErrKeysExist, home)
		p := &officer{Officer: again, home: home}
		p.card = v.certify(name, v.requests(p), ca.AgentSigning, ca.AgentDecryption)
		must(t, p.Import(p.card, v.roots()))
		must(t, p.TrustLog(v.log.Key))
		v.officers = append(v.officers, p)
	}
	_, err = open(t, filepath.Join(t.TempDir(), "home")).KeyGenOnToken(t.Context(), "Olga", "pkcs11:token=officers;id=01;object=x", pin)
	refused(t, "a key's address", err, keys.ErrURI, "without id and object")

	v.perform()
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastYear)
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastMonth)
	alice := v.device("alice")
	folder, s := v.folder(v.restore(alice), alice.SigningKey)
	for _, o := range v.officers[1:] {
		fresh := &officer{Officer: open(t, o.home), home: o.home, card: o.card}
		must(t, fresh.Unlock(t.Context(), pin))
		uses := fresh.Count() // one signature of the answer, one of the audit log's checkpoint
		approve(t, folder, s, fresh)
		if uses.Signatures != 2 || uses.Decryptions != 1 {
			t.Errorf("%s: %+v", o.card.Name, *uses)
		}
		if _, err := fresh.Approve(t.Context(), fresh.examine(t, folder), kra.Heard{}, ""); err != nil || uses.Signatures != 2 || uses.Decryptions != 1 {
			t.Errorf("%s again: %+v, %v", o.card.Name, *uses, err)
		}
	}
	op := receive(t, folder, alice.recipient(t))
	for p, err := range op.People(delivery.Certificates{}) {
		must(t, err)
		holds(t, p, v.kept["alice"][1], v.kept["alice"][0])
	}
}
