package directory_test

import (
	"bytes"
	"crypto/x509"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

const caDN = "cn=Issuing CA 1," + slapdtest.PKI

func TestAuthority(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.Authority(t.Context(), caDN)
	is(t, "absent", err, directory.ErrUnknownEntry)

	ca, next := newIssuer(t, "Issuing CA 1"), newIssuer(t, "Issuing CA 1")
	one, two := ca.crl(t, 1), ca.crl(t, 2)
	for _, c := range []struct {
		what      string
		cert, crl []byte
		err       error
		certs     [][]byte
		now       []byte
	}{
		{"created", ca.cert.Raw, one, nil, [][]byte{ca.cert.Raw}, one},
		{"again", ca.cert.Raw, one, nil, [][]byte{ca.cert.Raw}, one},
		{"newer list", ca.cert.Raw, two, nil, [][]byte{ca.cert.Raw}, two},
		{"older list", ca.cert.Raw, one, directory.ErrNewerCRL, [][]byte{ca.cert.Raw}, two},
		{"another list of the same number", nil, ca.crl(t, 2), directory.ErrNewerCRL, [][]byte{ca.cert.Raw}, two},
		{"same list, without certificate", nil, two, nil, [][]byte{ca.cert.Raw}, two},
		{"another generation's certificate", next.cert.Raw, nil, nil, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"another issuer's list", nil, newIssuer(t, "Other").crl(t, 9), directory.ErrForeignCRL, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"list and certificate of different issuers", newIssuer(t, "Other").cert.Raw, ca.crl(t, 3), directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"garbage", nil, []byte("no list"), directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"list cut off", nil, two[:len(two)-1], directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"certificate as list", nil, ca.cert.Raw, directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"garbage as certificate", []byte("x"), ca.crl(t, 3), directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
		{"nothing", nil, nil, directory.ErrValue, sorted(ca.cert.Raw, next.cert.Raw), two},
	} {
		is(t, c.what, b.PutAuthority(t.Context(), caDN, c.cert, c.crl), c.err)
		got, err := b.Authority(t.Context(), caDN)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if diff := cmp.Diff(directory.Authority{Certificates: c.certs, CRLs: [][]byte{c.now}},
			directory.Authority{Certificates: sorted(got.Certificates...), CRLs: got.CRLs}); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
		// The world reads the same with another program.
		if list := b.stored(t, caDN, "certificateRevocationList;binary"); len(list) != 1 || !bytes.Equal(list[0], c.now) {
			t.Errorf("%s: ldapsearch sees another list", c.what)
		}
	}
	classes := b.ldap.Search(t, slapdtest.Account{}, "-b", caDN, "-s", "base", "objectClass", "cn")
	for _, want := range []string{"applicationProcess", "pkiCA", "cn: Issuing CA 1"} {
		if !strings.Contains(classes, want) {
			t.Errorf("the entry lacks %s:\n%s", want, classes)
		}
	}
}

// The server itself refuses what is no revocation list, if it ever came to that.
func TestServerRefusesGarbage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	out, err := b.ldap.ModifyAs(b.ldap.Publisher, "dn: "+caDN+"\nobjectClass: applicationProcess\nobjectClass: pkiCA\ncertificateRevocationList;binary: garbage\n")
	if err == nil || !strings.Contains(out, "Invalid syntax") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAuthorityNames(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	b := with(t, s)
	ca := newIssuer(t, "CA")
	for _, dn := range []string{"", "x", "cn=", "cn=CA", "cn=CA," + slapdtest.People, slapdtest.PKI, "ou=CA," + slapdtest.PKI,
		"cn=CA+ou=x," + slapdtest.PKI, "cn=CA,ou=pki,dc=example", "cn=CA,ou=pki\\,dc=example,dc=test", "cn=CA,,ou=pki,dc=example,dc=test",
		"cn=" + strings.Repeat("x", 10_000) + "," + slapdtest.PKI} {
		is(t, "put "+dn[:min(len(dn), 60)], b.PutAuthority(t.Context(), dn, ca.cert.Raw, nil), directory.ErrEntryName)
		_, err := b.Authority(t.Context(), dn)
		is(t, "get "+dn[:min(len(dn), 60)], err, directory.ErrEntryName)
	}
	is(t, "no parent", b.PutAuthority(t.Context(), "cn=CA,ou=none,"+slapdtest.PKI, ca.cert.Raw, nil), directory.ErrUnknownEntry)
	odd := `CN = Zertifikats-Größe\, (Test) \23\2A , OU=PKI,DC=example,DC=test`
	is(t, "odd name", b.PutAuthority(t.Context(), odd, ca.cert.Raw, ca.crl(t, 1)), nil)
	if got, err := b.Authority(t.Context(), odd); err != nil || len(got.CRLs) != 1 {
		t.Errorf("odd name: %v", err)
	}
	found := s.Search(t, slapdtest.Account{}, "-b", slapdtest.PKI, `(cn=Zertifikats-Größe, \28Test\29 #\2a)`, "cn")
	if !strings.Contains(found, "cn:: ") {
		t.Errorf("the common name is not what the entry's name says:\n%s", found)
	}

	b = with(t, s, func(c *directory.Config) { c.Authorities.Create = false })
	is(t, "may not create", b.PutAuthority(t.Context(), "cn=New,"+slapdtest.PKI, ca.cert.Raw, nil), directory.ErrUnknownEntry)
	is(t, "may write", b.PutAuthority(t.Context(), odd, nil, ca.crl(t, 2)), nil)
	b = with(t, s, func(c *directory.Config) { c.Authorities = directory.Authorities{} })
	is(t, "nowhere", b.PutAuthority(t.Context(), odd, nil, ca.crl(t, 3)), directory.ErrEntryName)
}

// An entry that somebody else has made, without the class, takes the CA; one with several lists is left alone.
func TestFoundEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ca := newIssuer(t, "CA")
	b.ldap.Modify(t, "dn: "+caDN+"\nobjectClass: applicationProcess\n")
	is(t, "made by hand", b.PutAuthority(t.Context(), caDN, ca.cert.Raw, ca.crl(t, 1)), nil)

	// OpenLDAP lets nobody add a second list, but an entry may be born with two.
	other := "cn=Crowded," + slapdtest.PKI
	b.ldap.Modify(t, "dn: "+other+"\nobjectClass: applicationProcess\nobjectClass: pkiCA\n"+
		ldifValue("certificateRevocationList;binary", ca.crl(t, 1))+
		ldifValue("certificateRevocationList;binary", newIssuer(t, "Other").crl(t, 1)))
	is(t, "several", b.PutAuthority(t.Context(), other, nil, ca.crl(t, 2)), directory.ErrForeignCRL)
}

// Several servers publish at once, in any order: the newest list stays.
func TestConcurrentPublication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ca := newIssuer(t, "CA")
	lists := make([][]byte, 12)
	for i := range lists {
		lists[i] = ca.crl(t, int64(i+1))
	}
	var wg sync.WaitGroup
	for i := range lists {
		n := i * 5 % len(lists)
		wg.Go(func() {
			err := b.PutAuthority(t.Context(), caDN, ca.cert.Raw, lists[n])
			if n == len(lists)-1 {
				is(t, "newest", err, nil)
			} else if err != nil {
				is(t, "older", err, directory.ErrNewerCRL)
			}
		})
	}
	wg.Wait()
	got, err := b.Authority(t.Context(), caDN)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(got.CRLs[0])
	if err != nil || len(got.CRLs) != 1 || list.Number.Int64() != int64(len(lists)) {
		t.Errorf("%d lists, number %v, %v", len(got.CRLs), list.Number, err)
	}
}
