package crl_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// patient is how long the domain controller, which all tests share, may take.
const patient = 5 * time.Minute

// TestActiveDirectory publishes lists and certificates in Active Directory's containers, from the making to what other people's
// programs read there. Where nobody reads without a login, our own account reads back, and who tries as an outsider says why not;
// where the forest lets them, outsiders do: dirmngr fetches the list that a certificate names.
func TestActiveDirectory(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	account := u.Account(t, "pki")
	document, err := os.ReadFile("../docs/crl.md")
	must(t, err)
	for line := range strings.Lines(string(document)) {
		if strings.HasPrefix(line, "dsacls ") {
			u.Dsacls(t, line, "DC=example,DC=com", sambatest.Base, "sealpost-publisher", account.Name)
		}
	}
	container := "CN=server of " + u.Name + "," + sambatest.CDP
	authority, lists, root := "CN=Test Issuing of "+u.Name+","+sambatest.AIA, "CN=Test Issuing,"+container, "CN=Test Root,"+container
	address := func(dn, attribute string) string {
		return u.StartTLSURL() + "/" + url.PathEscape(dn) + "?" + attribute + "?base?(objectClass=cRLDistributionPoint)"
	}
	r := &rig{t: t, database: pgtest.NewDatabase(t), clock: &clock{}, folder: filepath.Join(t.TempDir(), "www"), fetcher: fetch.New(fetch.Config{Step: patient, Timeout: patient}),
		schedule: crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}}
	must(t, mkdir(r.folder))
	r.web = httptest.NewServer(http.FileServer(http.Dir(r.folder))) // dirmngr may not use it
	t.Cleanup(r.web.Close)
	rootList := r.certify(0, address(root, "certificateRevocationList"), address(lists, "certificateRevocationList"))

	d, err := directory.New(directory.Config{
		Name: "forest", Dialect: "ad", URLs: []string{u.TLSURL()}, Trust: u.Trust, People: directory.People{Base: u.People}, DB: pgtest.Open(t, r.database),
		Lookup: directory.Account{DN: u.Lookup.DN, PasswordFile: u.Lookup.PasswordFile}, LookupPassword: u.Lookup.Password,
		Publisher: directory.Account{DN: account.DN, PasswordFile: account.PasswordFile}, PublisherPassword: account.Password,
		Authorities: directory.Authorities{Base: sambatest.PKI, Create: true}, Timeout: patient, ConnectTimeout: patient,
	})
	must(t, err)
	t.Cleanup(d.Close)
	place, err := point.NewLDAP(point.LDAPConfig{DN: authority, Lists: lists, Directory: d})
	must(t, err)
	r.more = []crl.Point{{Name: "members", Place: place}, {Name: "outsiders", Place: place, Address: func(_ *ca.Issuer, file string) string {
		_, k, ok := crl.ParseFileName(file)
		if !ok {
			return ""
		}
		return address(lists, map[bool]string{false: "certificateRevocationList", true: "deltaRevocationList"}[k.Delta])
	}}}
	s := r.site(func(c *crl.Config) { c.Deltas = deltaAddress })
	alice, bob := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob"))
	_, err = s.Build(t.Context(), pkitest.IssuerID, 1)
	must(t, err)
	s.run()
	s.arrive("the first list", patient, []string{"members"})
	s.healthy("members")
	if why := s.ails("outsiders")["outsiders"].Failure; !strings.Contains(why, "has logged in") {
		t.Errorf("outsiders: %s", why)
	}
	u.ShowToWorld(t, container)
	r.revoke(bob.Signing, ca.KeyCompromise)
	r.look(s)
	s.arrive("bob is revoked", patient, []string{"members", "outsiders"}, bob.Signing)
	s.healthy("members", "outsiders")

	// The certificate and the delta come, too: ldapsearch sees them.
	r.eventually("the authority's certificate", patient, func() error {
		r.hurry()
		out, err := u.TrySearch(t.Context(), u.Lookup, "-b", authority, "-s", "base", "(objectClass=certificationAuthority)", "cACertificate")
		if err == nil && !strings.Contains(out, "cACertificate:: "+base64.StdEncoding.EncodeToString(r.pki.Issuing.Raw)) {
			err = errors.New(out)
		}
		return err
	})
	r.eventually("the delta", patient, func() error {
		got := u.Values(t, sambatest.Account{}, lists, "deltaRevocationList")
		if len(got) != 1 {
			return fmt.Errorf("%d values", len(got))
		}
		h, err := list.Read(bytes.NewReader(got[0]), nil)
		if err != nil {
			return err
		}
		return h.Verify(r.pki.Issuing)
	})
	u.Modify(t, "dn: "+root+"\nobjectClass: cRLDistributionPoint\ncertificateRevocationList:: "+base64.StdEncoding.EncodeToString(rootList)+"\n")
	g := newGnuPG(t, r, "disable-http\n")
	g.Import(alice.Signing.DER, bob.Signing.DER)
	if out := g.judge("alice"); !strings.Contains(out, "certificate is good") {
		t.Errorf("alice: gpgsm says: %s\ndirmngr: %s", out, g.fetched())
	}
	if out := g.judge("bob"); !strings.Contains(out, "revoked") || strings.Contains(out, "certificate is good") {
		t.Errorf("bob: gpgsm says: %s\ndirmngr: %s", out, g.fetched())
	}
	if log := g.fetched(); !strings.Contains(log, "fetching CRL from 'ldap://") {
		t.Errorf("dirmngr says: %s", log)
	}
}
