package gal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// forest is a unit of an Active Directory domain with an authority and a publisher, whose account has the rights of docs/gal.md.
type forest struct {
	*sambatest.Unit
	account   sambatest.Account
	bundle    *bundle // the same for checks that look at no server
	directory *directory.Directory
	pki       *pkitest.PKI
	clock     *housetest.Clock
	gal       *gal.Publisher
}

func inForest(t *testing.T, policy gal.Policy, change ...func(*gal.Config)) *forest {
	t.Helper()
	t.Parallel()
	u := sambatest.New(t)
	f := &forest{Unit: u, account: u.Account(t, "publisher"), clock: &housetest.Clock{}}
	f.grant(t)
	database := pgtest.NewDatabase(t)
	db := pgtest.Open(t, database)
	f.pki = pkitest.NewAuthorityAt(t, db, f.clock.Now)
	c := f.configuration()
	c.DB, c.Now = db, f.clock.Now
	var err error
	f.directory, err = directory.New(c)
	must(t, err)
	t.Cleanup(f.directory.Close)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log, err := audit.New(audit.Config{DB: db, Name: "test.example/audit", Signer: key, Now: f.clock.Now})
	must(t, err)
	g := gal.Config{DB: db, Authority: f.pki.Authority, Directory: f.directory, Audit: log, Policy: policy, Now: f.clock.Now}
	for _, fn := range change {
		fn(&g)
	}
	f.gal, err = gal.New(g)
	must(t, err)
	f.bundle = &bundle{House: &housetest.House{Database: database, DB: db, Directory: f.directory, PKI: f.pki, Audit: log, Clock: f.clock}, Publisher: f.gal}
	return f
}

// grant gives the publisher's account what docs/gal.md says.
func (f *forest) grant(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../docs/gal.md")
	must(t, err)
	granted := false
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "dsacls ") {
			granted = true
			f.Dsacls(t, line, "OU=People,DC=example,DC=com", f.People, "sealpost-publisher", f.account.Name)
		}
	}
	if !granted {
		t.Fatal("docs/gal.md grants nothing")
	}
}

// configuration is the unit's, without a database.
func (f *forest) configuration() directory.Config {
	const patient = 5 * time.Minute // the domain controller is all tests'
	return directory.Config{
		Name: f.Name, Dialect: "ad", URLs: []string{f.TLSURL()}, Trust: f.Trust, People: directory.People{Base: f.People},
		Lookup: directory.Account{DN: f.Lookup.DN, PasswordFile: f.Lookup.PasswordFile}, LookupPassword: f.Lookup.Password,
		Publisher: directory.Account{DN: f.account.DN, PasswordFile: f.account.PasswordFile}, PublisherPassword: f.account.Password,
		Timeout: patient, ConnectTimeout: patient,
	}
}

// person is somebody of the unit, as certificates name them.
func (f *forest) person(t *testing.T, name string) pkitest.Person {
	t.Helper()
	p, err := f.directory.ByLogin(t.Context(), f.Login(name))
	must(t, err)
	return pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]}
}

func (f *forest) issue(t *testing.T, name string) ca.Certificate {
	t.Helper()
	return f.pki.IssuePair(t, f.person(t, name)).Encryption
}

func (f *forest) put(t *testing.T, dn, attribute string, values ...[]byte) {
	t.Helper()
	f.Modify(t, add(dn, attribute, values...))
}

// holds fails the test unless an entry has exactly these values.
func (f *forest) holds(t *testing.T, what, dn, attribute string, want ...[]byte) {
	t.Helper()
	texts := func(list [][]byte) []string {
		out := []string{}
		for _, v := range list {
			out = append(out, string(v))
		}
		slices.Sort(out)
		return out
	}
	if got := f.Values(t, f.Lookup, dn, attribute); !slices.Equal(texts(got), texts(want)) {
		t.Errorf("%s: %s has %d values of %s, or others, want %d", what, dn, len(got), attribute, len(want))
	}
}

func (f *forest) sweep(t *testing.T, how gal.Sweeping) gal.Status {
	t.Helper()
	how.Now = true
	must(t, f.gal.Sweep(t.Context(), operator, how))
	s, err := f.gal.Status(t.Context(), operator)
	must(t, err)
	return s
}

func (f *forest) drift(t *testing.T, what string, want map[gal.Kind]int) {
	t.Helper()
	if s, err := f.gal.Status(t.Context(), operator); err != nil || !maps.Equal(s.Drift, want) {
		t.Errorf("%s: %v, want %v, %v", what, s.Drift, want, err)
	}
}

// What Active Directory calls the attributes.
const (
	adCertificates = "userCertificate"
	adSMIME        = "userSMIMECertificate"
)

// A certificate comes and goes in Active Directory; who is found by a proxy address alone has one, too. Samba's own tools see it.
func TestADTheCertificateComesAndGoes(t *testing.T) {
	f := inForest(t, gal.Policy{SMIME: gal.Equal, Overlap: 48 * time.Hour})
	alice := f.User(t, "alice")
	other := f.User(t, "other", "proxyAddresses: SMTP:o.ther@example.test")
	f.Modify(t, "dn: "+other+"\nchangetype: modify\ndelete: mail\n")
	who := f.person(t, "alice")
	publish := func(id uuid.UUID) gal.Difference {
		t.Helper()
		d, err := f.gal.Publish(t.Context(), id)
		must(t, err)
		return d
	}
	first := f.issue(t, "alice")
	publish(who.ID)
	f.holds(t, "first", alice, adCertificates, first.DER)
	f.holds(t, "first", alice, adSMIME, pack(t, first.DER, f.pki.Issuing.Raw))
	if d := publish(who.ID); !d.Empty() {
		t.Errorf("a second publication found something to do: %+v", d)
	}
	if out := f.Tool(t, "user", "show", f.Login("alice"), "--attributes=userCertificate,userSMIMECertificate"); strings.Count(out, "userCertificate:: ") != 1 || strings.Count(out, "userSMIMECertificate:: ") != 1 {
		t.Errorf("samba-tool: %s", out)
	}
	f.clock.Advance(time.Hour)
	second := f.issue(t, "alice")
	publish(who.ID)
	f.holds(t, "overlap", alice, adCertificates, first.DER, second.DER)
	f.clock.Advance(72 * time.Hour)
	publish(who.ID)
	f.holds(t, "after the overlap", alice, adCertificates, second.DER)
	f.holds(t, "after the overlap", alice, adSMIME, pack(t, second.DER, f.pki.Issuing.Raw))
	f.bundle.revoke(t, second)
	publish(who.ID)
	f.holds(t, "revoked", alice, adCertificates, first.DER)
	f.bundle.revoke(t, first)
	publish(who.ID)
	f.holds(t, "all revoked", alice, adCertificates)
	f.holds(t, "all revoked", alice, adSMIME)

	byProxy, err := f.directory.ByMailbox(t.Context(), "o.ther@example.test")
	must(t, err)
	c := f.issue(t, "other")
	publish(byProxy.ID)
	f.holds(t, "proxy address", other, adCertificates, c.DER)
}

// A sweep first reports, and changes nothing; then it repairs down to what nobody can, and nothing of others is lost: not
// certificates, nor what nobody can read.
func TestADSweep(t *testing.T) {
	f := inForest(t, gal.Policy{})
	alice, bob, carol, dave := f.User(t, "alice"), f.User(t, "bob"), f.User(t, "carol"), f.User(t, "dave")
	f.User(t, "idle")
	missing, stale := f.issue(t, "alice"), f.issue(t, "bob")
	foreign, junk := f.bundle.twin(t).Raw, []byte("no certificate at all") // Active Directory takes any octets
	f.put(t, alice, adCertificates, foreign)
	f.put(t, alice, adSMIME, junk)
	f.put(t, bob, adCertificates, stale.DER, junk)
	f.bundle.revoke(t, stale)
	f.put(t, carol, adCertificates, stale.DER, foreign) // a copy
	gone := f.issue(t, "dave")
	f.put(t, dave, adCertificates, gone.DER)

	s := f.sweep(t, gal.Sweeping{})
	f.drift(t, "report", map[gal.Kind]int{gal.Missing: 1, gal.Stale: 2, gal.Undecodable: 2})
	if s.Phase != gal.Done || s.Changed != 0 || s.People != 3 || s.Foreign != 1 {
		t.Errorf("report: %+v", s)
	}
	f.holds(t, "report", carol, adCertificates, stale.DER, foreign)
	if s := f.sweep(t, gal.Sweeping{Repair: true}); s.Changed != 3 || s.Stopped != "" {
		t.Errorf("repair: %+v", s)
	}
	for range 2 {
		f.drift(t, "repaired", map[gal.Kind]int{gal.Undecodable: 2})
		f.holds(t, "repaired", alice, adCertificates, foreign, missing.DER)
		f.holds(t, "repaired", alice, adSMIME, junk)
		f.holds(t, "repaired", bob, adCertificates, junk)
		f.holds(t, "repaired", carol, adCertificates, foreign)
		if s := f.sweep(t, gal.Sweeping{Repair: true}); s.Changed != 0 {
			t.Errorf("repaired again: %+v", s)
		}
	}
	// The administrators take the rest away; dave is deleted; a namesake of bob's has his address.
	f.Modify(t, "dn: "+alice+"\nchangetype: modify\ndelete: userSMIMECertificate\n")
	f.Modify(t, "dn: "+bob+"\nchangetype: modify\ndelete: userCertificate\n")
	f.Modify(t, "dn: "+dave+"\nchangetype: delete\n")
	f.sweep(t, gal.Sweeping{Repair: true})
	f.drift(t, "somebody is gone", map[gal.Kind]int{gal.NoEntry: 1})
	f.bundle.revoke(t, gone)
	f.sweep(t, gal.Sweeping{Repair: true})
	f.drift(t, "no drift", map[gal.Kind]int{})
	f.Modify(t, "dn: CN=double,"+f.People+"\nobjectClass: user\nsAMAccountName: "+f.Login("double")+"\nmail: alice@example.test\n")
	f.put(t, "CN=double,"+f.People, adCertificates, foreign)
	f.sweep(t, gal.Sweeping{Repair: true})
	f.drift(t, "two entries with one address", map[gal.Kind]int{gal.Several: 1})
}

// Between comparison and repair an entry is renamed and moved, and another gets its name; a third is deleted.
func TestADRenamedAndDeletedMeanwhile(t *testing.T) {
	done := false
	var f *forest
	f = inForest(t, gal.Policy{}, func(c *gal.Config) {
		c.After = func(step string) {
			if step != "gal.repair" || done {
				return
			}
			done = true
			f.Modify(t, "dn: OU=Elsewhere,"+f.People+"\nobjectClass: organizationalUnit\n")
			f.Modify(t, "dn: CN=alice,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=alicia\ndeleteoldrdn: 1\nnewsuperior: OU=Elsewhere,"+f.People+"\n")
			f.Modify(t, "dn: CN=alice,"+f.People+"\nobjectClass: user\nsAMAccountName: "+f.Login("heir")+"\n")
			f.Modify(t, "dn: CN=bob,"+f.People+"\nchangetype: delete\n")
		}
	})
	f.User(t, "alice")
	f.User(t, "bob")
	alice := f.issue(t, "alice")
	f.issue(t, "bob")
	if s := f.sweep(t, gal.Sweeping{Repair: true}); s.Changed != 1 {
		t.Errorf("%+v", s)
	}
	f.holds(t, "renamed", "CN=alicia,OU=Elsewhere,"+f.People, adCertificates, alice.DER)
	f.holds(t, "who has her name", "CN=alice,"+f.People, adCertificates)
	f.drift(t, "deleted", map[gal.Kind]int{gal.NoEntry: 1})
}

// Others write into the same entry in the same instant: every value of theirs is there afterwards, and ours too.
func TestADOthersWriteAtTheSameTime(t *testing.T) {
	f := inForest(t, gal.Policy{})
	dn := f.User(t, "alice")
	var old []ca.Certificate
	for range 5 {
		old = append(old, f.issue(t, "alice"))
	}
	current := f.issue(t, "alice")
	var foreign, others [][]byte
	written := make(chan struct{})
	for i := range 8 {
		foreign, others = append(foreign, f.bundle.numbered(t, int64(5000+i))), append(others, fmt.Appendf(nil, "other %d", i))
	}
	go func() {
		defer close(written)
		for i := range foreign {
			for attribute, value := range map[string][]byte{adCertificates: foreign[i], adSMIME: others[i]} {
				if out, err := f.ModifyAs(t, f.Admin, add(dn, attribute, value)); err != nil {
					t.Errorf("foreign: %v %s", err, out)
				}
			}
			_, _ = f.ModifyAs(t, f.Admin, add(dn, adCertificates, old[i%len(old)].DER)) // it may be there
			_, _ = f.ModifyAs(t, f.Admin, add(dn, adCertificates, current.DER))
		}
	}()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		if err := f.gal.Sweep(t.Context(), operator, gal.Sweeping{Now: true, Repair: true}); err != nil {
			t.Error(err)
		}
	}
	f.holds(t, "after all", dn, adCertificates, append(foreign, current.DER)...)
	f.holds(t, "after all", dn, adSMIME, others...)
	f.drift(t, "after all", map[gal.Kind]int{gal.Undecodable: 1})
}

// Others' values fill an entry up to the limit, and beyond: nothing is added then, and nothing of theirs goes.
func TestADValueLimit(t *testing.T) {
	f := inForest(t, gal.Policy{MaxValues: 5})
	dn := f.User(t, "alice")
	id := f.person(t, "alice").ID
	stale, current := f.issue(t, "alice"), f.issue(t, "alice")
	var foreign [][]byte
	for i := range 6 {
		foreign = append(foreign, f.bundle.numbered(t, int64(6000+i)))
	}
	f.put(t, dn, adCertificates, append(slices.Clone(foreign[:3]), stale.DER)...)
	f.sweep(t, gal.Sweeping{Repair: true})
	f.drift(t, "nearly", map[gal.Kind]int{gal.NearlyFull: 1})
	f.holds(t, "nearly", dn, adCertificates, append(slices.Clone(foreign[:3]), current.DER)...)
	f.put(t, dn, adCertificates, foreign[3:]...)
	next := f.issue(t, "alice")
	if _, err := f.gal.Publish(t.Context(), id); !errors.Is(err, gal.ErrFull) {
		t.Errorf("publish: %v", err)
	}
	f.holds(t, "full", dn, adCertificates, foreign...)
	f.sweep(t, gal.Sweeping{Repair: true})
	f.drift(t, "full", map[gal.Kind]int{gal.Full: 1})
	f.Modify(t, "dn: "+dn+"\nchangetype: modify\ndelete: userCertificate\n")
	f.sweep(t, gal.Sweeping{Repair: true})
	f.holds(t, "emptied", dn, adCertificates, next.DER)
	f.drift(t, "emptied", map[gal.Kind]int{})
}

// The rights of docs/gal.md suffice, and the account that has them may do no more.
func TestADDocumentedRights(t *testing.T) {
	f := inForest(t, gal.Policy{})
	dn := f.User(t, "alice")
	c := f.issue(t, "alice")
	f.sweep(t, gal.Sweeping{Repair: true})
	f.holds(t, "with the rights", dn, adCertificates, c.DER)
	for _, change := range []string{
		"changetype: modify\nreplace: mail\nmail: mallory@example.test\n", "changetype: modify\nreplace: proxyAddresses\nproxyAddresses: SMTP:mallory@example.test\n",
		"changetype: modify\nreplace: unicodePwd\nunicodePwd:: IgBTAGEAbQBwAGwAZQAtADEAIgA=\n", "changetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n",
		"changetype: modify\nadd: altSecurityIdentities\naltSecurityIdentities: X509:x\n", "changetype: delete\n", "changetype: modrdn\nnewrdn: CN=other\ndeleteoldrdn: 1\n",
	} {
		if out, err := f.ModifyAs(t, f.account, "dn: "+dn+"\n"+change); err == nil || !strings.Contains(out, "Insufficient access") {
			t.Errorf("the publishing account may: %s%v %s", change, err, out)
		}
	}
	if out, err := f.ModifyAs(t, f.account, add(f.Contact(t, "partner"), adCertificates, c.DER)); err == nil {
		t.Errorf("the publishing account writes to contacts: %s", out)
	}
	f.Modify(t, "dn: OU=Others,"+f.Base+"\nobjectClass: organizationalUnit\n")
	f.Modify(t, "dn: "+dn+"\nchangetype: modrdn\nnewrdn: CN=alice\ndeleteoldrdn: 1\nnewsuperior: OU=Others,"+f.Base+"\n")
	if out, err := f.ModifyAs(t, f.account, add("CN=alice,OU=Others,"+f.Base, adCertificates, []byte("x"))); err == nil {
		t.Errorf("the publishing account writes elsewhere: %s", out)
	}
}

// Without the rights nothing is published, and the sweep says why.
func TestADWithoutRights(t *testing.T) {
	f := inForest(t, gal.Policy{})
	dn := f.User(t, "alice")
	f.issue(t, "alice")
	c := f.configuration()
	c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword
	c.DB, c.Now = f.bundle.DB, f.clock.Now
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	g := f.gal.Config
	g.Directory = d
	p, err := gal.New(g)
	must(t, err)
	if err := p.Sweep(t.Context(), operator, gal.Sweeping{Now: true, Repair: true}); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("sweep: %v", err)
	}
	if s, err := p.Status(t.Context(), operator); err != nil || !strings.Contains(s.Failure, "write userCertificate") || s.Changed != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	f.holds(t, "without rights", dn, adCertificates)
	must(t, f.gal.Sweep(t.Context(), operator, gal.Sweeping{})) // another server, whose account may
	f.drift(t, "with rights", map[gal.Kind]int{})
}

// Another part of the forest has contacts for the company's people: they are found by mail and by proxy addresses, and show the
// same certificates.
func TestADContacts(t *testing.T) {
	var there *sambatest.Unit
	f := inForest(t, gal.Policy{}, func(c *gal.Config) {
		there = sambatest.New(t)
		account := there.Account(t, "partner")
		page, err := os.ReadFile("../docs/gal.md")
		must(t, err)
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, "dsacls ") {
				there.Dsacls(t, strings.ReplaceAll(line, ";user\"", ";contact\""), "OU=People,DC=example,DC=com", there.People, "sealpost-publisher", account.Name)
			}
		}
		d, err := directory.New(directory.Config{
			Name: "partners", Dialect: "ad", URLs: []string{there.TLSURL()}, Trust: there.Trust, People: directory.People{Base: there.People, Filter: "(objectCategory=person)"},
			Lookup: directory.Account{DN: there.Lookup.DN, PasswordFile: there.Lookup.PasswordFile}, LookupPassword: there.Lookup.Password,
			Publisher: directory.Account{DN: account.DN, PasswordFile: account.PasswordFile}, PublisherPassword: account.Password,
			Timeout: 5 * time.Minute, ConnectTimeout: 5 * time.Minute, DB: c.DB, Now: c.Now,
		})
		must(t, err)
		t.Cleanup(d.Close)
		find, err := directory.NewFinder("(|(mail={mailbox})(proxyAddresses=smtp:{mailbox}))")
		must(t, err)
		c.Further = []gal.TargetConfig{{Directory: d, Find: find}}
	})
	f.User(t, "alice")
	f.User(t, "bob")
	alice := there.Contact(t, "alice")
	bob := there.Contact(t, "b", "proxyAddresses: SMTP:bob@example.test")
	foreign := f.bundle.twin(t).Raw
	f.put(t, alice, adCertificates, foreign)
	one, two := f.issue(t, "alice"), f.issue(t, "bob")
	target, err := f.gal.At("partners")
	must(t, err)
	for range 2 {
		must(t, target.Sweep(t.Context(), operator, gal.Sweeping{Now: true, Repair: true}))
		f.holds(t, "by mail", alice, adCertificates, foreign, one.DER)
		f.holds(t, "by proxy address", bob, adCertificates, two.DER)
		if s, err := target.Status(t.Context(), operator); err != nil || len(s.Drift) != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	f.bundle.revoke(t, two)
	if _, err := target.Publish(t.Context(), f.person(t, "bob").ID); err != nil {
		t.Error(err)
	}
	f.holds(t, "revoked", bob, adCertificates)
}

// A colleague's gpgsm, whose dirmngr logs in to Active Directory, finds the recipient's certificate and encrypts to it. A revoked one is
// no longer found.
func TestADGPGSMFindsTheCertificate(t *testing.T) {
	f := inForest(t, gal.Policy{})
	f.User(t, "alice")
	who, key := f.person(t, "alice"), pkitest.RSAKey(t, ca.RSA3072, 3)
	current := f.pki.Issue(t, who.Request(ca.SMIMEEncryption, key.Public()))[0]
	f.sweep(t, gal.Sweeping{Repair: true})
	g := &gnupg{gpgtest.New(t, f.pki.Root), t}
	g.Env = []string{"LDAPTLS_CACERT=" + f.TrustFile}
	server, err := url.Parse(f.StartTLSURL())
	must(t, err)
	g.Write("dirmngr_ldapservers.conf", fmt.Appendf(nil, "%s:%s:%s:%s:%s:starttls:\n", server.Hostname(), server.Port(), f.Lookup.Name+"@ad.test", f.Lookup.Password, f.People))
	g.Import(f.pki.Root.Raw, f.pki.Issuing.Raw)
	found := g.lookup(who.Mailbox)
	if len(found) != 1 || !bytes.Equal(found[0], current.DER) {
		t.Fatalf("dirmngr finds %d certificates", len(found))
	}
	g.Write("found.pem", pkitest.PEM(found...))
	_, _ = g.Try("gpgsm", "--batch", "--disable-crl-checks", "--import", g.Path("found.pem")) // it says that the other authority is unknown
	g.Write("mail.txt", []byte("for alice"))
	g.Run("gpgsm", "--batch", "--disable-crl-checks", "--encrypt", "--output", g.Path("mail.p7m"), "-r", who.Mailbox, g.Path("mail.txt"))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	out := g.Run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", g.Path("mail.p7m"), "-inkey", g.Write("key.der", private), "-keyform", "DER",
		"-recip", g.Write("recipient.pem", pkitest.PEM(current.DER)))
	if out != "for alice" {
		t.Errorf("the message is %q", out)
	}
	f.bundle.revoke(t, current)
	f.sweep(t, gal.Sweeping{Repair: true})
	if after, _ := g.Try("dirmngr-client", "--lookup", who.Mailbox); strings.TrimSpace(after) != "" {
		t.Errorf("after the revocation dirmngr finds %s", after)
	}
}
