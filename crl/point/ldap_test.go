package point_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/nettest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func newLDAP(t testing.TB, s *slapdtest.Server, lists string, change ...func(*directory.Config)) *point.LDAP {
	t.Helper()
	c := housetest.DirectoryConfig(s)
	c.DB = pgtest.Open(t, pgtest.NewDatabase(t))
	c.Timeout, c.ConnectTimeout = 10*time.Second, 10*time.Second
	for _, f := range change {
		f(&c)
	}
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	p, err := point.NewLDAP(point.LDAPConfig{DN: entry, Lists: lists, Directory: d})
	must(t, err)
	return p
}

// seen returns what ldapsearch shows the world of an attribute.
func seen(t testing.TB, s *slapdtest.Server, dn, attribute string) (values [][]byte) {
	t.Helper()
	for _, line := range strings.Split(s.Search(t, slapdtest.Account{}, "-b", dn, "-s", "base", "(objectClass=*)", attribute), "\n") {
		if text, ok := strings.CutPrefix(line, attribute+":: "); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			must(t, err)
			values = append(values, b)
		}
	}
	return values
}

// The authority's entry shows the list, the delta and the certificates of all generations; partitions have entries of their own.
func TestLDAPEntries(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	p := newLDAP(t, s, "")
	ca := newIssuer(t, "Issuing")
	next := ca.certificate(t, "Issuing", time.Now())
	full, delta := ca.full(t, 1), ca.delta(t, 2, 1)
	part := ca.listed(t, "issuing-3.crl", point.Full, ca.der(t, 3, 0))
	part.Partition = "3"
	partDelta := ca.listed(t, "issuing-3-delta.crl", point.Delta, ca.der(t, 4, 3))
	partDelta.Partition = "3"
	for _, f := range []point.File{full, delta, part, partDelta, file("issuing.cer", point.Certificate, ca.cert.Raw), packed(t, next, ca.cert)} {
		must(t, p.Put(t.Context(), f))
		shows(t, p, f)
	}
	partition := "cn=Issuing CA 1-3," + slapdtest.PKI
	for _, c := range []struct {
		dn, attribute string
		want          [][]byte
	}{
		{entry, "certificateRevocationList;binary", [][]byte{content(t, full)}},
		{entry, "deltaRevocationList;binary", [][]byte{content(t, delta)}},
		{entry, "cACertificate;binary", [][]byte{ca.cert.Raw, next.Raw}},
		{partition, "certificateRevocationList;binary", [][]byte{content(t, part)}},
		{partition, "deltaRevocationList;binary", [][]byte{content(t, partDelta)}},
		{partition, "cACertificate;binary", nil},
	} {
		got := seen(t, s, c.dn, c.attribute)
		if len(got) != len(c.want) || len(got) == 1 && !bytes.Equal(got[0], c.want[0]) {
			t.Errorf("%s has %d values of %s, not %d or not these", c.dn, len(got), c.attribute, len(c.want))
		}
	}
	for dn, classes := range map[string][]string{entry: {"applicationProcess", "pkiCA", "deltaCRL"}, partition: {"cRLDistributionPoint"}} {
		out := s.Search(t, slapdtest.Account{}, "-b", dn, "-s", "base", "objectClass")
		for _, class := range classes {
			if !strings.Contains(out, class) || strings.Count(out, "objectClass:") != len(classes) {
				t.Errorf("%s: %s", dn, out)
			}
		}
	}
	if dn, err := p.Entry(part); err != nil || dn != partition {
		t.Errorf("%s, %v", dn, err)
	}
	is(t, "an older delta", p.Put(t.Context(), ca.delta(t, 1, 1)), list.ErrNewer)
}

// Lists may have an entry of their own, as in Active Directory; it may be one that somebody else has made.
func TestLDAPListsApart(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	const apart = "cn=Lists of CA 1," + slapdtest.PKI
	p := newLDAP(t, s, apart)
	ca := newIssuer(t, "Issuing")
	for _, f := range []point.File{ca.delta(t, 1, 1), ca.full(t, 2), file("issuing.cer", point.Certificate, ca.cert.Raw)} {
		must(t, p.Put(t.Context(), f))
		shows(t, p, f)
	}
	if out := s.Search(t, slapdtest.Account{}, "-b", apart, "-s", "base", "objectClass"); !strings.Contains(out, "objectClass: cRLDistributionPoint") {
		t.Errorf("%s", out)
	}
	if len(seen(t, s, entry, "certificateRevocationList;binary")) != 0 {
		t.Error("the authority's entry has a list")
	}
	const made = "cn=Made by hand," + slapdtest.PKI
	s.Modify(t, "dn: "+made+"\nobjectClass: applicationProcess\n")
	p = newLDAP(t, s, made)
	for _, f := range []point.File{ca.delta(t, 1, 1), ca.full(t, 2)} {
		must(t, p.Put(t.Context(), f))
		shows(t, p, f)
	}
}

// What an administrator of the directory must mend is said in their words, with the entry's name.
func TestLDAPRefuses(t *testing.T) {
	t.Parallel()
	const (
		locked = "cn=Locked," + slapdtest.PKI
		fixed  = "cn=Fixed," + slapdtest.PKI
		away   = "cn=Away," + slapdtest.PKI
	)
	s := slapdtest.NewWith(t, slapdtest.Config{})
	s.Modify(t, "dn: "+away+"\nobjectClass: referral\nobjectClass: extensibleObject\ncn: Away\nref: ldap://ldap.example.test/cn=Away\n")
	ca := newIssuer(t, "Issuing")
	for what, c := range map[string]struct {
		lists  string
		change func(*directory.Config)
		word   string
	}{
		"a referral":              {away, nil, "refers to another server"},
		"no parent":               {"cn=CA,ou=none," + slapdtest.PKI, nil, "no entry above"},
		"not below the base":      {"cn=CA," + slapdtest.People, nil, "authorities.base"},
		"absent, not to be made":  {"cn=New," + slapdtest.PKI, func(c *directory.Config) { c.Authorities.Create = false }, "has no entry"},
		"no rights":               {"cn=New," + slapdtest.PKI, func(c *directory.Config) { c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword }, "An operator must give it that right"},
		"wrong password":          {"cn=New," + slapdtest.PKI, func(c *directory.Config) { c.PublisherPassword = "wrong" }, "does not accept the password of Sealpost's account"},
		"nobody who writes":       {"cn=New," + slapdtest.PKI, func(c *directory.Config) { c.Publisher, c.PublisherPassword = directory.Account{}, "" }, "No publishing account"},
		"another kind of server":  {"cn=New," + slapdtest.PKI, func(c *directory.Config) { c.Dialect = "ad" }, "check the dialect"},
		"locked, by access rules": {locked, nil, "An operator must give it that right"},
		"wrong class, and fixed":  {fixed, nil, "An operator must give it that right"},
	} {
		server := s
		if c.lists == locked || c.lists == fixed {
			server = restricted(t, locked, fixed)
		}
		changes := []func(*directory.Config){}
		if c.change != nil {
			changes = append(changes, c.change)
		}
		err := newLDAP(t, server, c.lists, changes...).Put(t.Context(), ca.full(t, 1))
		is(t, what, err, point.ErrRefused)
		if !strings.Contains(detail(err), c.word) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A directory that is read-only, for maintenance or as a replica.
func TestLDAPReadOnly(t *testing.T) {
	t.Parallel()
	p := newLDAP(t, slapdtest.NewWith(t, slapdtest.Config{Extra: "readonly on"}), "")
	err := p.Put(t.Context(), newIssuer(t, "Issuing").full(t, 1))
	is(t, "read-only", err, point.ErrRefused)
	if !strings.Contains(detail(err), "locked or read-only") {
		t.Error(err)
	}
}

// restricted is a server where one entry is locked, and another may not change its classes.
func restricted(t testing.TB, locked, fixed string) *slapdtest.Server {
	t.Helper()
	s := slapdtest.NewWith(t, slapdtest.Config{First: `access to dn.base="` + locked + `" by * read
access to dn.base="` + fixed + `" attrs=objectClass by * read`})
	for _, dn := range []string{locked, fixed} {
		s.Modify(t, "dn: "+dn+"\nobjectClass: applicationProcess\n")
	}
	return s
}

func TestLDAPIsAway(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	ca := newIssuer(t, "Issuing")
	p := newLDAP(t, s, "")
	must(t, p.Put(t.Context(), ca.full(t, 1)))
	s.Kill()
	is(t, "killed", p.Put(t.Context(), ca.full(t, 2)), point.ErrUnreachable)
	must(t, s.Restart(t.Context()))
	two := ca.full(t, 2)
	must(t, p.Put(t.Context(), two))
	shows(t, p, two)
	start := time.Now()
	mute := newLDAP(t, s, "", func(c *directory.Config) {
		c.URLs, c.Timeout, c.ConnectTimeout = []string{"ldaps://" + nettest.Silent(t)}, 300*time.Millisecond, 300*time.Millisecond
	})
	is(t, "silent", mute.Put(t.Context(), ca.full(t, 3)), point.ErrUnreachable)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestLDAPTooLarge(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	ca := newIssuer(t, "Issuing")
	p := newLDAP(t, s, "")
	one := ca.full(t, 1)
	must(t, p.Put(t.Context(), one))
	err := p.Put(t.Context(), ca.large(t, 2, directory.MaxList))
	is(t, "too large", err, point.ErrFile)
	if err == nil || !strings.Contains(detail(err), "more than the") {
		t.Error(err)
	}
	shows(t, p, one)
}
