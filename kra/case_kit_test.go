package kra_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

// vault is an archive of keys under a roster of two of three officers, as a server would have it.
type vault struct {
	*company
	officers []*officer
	roster   *record.Roster
	wrapping *record.WrappingKey
	kept     map[string][]*kept // by person
	certs    []*x509.Certificate
}

// kept is one key in the archive.
type kept struct {
	key    crypto.Signer
	record *record.Record
}

func newVault(t testing.TB, change ...func(*kra.PlanConfig)) *vault {
	t.Helper()
	v := &vault{company: newCompany(t), kept: map[string][]*kept{}}
	v.open(change...)
	return v
}

// open has the officers make the archive's key.
func (v *vault) open(change ...func(*kra.PlanConfig)) {
	v.t.Helper()
	v.officers = v.company.officers("Olga", "Otto", "Odile")
	v.perform(change...)
}

func (v *vault) perform(change ...func(*kra.PlanConfig)) {
	v.t.Helper()
	dir, plan := v.plan(v.officers, change...)
	var err error
	v.roster, err = kra.Perform(v.t.Context(), dir, kra.Agreement{Hash: plan.Hash()}, v.plain()...)
	must(v.t, err)
	v.wrapping, err = record.GenerateWrappingKey()
	must(v.t, err)
	v.certs = v.Chain()
}

// signer is an officer's signature key, from the home's files; opener the other.
func (o *officer) signer(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := keys.Open(t.Context(), filepath.Join(o.home, "signing.key"), passphrase)
	must(t, err)
	return key
}

// csrKey returns the public key (SubjectPublicKeyInfo) that a request is for.
func csrKey(t testing.TB, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	csr, err := ca.ParseCSR(block.Bytes)
	must(t, err)
	return csr.PublicKey
}

func (v *vault) plain() []*kra.Officer {
	var out []*kra.Officer
	for _, o := range v.officers {
		out = append(out, o.Officer)
	}
	return out
}

// keep archives a key of a person, and certifies it.
func (v *vault) keep(name string, key crypto.Signer, at time.Time) *kept {
	v.t.Helper()
	person := v.person(name)
	certs := v.Issue(v.t, person.Request(ca.SMIMEEncryption, key.Public()))
	v.certs = append(v.certs, parse(v.t, certs[0].DER))
	return v.keepAs(name, key, key, at)
}

// keepAs archives a key under the name of another.
func (v *vault) keepAs(name string, key, as crypto.Signer, at time.Time) *kept {
	v.t.Helper()
	person := v.person(name)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(v.t, err)
	algorithm := "ec-p256"
	if _, ok := key.Public().(interface{ Size() int }); ok {
		algorithm = "rsa-2048"
	}
	rec, err := record.Seal(v.roster.Key(), v.wrapping.Public(), record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(pkitest.SPKI(as.Public())),
		Algorithm: algorithm, Person: person.ID, Name: person.Name + " Example", Mail: person.Mailbox, Time: at}, pkcs8)
	must(v.t, err)
	k := &kept{key, rec}
	v.kept[name] = append(v.kept[name], k)
	return k
}

// device is where somebody asks from: a signing certificate, and a key to receive with.
type device struct {
	pkitest.Person
	pkitest.Pair
}

func (v *vault) device(name string) *device {
	v.t.Helper()
	person := v.person(name)
	return &device{person, v.IssuePair(v.t, person)}
}

func (d *device) signing(t testing.TB) *x509.Certificate { return parse(t, d.Signing.DER) }

func (d *device) recipient(t testing.TB) cms.Recipient {
	return cms.Recipient{Certificate: parse(t, d.Encryption.DER), Key: d.EncryptionKey}
}

func (v *vault) subject(name string) record.Subject {
	s := record.Subject{Person: v.person(name).ID}
	for _, k := range v.kept[name] {
		s.Records = append(s.Records, k.record.Capsule.Hash())
	}
	return s
}

// restore is somebody's case for their own keys.
func (v *vault) restore(d *device) record.Case {
	now := time.Now().Add(-time.Minute)
	return record.Case{
		ID: uuid.New(), Kind: record.CaseRestore, Roster: v.roster.Hash(), KeyID: v.roster.KeyID(), Epoch: v.roster.Epoch(),
		Requester: record.Requester{Person: d.ID, Name: d.Name + " Example", Certificate: d.signing(v.t)},
		Reason:    "Laptop lost on a train.", Reference: "HD-4711", Opened: now, Deadline: now.Add(72 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: d.recipient(v.t).Certificate, Subjects: []record.Subject{v.subject(d.Name)}}},
	}
}

// folder puts a case into a folder, as a client does.
func (v *vault) folder(c record.Case, signer crypto.Signer) (string, *record.SignedCase) {
	v.t.Helper()
	s, err := c.Sign(signer)
	must(v.t, err)
	return v.put(s), s
}

func (v *vault) put(s *record.SignedCase) string {
	v.t.Helper()
	dir := filepath.Join(v.t.TempDir(), "case")
	f, err := delivery.Create(dir, s, v.roster, v.Chain()[:1])
	must(v.t, err)
	for i, d := range s.Deliveries {
		for _, k := range v.of(d) {
			must(v.t, f.AddCapsules(k.record.Capsule.Bytes()))
			must(v.t, f.AddRecords(i, v.inner(k).Bytes()))
		}
	}
	must(v.t, f.PutCertificates(v.certs))
	v.recorded(dir, s)
	return dir
}

// recorded puts the case's opening into the audit log, and into its folder what shows that.
func (v *vault) recorded(dir string, s *record.SignedCase) {
	v.t.Helper()
	must(v.t, v.log.Open(s.ID, s.Hash()))
	v.show(dir, s)
}

// show puts what the log has of a case into its folder, as whoever fetches it does. All officers have seen the log of each
// earlier size, as far as it is known here.
func (v *vault) show(dir string, s *record.SignedCase) {
	v.t.Helper()
	var seen []int64
	for n := range v.log.Size() {
		seen = append(seen, n)
	}
	l, err := v.log.Case(s.ID, seen...)
	must(v.t, err)
	must(v.t, delivery.Open(dir).PutLog(l))
}

func (v *vault) inner(k *kept) *record.InnerRecord {
	in, err := k.record.UnwrapOuter(v.wrapping)
	must(v.t, err)
	return in
}

// of returns what a delivery asks for, in its order.
func (v *vault) of(d record.Delivery) (out []*kept) {
	for _, s := range d.Subjects {
		for _, h := range s.Records {
			for _, list := range v.kept {
				if i := slices.IndexFunc(list, func(k *kept) bool { return k.record.Capsule.Hash() == h }); i >= 0 {
					out = append(out, list[i])
				}
			}
		}
	}
	return out
}

// examine demands that the folder can be read.
func (o *officer) examine(t testing.TB, dir string) *kra.Examination {
	t.Helper()
	x, err := o.Examine(dir, nil)
	must(t, err)
	return x
}

// heard is what the subject reads aloud.
func heard(t testing.TB, c *x509.Certificate) kra.Heard {
	t.Helper()
	h, err := kra.ParseHeard(strings.Join(record.Fingerprint(c).Words()[:5], " "))
	must(t, err)
	return h
}

// approve has officers approve a case of one delivery.
func approve(t testing.TB, dir string, s *record.SignedCase, officers ...*officer) {
	t.Helper()
	for _, o := range officers {
		a, err := o.Approve(t.Context(), o.examine(t, dir), heard(t, s.Deliveries[0].Recipient), "Spoke with them.")
		must(t, err)
		if a.Again {
			t.Error("approved already")
		}
	}
}

// receive opens a case as the one who asked for their own keys.
func receive(t testing.TB, dir string, to cms.Recipient) *delivery.Opening {
	t.Helper()
	c, err := delivery.Open(dir).Case()
	must(t, err)
	o, err := delivery.NewOpening(delivery.Open(dir), delivery.OpeningConfig{Pins: []record.Hash{c.Roster}, Recipient: to})
	must(t, err)
	return o
}

// holds demands that a person's keys are those of the archive, in this order.
func holds(t testing.TB, p *delivery.Person, want ...*kept) {
	t.Helper()
	if len(p.Keys) != len(want) {
		t.Fatalf("%s has %d keys, want %d", p.Name, len(p.Keys), len(want))
	}
	for i, k := range want {
		a, err := x509.MarshalPKCS8PrivateKey(p.Keys[i].Private)
		must(t, err)
		b, err := x509.MarshalPKCS8PrivateKey(k.key)
		must(t, err)
		if !bytes.Equal(a, b) {
			t.Errorf("key %d of %s is another", i+1, p.Name)
		}
	}
}

func pkcs8Of(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return b
}
