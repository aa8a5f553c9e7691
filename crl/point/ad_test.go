package point_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// forest is a unit of an Active Directory domain, with an account that may publish as docs/crl.md says, and names for an authority
// of the test's own in the containers that all tests share.
type forest struct {
	*sambatest.Unit
	account   sambatest.Account
	authority string // in AIA
	container string // in CDP
	lists     string // in container
}

func newForest(t testing.TB) *forest {
	t.Helper()
	u := sambatest.New(t)
	f := &forest{Unit: u, account: u.Account(t, "pki"), authority: "CN=CA of " + u.Name + "," + sambatest.AIA, container: "CN=server of " + u.Name + "," + sambatest.CDP}
	f.lists = "CN=CA of " + u.Name + "," + f.container
	document, err := os.ReadFile("../../docs/crl.md")
	must(t, err)
	commands := 0
	for line := range strings.Lines(string(document)) {
		if strings.HasPrefix(line, "dsacls ") {
			commands++
			u.Dsacls(t, line, "DC=example,DC=com", sambatest.Base, "sealpost-publisher", f.account.Name)
		}
	}
	if commands != 4 {
		t.Errorf("docs/crl.md has %d commands", commands)
	}
	return f
}

// point is the authority's place as a server has it.
func (f *forest) point(t testing.TB, change ...func(*directory.Config)) *point.LDAP {
	t.Helper()
	c := directory.Config{
		Name: f.Name, Dialect: "ad", URLs: []string{f.TLSURL()}, Trust: f.Trust, People: directory.People{Base: f.People},
		Lookup: directory.Account{DN: f.Lookup.DN, PasswordFile: f.Lookup.PasswordFile}, LookupPassword: f.Lookup.Password,
		Publisher: directory.Account{DN: f.account.DN, PasswordFile: f.account.PasswordFile}, PublisherPassword: f.account.Password,
		Authorities: directory.Authorities{Base: sambatest.PKI, Create: true},
		DB:          pgtest.New(t), Timeout: 5 * time.Minute, ConnectTimeout: 5 * time.Minute,
	}
	for _, fn := range change {
		fn(&c)
	}
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	must(t, d.Check(t.Context()))
	p, err := point.NewLDAP(point.LDAPConfig{DN: f.authority, Lists: f.lists, Directory: d})
	must(t, err)
	return p
}

// Active Directory's containers show the list, the delta, those of a partition, and the certificates of all generations. With the
// rights that docs/crl.md grants the entries are made, and nothing else can be.
func TestADEntries(t *testing.T) {
	t.Parallel()
	f := newForest(t)
	p := f.point(t)
	ca := newIssuer(t, "Issuing")
	next := ca.certificate(t, "Issuing", time.Now())
	delta, full := ca.delta(t, 1, 1), ca.full(t, 2)
	part := ca.listed(t, "issuing-3.crl", point.Full, ca.der(t, 3, 0))
	part.Partition = "3"
	partDelta := ca.listed(t, "issuing-3-delta.crl", point.Delta, ca.der(t, 4, 3))
	partDelta.Partition = "3"
	newer, newerDelta := ca.full(t, 5), ca.delta(t, 6, 2)
	// A delta first: an entry must hold a list, and gets a placeholder that nobody is shown.
	for _, one := range []point.File{delta, full, part, partDelta, file("issuing.cer", point.Certificate, ca.cert.Raw), packed(t, next, ca.cert), newer, newerDelta, newer} {
		must(t, p.Put(t.Context(), one))
		shows(t, p, one)
	}
	partition := strings.Replace(f.lists, ",", "-3,", 1)
	for _, c := range []struct {
		dn, attribute string
		want          [][]byte
	}{
		{f.lists, "certificateRevocationList", [][]byte{content(t, newer)}},
		{f.lists, "deltaRevocationList", [][]byte{content(t, newerDelta)}},
		{partition, "certificateRevocationList", [][]byte{content(t, part)}},
		{partition, "deltaRevocationList", [][]byte{content(t, partDelta)}},
		{f.authority, "cACertificate", [][]byte{ca.cert.Raw, next.Raw}},
		{f.lists, "objectClass", [][]byte{[]byte("top"), []byte("cRLDistributionPoint")}},
		{f.authority, "objectClass", [][]byte{[]byte("top"), []byte("certificationAuthority")}},
		{f.container, "objectClass", [][]byte{[]byte("top"), []byte("container")}},
	} {
		got := f.Values(t, f.Lookup, c.dn, c.attribute)
		if len(got) != len(c.want) || len(got) == 1 && !bytes.Equal(got[0], c.want[0]) || len(got) == 2 && !bytes.Equal(got[1], c.want[1]) && !bytes.Equal(got[0], c.want[1]) {
			t.Errorf("%s has %d values of %s, not %d or not these", c.dn, len(got), c.attribute, len(c.want))
		}
	}
	is(t, "an older list", p.Put(t.Context(), full), list.ErrNewer)
	is(t, "an older delta", p.Put(t.Context(), delta), list.ErrNewer)
	is(t, "another authority's", p.Put(t.Context(), newIssuer(t, "Other").full(t, 9)), list.ErrForeign)
	shows(t, p, newer)
	for what, ldif := range map[string]string{
		"delete a list's entry":     "dn: " + f.lists + "\nchangetype: delete\n",
		"delete the container":      "dn: " + f.container + "\nchangetype: delete\n",
		"a list where none belongs": "dn: CN=" + f.Name + "," + sambatest.CDP + "\nobjectClass: cRLDistributionPoint\ncertificateRevocationList: x\n",
		"trust in an authority":     "dn: CN=" + f.Name + ",CN=Certification Authorities," + sambatest.PKI + "\nobjectClass: certificationAuthority\ncACertificate: x\ncertificateRevocationList: x\nauthorityRevocationList: x\n",
		"logon certificates":        "dn: CN=NTAuthCertificates," + sambatest.PKI + "\nobjectClass: certificationAuthority\ncACertificate: x\ncertificateRevocationList: x\nauthorityRevocationList: x\n",
		"an enrolment service":      "dn: CN=" + f.Name + ",CN=Enrollment Services," + sambatest.PKI + "\nobjectClass: pKIEnrollmentService\n",
		"a user's certificate":      "dn: " + f.User(t, "alice") + "\nchangetype: modify\nadd: userCertificate\nuserCertificate: x\n",
	} {
		if out, err := f.ModifyAs(t, f.account, ldif); err == nil || !strings.Contains(out, "Insufficient access") {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
}

// Somebody else's entries, made by hand or by Windows, are taken over as they are.
func TestADFoundEntries(t *testing.T) {
	t.Parallel()
	f := newForest(t)
	ca := newIssuer(t, "Issuing")
	f.Modify(t, "dn: "+f.container+"\nobjectClass: container\n")
	f.Modify(t, "dn: "+f.lists+"\nobjectClass: cRLDistributionPoint\ncertificateRevocationList:: AA==\n")
	f.Modify(t, "dn: "+f.authority+"\nobjectClass: certificationAuthority\ncACertificate:: AA==\ncertificateRevocationList:: AA==\nauthorityRevocationList:: AA==\n")
	p := f.point(t, func(c *directory.Config) { c.Authorities.Create = false })
	_, err := p.Get(t.Context(), ca.full(t, 1))
	is(t, "an empty entry", err, point.ErrAbsent)
	for _, one := range []point.File{ca.full(t, 1), ca.delta(t, 2, 1), file("issuing.cer", point.Certificate, ca.cert.Raw)} {
		must(t, p.Put(t.Context(), one))
		shows(t, p, one)
	}
	if got := f.Values(t, f.Lookup, f.authority, "cACertificate"); len(got) != 1 {
		t.Errorf("%d certificates, the placeholder among them", len(got))
	}
	absent := newForest(t)
	is(t, "absent, not to be made", absent.point(t, func(c *directory.Config) { c.Authorities.Create = false }).Put(t.Context(), ca.full(t, 1)), point.ErrRefused)
	is(t, "without rights", absent.point(t, func(c *directory.Config) { c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword }).Put(t.Context(), ca.full(t, 1)), point.ErrRefused)
	absent.lists = "CN=CA,CN=none,CN=none," + sambatest.CDP
	is(t, "nothing above", absent.point(t).Put(t.Context(), ca.full(t, 1)), point.ErrRefused)
}

// Servers that publish at once, in any order, also to entries that none of them has made yet: the newest list stays.
func TestADConcurrentPublication(t *testing.T) {
	t.Parallel()
	f := newForest(t)
	ca := newIssuer(t, "Issuing")
	points := []*point.LDAP{f.point(t), f.point(t), f.point(t)}
	lists := make([]point.File, 12)
	for i := range lists {
		lists[i] = ca.full(t, int64(i+1))
	}
	var wg sync.WaitGroup
	for i := range lists {
		n := i * 5 % len(lists)
		wg.Go(func() {
			err := points[i%len(points)].Put(t.Context(), lists[n])
			if n == len(lists)-1 {
				is(t, "newest", err, nil)
			} else if err != nil {
				is(t, "older", err, list.ErrNewer)
			}
		})
	}
	wg.Wait()
	shows(t, points[0], lists[len(lists)-1])
}

// Outsiders read nothing until the forest and the containers let them; then Sealpost's reader, ldapsearch and curl read the list by
// the address that certificates carry. This test alone lets them.
func TestADOutsiders(t *testing.T) {
	t.Parallel()
	f := newForest(t)
	p := f.point(t)
	full := newIssuer(t, "Issuing").full(t, 1)
	must(t, p.Put(t.Context(), full))
	address := f.StartTLSURL() + "/" + url.PathEscape(f.lists) + "?certificateRevocationList?base?(objectClass=cRLDistributionPoint)"
	world := directory.World{Timeout: 5 * time.Minute}
	_, err := world.OneValue(t.Context(), address)
	is(t, "outsider", err, directory.ErrRefused)
	if !strings.Contains(detail(err), "answers only who has logged in") {
		t.Error(err)
	}
	shows(t, p, full) // to our account
	f.ShowToWorld(t, f.container)
	got, err := world.OneValue(t.Context(), address)
	if err != nil || !bytes.Equal(got, content(t, full)) {
		t.Errorf("outsider: %d bytes, %v", len(got), err)
	}
	if got := f.Values(t, sambatest.Account{}, f.lists, "certificateRevocationList"); len(got) != 1 || !bytes.Equal(got[0], content(t, full)) {
		t.Errorf("ldapsearch: %d values", len(got))
	}
	out, err := exec.Command("curl", "-sS", address).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("\tcertificateRevocationList:: ")) {
		t.Errorf("curl: %v: %s", err, out)
	}
	_, err = world.OneValue(t.Context(), f.StartTLSURL()+"/"+url.PathEscape(f.authority)+"?cACertificate")
	is(t, "another container", err, directory.ErrUnknownEntry)
}
