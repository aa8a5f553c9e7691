package contact_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }

const erin = "erin@partner.test"

// bench is a desk on a house whose directory has contacts.
type bench struct {
	*housetest.House
	*contact.Desk
	out  *outside
	rita audit.Actor
}

// entries is LDIF of contacts' entries, x1 and so on, each with the given addresses.
func entries(mailboxes ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "dn: %s\nobjectClass: organizationalUnit\nou: contacts\n\n", slapdtest.Contacts)
	for n, m := range mailboxes {
		fmt.Fprintf(&s, "dn: cn=x%d,%s\nobjectClass: inetOrgPerson\ncn: x%d\nsn: X\n", n+1, slapdtest.Contacts, n+1)
		for a := range strings.SplitSeq(m, " ") {
			fmt.Fprintf(&s, "mail:: %s\n", base64.StdEncoding.EncodeToString([]byte(a)))
		}
		s.WriteString("\n")
	}
	return s.String()
}

func entryDN(n int) string { return fmt.Sprintf("cn=x%d,%s", n, slapdtest.Contacts) }

func setup(t *testing.T, mailboxes ...string) *bench {
	t.Helper()
	t.Parallel()
	h := housetest.On(t, pgtest.NewDatabase(t), slapdtest.NewWith(t, slapdtest.Config{More: entries(mailboxes...)}))
	return with(t, h, newOutside(t, h.Clock.Now()), nil)
}

// with is a desk on a house that the test has, as another server would have it.
func with(t *testing.T, h *housetest.House, out *outside, change func(*contact.Config)) *bench {
	t.Helper()
	c := housetest.DirectoryConfig(h.Slapd)
	c.DB, c.Now, c.People, c.Timeout, c.ConnectTimeout = h.DB, h.Clock.Now, directory.People{Base: slapdtest.Contacts}, 5*time.Second, 5*time.Second
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	find, err := directory.NewFinder("")
	must(t, err)
	config := contact.Config{DB: h.DB, Authority: h.PKI.Authority, People: h.Directory, Directory: d, Find: find, Audit: h.Audit,
		Own: []string{"example.test"}, Now: h.Clock.Now}
	if change != nil {
		change(&config)
	}
	desk, err := contact.New(config)
	must(t, err)
	return &bench{h, desk, out, h.Actor(t, "rita")}
}

// again is the same desk in another configuration.
func (b *bench) again(t *testing.T, change func(*contact.Config)) *bench {
	t.Helper()
	return with(t, b.House, b.out, change)
}

// outside is another company's authority.
type outside struct {
	root *x509.Certificate
	key  crypto.Signer
	last int64
}

func newOutside(t *testing.T, now time.Time) *outside {
	t.Helper()
	o := &outside{key: pkitest.NewKey(t, ca.P256)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Partner CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	o.root, _ = o.sign(t, template, template, o.key)
	return o
}

func (o *outside) sign(t *testing.T, template, parent *x509.Certificate, key crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), o.key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c, key
}

// template is a certificate of an address that is fit to be shown, for a year from an hour ago.
func (o *outside) template(now time.Time, mailboxes ...string) *x509.Certificate {
	o.last++
	return &x509.Certificate{SerialNumber: big.NewInt(100 + o.last), Subject: pkix.Name{CommonName: "Erin Egan"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(1, 0, 0), EmailAddresses: mailboxes, KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
}

// issue makes a certificate with an RSA key, changed as the test wants it.
func (b *bench) issue(t *testing.T, mailbox string, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := b.out.template(b.Clock.Now(), mailbox)
	for _, f := range change {
		f(template)
	}
	c, _ := b.out.sign(t, template, b.out.root, pkitest.RSAKey(t, ca.RSA3072, 7))
	return c
}

func submission(mailbox string, certificates ...*x509.Certificate) contact.Submission {
	var der [][]byte
	for _, c := range certificates {
		der = append(der, c.Raw)
	}
	return contact.Submission{Mailbox: mailbox, Certificate: pkitest.PEM(der...), Note: "fingerprint compared by telephone"}
}

func (b *bench) add(t *testing.T, mailbox string, certificates ...*x509.Certificate) *contact.Contact {
	t.Helper()
	c, err := b.Add(t.Context(), b.rita, submission(mailbox, certificates...))
	must(t, err)
	return c
}

// holds checks what ldapsearch finds in an entry.
func (b *bench) holds(t *testing.T, when string, entry int, want ...[]byte) {
	t.Helper()
	got := b.values(t, entryDN(entry))
	if len(got) != len(want) {
		t.Errorf("%s: x%d holds %d values, want %d", when, entry, len(got), len(want))
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g []byte) bool { return string(g) == string(w) }) {
			t.Errorf("%s: x%d lacks a value", when, entry)
		}
	}
}

func (b *bench) values(t *testing.T, dn string) (out [][]byte) {
	t.Helper()
	for line := range strings.Lines(b.Slapd.Search(t, slapdtest.Account{}, "-b", dn, "-s", "base", "userCertificate")) {
		if text, ok := strings.CutPrefix(line, "userCertificate;binary:: "); ok {
			der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			must(t, err)
			out = append(out, der)
		}
	}
	return out
}

// put has others write values into an entry.
func (b *bench) put(t *testing.T, entry int, values ...[]byte) {
	t.Helper()
	b.Slapd.Modify(t, addition(entryDN(entry), values...))
}

func addition(dn string, values ...[]byte) string {
	s := "dn: " + dn + "\nchangetype: modify\nadd: userCertificate;binary\n"
	for _, v := range values {
		s += "userCertificate;binary:: " + base64.StdEncoding.EncodeToString(v) + "\n"
	}
	return s
}

// look has all that is due be looked at.
func (b *bench) look(t *testing.T) {
	t.Helper()
	must(t, b.Look(t.Context()))
}

func (b *bench) get(t *testing.T, c *contact.Contact) *contact.Contact {
	t.Helper()
	got, err := b.Get(t.Context(), b.rita, c.ID)
	must(t, err)
	return got
}

func (b *bench) events(t *testing.T, kind string) int64 {
	t.Helper()
	return b.Database.Count(t, `select count(*) from audit.event where kind = '`+kind+`'`)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return string(b)
}
