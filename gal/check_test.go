package gal_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

const (
	lookupDN    = "cn=lookup,ou=services," + slapdtest.Base
	publisherDN = "cn=publisher,ou=services," + slapdtest.Base
)

// broken is a directory in which something is not as it must be.
type broken struct {
	slapd   slapdtest.Config
	named   string                                  // whom the server's certificate is for
	after   func(t *testing.T, s *slapdtest.Server) // once it runs
	config  func(s *slapdtest.Server, c *directory.Config)
	further bool   // entries are found by mail address
	domains string // of a further one
	state   directory.State
	thing   string // begins so
	says    string // part of it
}

func first(rule string) slapdtest.Config { return slapdtest.Config{First: rule + "\n"} }

var brokenOnes = map[string]broken{
	"server away": {after: func(_ *testing.T, s *slapdtest.Server) { s.Stop() }, state: directory.Fault, thing: "server ldaps://", says: "Nothing listens at 127.0.0.1:"},
	"no host": {config: func(_ *slapdtest.Server, c *directory.Config) { c.URLs = []string{"ldaps://no-such-host.invalid"} }, state: directory.Fault, thing: "server",
		says: "no-such-host.invalid"},
	"unknown CA": {config: func(_ *slapdtest.Server, c *directory.Config) { c.Trust, c.TrustFile = x509.NewCertPool(), "ca.pem" }, state: directory.Fault, thing: "server",
		says: "not in trust_file. Put the certificate of that CA there."},
	"unknown CA, StartTLS": {config: func(s *slapdtest.Server, c *directory.Config) {
		c.URLs, c.Trust = []string{s.StartTLSURL()}, x509.NewCertPool()
	}, state: directory.Fault, thing: "server",
		says: "not in trust_file (none is configured: the operating system's CAs count). Put the certificate"},
	"other name": {named: "ldap.example.test", state: directory.Fault, thing: "server ldaps://127.0.0.1", says: "Its certificate is not for 127.0.0.1."},
	"certificate ends": {config: func(_ *slapdtest.Server, c *directory.Config) {
		c.Now = func() time.Time { return time.Now().AddDate(0, 11, 25) }
	}, state: directory.Warning, thing: "server", says: "but its certificate ends on"},
	"no TLS": {config: func(s *slapdtest.Server, c *directory.Config) {
		c.URLs = []string{strings.Replace(s.StartTLSURL(), "ldap:", "ldaps:", 1)}
	}, state: directory.Fault, thing: "server", says: "does not speak TLS. Use ldap:// in urls, with StartTLS"},
	"no StartTLS": {slapd: slapdtest.Config{NoTLS: true}, config: func(s *slapdtest.Server, c *directory.Config) { c.URLs = []string{s.StartTLSURL()} }, state: directory.Fault, thing: "server",
		says: "It does not offer StartTLS"},
	"lookup's password": {config: func(_ *slapdtest.Server, c *directory.Config) { c.LookupPassword = "other" }, state: directory.Fault, thing: "account lookup",
		says: "does not let " + lookupDN + " in. Check"},
	"publisher's password": {config: func(_ *slapdtest.Server, c *directory.Config) { c.PublisherPassword = "other" }, state: directory.Fault, thing: "account publisher",
		says: "the password in publisher.password_file"},
	"no publisher": {config: func(_ *slapdtest.Server, c *directory.Config) {
		c.Publisher, c.PublisherPassword = directory.Account{}, ""
	}, state: directory.Fault,
		thing: "account publisher", says: "No account that writes is configured."},
	"base": {config: func(_ *slapdtest.Server, c *directory.Config) { c.People.Base = "ou=staff," + slapdtest.Base }, state: directory.Fault, thing: "base ou=staff",
		says: "has no such entry, or " + lookupDN + " may not see it."},
	"base hidden": {slapd: first("access to dn.subtree=\"" + slapdtest.People + "\" by dn.exact=\"" + lookupDN + "\" none by * break"), state: directory.Fault, thing: "base",
		says: "may not see it."},
	"filter": {config: func(_ *slapdtest.Server, c *directory.Config) { c.People.Filter = "(title=Nobody)" }, state: directory.Fault, thing: "people",
		says: "No entry is found below " + slapdtest.People + " by (title=Nobody)."},
	"id hidden":   {slapd: first("access to attrs=entryUUID by * none"), state: directory.Fault, thing: "attribute entryUUID", says: lookupDN + " does not see it, for example of uid="},
	"mail hidden": {slapd: first("access to attrs=mail by * none"), state: directory.Fault, thing: "mail addresses", says: lookupDN + " sees no address of anybody."},
	"size limit": {slapd: slapdtest.Config{Extra: fmt.Sprintf("limits dn.exact=%q size=4\n", lookupDN)}, state: directory.Fault, thing: "people",
		says: "entries are shown to " + lookupDN + ", page by page. Raise its limit: in OpenLDAP limits dn.exact=\"" + lookupDN + "\" size.prtotal=unlimited"},
	"userCertificate": {slapd: first("access to attrs=userCertificate by * read"), state: directory.Fault, thing: "writing userCertificate",
		says: publisherDN + " may not write userCertificate of uid="},
	"userSMIMECertificate": {slapd: first("access to attrs=userSMIMECertificate by * read"), state: directory.Fault, thing: "writing userSMIMECertificate",
		says: publisherDN + " may not write userSMIMECertificate of uid="},
	"only adding": {slapd: first("access to attrs=userCertificate by dn.exact=\"" + publisherDN + "\" =arscd by * read"), state: directory.Fault, thing: "writing userCertificate",
		says: publisherDN + " may not write"},
	"entryCSN": {slapd: first("access to attrs=entryCSN by * none"), state: directory.Warning, thing: "attribute entryCSN", says: "does not show it to " + publisherDN},
	"changes hidden": {slapd: first("access to attrs=entryCSN,modifyTimestamp by dn.exact=\"" + publisherDN + "\" read by * none"), state: directory.Warning, thing: "noticing changes",
		says: lookupDN + " sees no entryCSN and no modifyTimestamp, for example of uid="},
	"class": {slapd: slapdtest.Config{First: "access to attrs=objectClass by * read\n", More: "dn: cn=plain," + slapdtest.People + "\nobjectClass: person\ncn: plain\nsn: P\n\n"},
		state: directory.Fault, thing: "class pkiUser", says: publisherDN + " may not add pkiUser to it."},
	"no class": {config: func(_ *slapdtest.Server, c *directory.Config) { c.HolderClass = "nothingUser" }, state: directory.Fault, thing: "schema",
		says: "The server knows no class nothingUser"},
	"name of userCertificate": {config: func(_ *slapdtest.Server, c *directory.Config) { c.AttributeNames = []string{"userCertificate"} }, state: directory.Fault,
		thing: "writing userCertificate", says: "Set attribute_names: [userCertificate;binary]."},
	"name of userSMIMECertificate": {config: func(_ *slapdtest.Server, c *directory.Config) {
		c.AttributeNames = []string{"userSMIMECertificate;binary"}
	}, state: directory.Fault,
		thing: "writing userSMIMECertificate", says: "Set attribute_names: [userSMIMECertificate]."},
	"too many rights": {config: func(s *slapdtest.Server, c *directory.Config) {
		c.Publisher, c.PublisherPassword = directory.Account{DN: s.Admin.DN, PasswordFile: s.Admin.PasswordFile}, s.Admin.Password
	}, state: directory.Warning, thing: "account publisher", says: "may also write mail, userPassword, cn of people."},
	"lookup writes": {config: func(_ *slapdtest.Server, c *directory.Config) {
		c.Lookup, c.LookupPassword = c.Publisher, c.PublisherPassword
	},
		slapd: first("access to dn.subtree=\"" + slapdtest.People + "\" attrs=entryUUID by * read"), state: directory.Warning, thing: "account lookup",
		says: "may also write userCertificate of people."},
	"values hidden": {slapd: first("access to attrs=userCertificate by dn.exact=\"" + publisherDN + "\" write by * none"), after: func(t *testing.T, s *slapdtest.Server) {
		s.Modify(t, add(slapdtest.PersonDN("bob"), certificates, selfSigned(t)))
	}, state: directory.Fault, thing: "reading userCertificate", says: lookupDN + " does not see it, though it is there."},
	"publisher does not see people": {slapd: first("access to dn.subtree=\"" + slapdtest.People + "\" by dn.exact=\"" + publisherDN + "\" none by * break"), state: directory.Fault,
		thing: "account publisher", says: publisherDN + " does not find uid="},
	"read only": {slapd: slapdtest.Config{Extra: "readonly on\n"}, state: directory.Fault, thing: "writing userCertificate", says: "takes no changes: it is a copy that may only be read"},
	"several": {further: true, after: func(t *testing.T, s *slapdtest.Server) {
		s.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modify\nadd: mail\nmail: alice@example.test\n")
	}, state: directory.Warning, thing: "finding by mail address", says: "(mail=alice@example.test) finds 2 entries."},
	"domains": {further: true, domains: "elsewhere.test", state: directory.Fault, thing: "mail addresses", says: "None of the 10 entries has an address in the configured domains."},
}

// What is not as it must be is said in a sentence, and trying it out leaves every entry as it was.
func TestCheckSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := housetest.New(t)
	for name, b := range brokenOnes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if b.named != "" {
				b.slapd.Certificate, b.slapd.Trust = certificateFor(t, b.named)
			}
			s := slapdtest.NewWith(t, b.slapd)
			if b.after != nil {
				b.after(t, s)
			}
			before := whole(t, s, name, b)
			results := checked(t, h, s, b)
			if after := whole(t, s, name, b); after != before {
				t.Errorf("entries were changed:\n%s\nbefore:\n%s", after, before)
			}
			for _, r := range results {
				if r.State == b.state && strings.HasPrefix(r.Thing, b.thing) && strings.Contains(r.Says, b.says) {
					return
				}
			}
			t.Errorf("nothing says %q of %s:\n%s", b.says, b.thing, text(results))
		})
	}
}

// whole returns all that a server holds.
func whole(t *testing.T, s *slapdtest.Server, name string, b broken) string {
	if name == "server away" || b.slapd.NoTLS || b.named != "" {
		return ""
	}
	return s.Search(t, s.Admin, "-b", slapdtest.Base, "*", "+")
}

// checked tries out a server.
func checked(t *testing.T, h *housetest.House, s *slapdtest.Server, b broken) []directory.Result {
	t.Helper()
	c := housetest.DirectoryConfig(s)
	c.DB, c.Now, c.Timeout, c.ConnectTimeout = h.DB, h.Clock.Now, time.Minute, time.Minute // the machine may be busy
	if b.config != nil {
		b.config(s, &c)
	}
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	config := gal.Config{DB: h.DB, Authority: h.PKI.Authority, Directory: d, Audit: h.Audit, Now: h.Clock.Now}
	if b.further {
		further := gal.TargetConfig{Directory: d}
		further.Find, err = directory.NewFinder("")
		must(t, err)
		if b.domains != "" {
			further.Domains = []string{b.domains}
		}
		config.Directory, config.Further = h.Directory, []gal.TargetConfig{further}
		d.Name = "partners"
	}
	p, err := gal.New(config)
	must(t, err)
	targets := p.Targets()
	results, err := targets[len(targets)-1].Check(t.Context())
	must(t, err)
	return results
}

func text(results []directory.Result) string {
	var s strings.Builder
	for _, r := range results {
		fmt.Fprintf(&s, "%s: %s: %s\n", r.State, r.Thing, r.Says)
	}
	return s.String()
}

// A directory that is as it must be has no fault and no warning, at either of two servers, and stays as it is; one server that
// may only be read is told from the other.
func TestCheckFindsNothing(t *testing.T) {
	t.Parallel()
	h := housetest.New(t)
	more := "dn: cn=plain," + slapdtest.People + "\nobjectClass: person\ncn: plain\nsn: P\n\n"
	s, other := slapdtest.NewWith(t, slapdtest.Config{More: more + people(700), Extra: fmt.Sprintf("limits dn.exact=%q size.prtotal=unlimited\n", lookupDN)}), slapdtest.NewWith(t, first("access to attrs=userCertificate by * read"))
	limited := s.Search(t, s.Lookup, "-b", slapdtest.Base, "-E", "pr=500/noprompt", "(!(cn=P*))", "*", "+")
	for _, b := range []broken{{}, {further: true}} {
		for _, r := range checked(t, h, s, b) {
			if r.State != directory.Good {
				t.Errorf("%s: %s: %s", r.State, r.Thing, r.Says)
			}
			if r.Thing == "people" && !strings.HasPrefix(r.Says, "711 entries are found") {
				t.Error(r.Says)
			}
		}
	}
	if after := s.Search(t, s.Lookup, "-b", slapdtest.Base, "-E", "pr=500/noprompt", "(!(cn=P*))", "*", "+"); after != limited {
		t.Error("entries were changed")
	}
	for dn, password := range map[string]string{lookupDN: s.Lookup.Password, publisherDN: s.Publisher.Password} {
		other.Modify(t, "dn: "+dn+"\nchangetype: modify\nreplace: userPassword\nuserPassword: "+password+"\n")
	}
	found := text(checked(t, h, s, broken{config: func(_ *slapdtest.Server, c *directory.Config) {
		c.URLs, c.Trust = append(c.URLs, other.TLSURL()), x509.NewCertPool()
		for _, one := range []*slapdtest.Server{s, other} {
			text, err := os.ReadFile(one.TrustFile)
			must(t, err)
			c.Trust.AppendCertsFromPEM(text)
		}
	}}))
	if !strings.Contains(found, "good: writing userSMIMECertificate: "+publisherDN+" may, at "+s.TLSURL()) || strings.Count(found, "fault: ") != 1 ||
		!strings.Contains(found, "fault: writing userCertificate: "+publisherDN+" may not write userCertificate of uid=alice,"+slapdtest.People+" at "+other.TLSURL()) {
		t.Errorf("of two servers:\n%s", found)
	}
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	certificate, _ := certificateFor(t, "self.test")
	return certificate.Certificate[0]
}

// certificateFor returns a server's certificate for a host, and what its clients trust.
func certificateFor(t *testing.T, host string) (*tls.Certificate, []byte) {
	t.Helper()
	key := pkitest.NewKey(t, ca.P256)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
