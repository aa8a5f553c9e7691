package contact_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// In Active Directory a certificate comes into the contact's entry, found by mail or by proxyAddresses, and goes again, with the
// rights that docs/gal.md asks for, put as it says for contacts; a user's entry of the same address is not meant.
func TestActiveDirectory(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	account := u.Account(t, "publisher")
	for line := range strings.Lines(readFile(t, "../../docs/gal.md")) {
		if strings.HasPrefix(line, "dsacls ") {
			u.Dsacls(t, strings.ReplaceAll(line, ";user\"", ";contact\""), "OU=People,DC=example,DC=com", u.People, "sealpost-publisher", account.Name)
		}
	}
	erin := u.Contact(t, "erin")
	frank := u.Contact(t, "frank", "proxyAddresses: smtp:frank@partner.test")
	clock := &housetest.Clock{}
	database := pgtest.NewDatabase(t)
	db := pgtest.Open(t, database)
	pki := pkitest.NewAuthorityAt(t, db, clock.Now)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log, err := audit.New(audit.Config{DB: db, Name: "test.example/audit", Signer: key, Now: clock.Now})
	must(t, err)
	const patient = 5 * time.Minute // the domain controller is all tests'
	open := func(people directory.People) *directory.Directory {
		d, err := directory.New(directory.Config{Name: u.Name, Dialect: "ad", URLs: []string{u.TLSURL()}, Trust: u.Trust, People: people, DB: db, Now: clock.Now,
			Lookup: directory.Account{DN: u.Lookup.DN, PasswordFile: u.Lookup.PasswordFile}, LookupPassword: u.Lookup.Password,
			Publisher: directory.Account{DN: account.DN, PasswordFile: account.PasswordFile}, PublisherPassword: account.Password,
			Timeout: patient, ConnectTimeout: patient})
		must(t, err)
		t.Cleanup(d.Close)
		return d
	}
	find, err := directory.NewFinder("(&(objectClass=contact)(|(mail={mailbox})(proxyAddresses=smtp:{mailbox})))")
	must(t, err)
	desk, err := contact.New(contact.Config{DB: db, Authority: pki.Authority, People: open(directory.People{Base: u.People}),
		Directory: open(directory.People{Base: u.People, Filter: "(objectClass=*)"}), Find: find, Audit: log, Now: clock.Now})
	must(t, err)
	b := &bench{House: &housetest.House{Clock: clock}, Desk: desk, out: newOutside(t, clock.Now())}
	rita := audit.Actor{Name: "Rita", Roles: []audit.Role{audit.Registrar}, Method: audit.MethodPassword}

	place := map[string]string{"erin@example.test": erin, "frank@partner.test": frank}
	var list []*contact.Contact
	for mailbox, dn := range place {
		other, mine := b.issue(t, mailbox), b.issue(t, mailbox)
		u.Modify(t, "dn: "+dn+"\nchangetype: modify\nadd: userCertificate\nuserCertificate:: "+base64.StdEncoding.EncodeToString(other.Raw)+"\n")
		c, err := desk.Add(t.Context(), rita, submission(mailbox, mine))
		must(t, err)
		b.awaitPlace(t, rita, c, contact.InEntry)
		if got := u.Values(t, u.Lookup, dn, "userCertificate"); len(got) != 2 {
			t.Errorf("%s: %d values", mailbox, len(got))
		}
		list = append(list, c)
	}
	for _, c := range list {
		_, err := desk.Remove(t.Context(), rita, c.ID, "enough")
		must(t, err)
		b.awaitPlace(t, rita, c, contact.Gone)
		if got := u.Values(t, u.Lookup, place[c.Mailbox], "userCertificate"); len(got) != 1 || string(got[0]) == string(c.Certificate.Raw) {
			t.Errorf("%s: %d values after the removal", c.Mailbox, len(got))
		}
	}
}

// awaitPlace looks until a contact is where it should be: the domain controller may be slow.
func (b *bench) awaitPlace(t *testing.T, by audit.Actor, c *contact.Contact, want contact.Shown) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; b.Clock.Advance(11 * time.Minute) {
		got, err := b.Get(t.Context(), by, c.ID)
		must(t, err)
		if got.Shown == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s, %s", got.Mailbox, got.Shown, got.Failure)
		}
		_ = b.Look(t.Context()) // what failed is tried again
	}
}
