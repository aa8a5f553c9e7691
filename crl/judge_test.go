package crl_test

import (
	"bytes" // what gpgsm's list of trusted roots has
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

const rootEntry = "cn=Test Root," + slapdtest.PKI

// newJudged is a rig whose certificates name the very places that other people's programs fetch lists from: a web server and
// a directory. The root's list is there, too.
func newJudged(t *testing.T, partitions int) *rig {
	t.Helper()
	r := &rig{t: t, database: pgtest.NewDatabase(t), clock: &clock{}, kinds: []string{"directory", "folder"}, schedule: schedule,
		folder: filepath.Join(t.TempDir(), "www"), slapd: slapdtest.New(t), fetcher: fetch.New(fetch.Config{})}
	must(t, mkdir(r.folder))
	r.web = httptest.NewServer(http.FileServer(http.Dir(r.folder)))
	t.Cleanup(r.web.Close)
	root := r.certify(partitions, r.ldap(rootEntry), r.ldap(entry))
	r.slapd.Modify(t, "dn: "+rootEntry+"\nobjectClass: applicationProcess\nobjectClass: pkiCA\ncertificateRevocationList;binary:: "+base64.StdEncoding.EncodeToString(root)+"\n")
	return r
}

// certify makes the rig's authority, whose certificates name the web server and a place in a directory, and the root's with its list,
// which is on the web server.
func (r *rig) certify(partitions int, rootAddress, address string) []byte {
	t := r.t
	t.Helper()
	// RSA: the dirmngr of GnuPG 2.2 cannot verify lists that are signed with ECDSA.
	h := pkitest.Hierarchy{RootKey: pkitest.RSAKey(t, ca.RSA3072, 1), IssuingKey: pkitest.RSAKey(t, ca.RSA3072, 2)}
	var err error
	h.Root, err = ca.CreateRoot(h.RootKey, ca.CACertificate{CommonName: "Test Root", Organisation: pkitest.Organisation(), Now: time.Now()})
	must(t, err)
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	must(t, err)
	h.Issuing, err = ca.CreateIssuing(h.Root, h.RootKey, h.IssuingKey.Public(), ca.CACertificate{CommonName: "Test Issuing", Organisation: pkitest.Organisation(),
		Now: time.Now(), Usages: usages, CRL: []string{r.web.URL + "/root.crl", rootAddress}, CAIssuers: r.web.URL + "/root.cer"})
	must(t, err)
	root := h.RootCRL(t, time.Now())
	must(t, os.WriteFile(filepath.Join(r.folder, "root.crl"), root, 0o644))

	c := h.Config()
	c.Issuers[0].CRL = []string{r.web.URL + "/" + pkitest.IssuerID + ".crl", address}
	c.Issuers[0].CAIssuers = r.web.URL + "/" + pkitest.IssuerID + ".cer"
	if partitions > 0 {
		c.Issuers[0].Partitions, c.Issuers[0].PartitionCRL = partitions, r.web.URL+"/"+pkitest.IssuerID+".{n}.crl"
	}
	c.DB, c.Now = pgtest.Open(t, r.database), r.clock.Now
	r.pki = &pkitest.PKI{Hierarchy: h}
	r.pki.Jobs, err = jobs.New(jobs.Config{DB: c.DB})
	must(t, err)
	c.Jobs = r.pki.Jobs
	r.pki.Authority, err = ca.New(t.Context(), c)
	must(t, err)
	return root
}

func (r *rig) ldap(dn string) string {
	return r.slapd.StartTLSURL() + "/" + url.PathEscape(dn) + "?certificateRevocationList;binary?base?(objectClass=pkiCA)"
}

// gnupg is a home of GnuPG that trusts the root, with the log of its dirmngr.
type gnupg struct {
	*gpgtest.Home
	t *testing.T
}

func newGnuPG(t *testing.T, r *rig, dirmngr string) *gnupg {
	t.Helper()
	g := &gnupg{gpgtest.New(t, r.pki.Root), t}
	g.Write("dirmngr.conf", []byte("verbose\nlog-file "+g.log()+"\n"+dirmngr))
	g.Import(r.pki.Root.Raw, r.pki.Issuing.Raw)
	return g
}

func (g *gnupg) log() string { return g.Path("dirmngr.log") }

// judge has gpgsm verify the certificates of somebody, with lists that dirmngr fetches.
func (g *gnupg) judge(who string) string {
	g.t.Helper()
	out, _ := g.Try("gpgsm", "--batch", "--with-validation", "--list-keys", who+"@"+pkitest.Domain) // what it says counts
	return out
}

func (g *gnupg) fetched() string {
	b, err := os.ReadFile(g.log())
	must(g.t, err)
	return string(b)
}

// Dirmngr fetches the lists that certificates name from the web server, and from the directory if it may not use HTTP; gpgsm
// takes the certificate that is good and refuses the one that is revoked. Where certificates name a partition's list first,
// dirmngr cannot use that and takes the whole one, which they name, too.
func TestDirmngrFetchesTheLists(t *testing.T) {
	for name, c := range map[string]struct {
		partitions int
		conf       string
		fetched    string
	}{
		"by HTTP":                 {0, "disable-ldap\n", "http://"},
		"by LDAP":                 {0, "disable-http\n", "ldap://"},
		"with partitions":         {3, "disable-ldap\n", "http://"},
		"with partitions by LDAP": {3, "disable-http\n", "ldap://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newJudged(t, c.partitions)
			s := r.site()
			alice, bob := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob"))
			r.revoke(bob.Signing, ca.KeyCompromise)
			_, err := s.Build(t.Context(), pkitest.IssuerID, 1)
			must(t, err)
			s.run()
			s.arrive("the lists", 30*time.Second, r.kinds, bob.Signing)
			s.healthy(r.kinds...)
			if c.partitions > 0 {
				r.eventually("the partitions' lists", 10*time.Second, func() error {
					_, err := os.Stat(filepath.Join(r.folder, crl.Kind{Partition: c.partitions}.FileName(pkitest.IssuerID)))
					return err
				})
			}
			g := newGnuPG(t, r, c.conf)
			g.Import(alice.Signing.DER, bob.Signing.DER)
			if out := g.judge("alice"); !strings.Contains(out, "certificate is good") {
				t.Errorf("alice: gpgsm says: %s\ndirmngr: %s", out, g.fetched())
			}
			if out := g.judge("bob"); !strings.Contains(out, "revoked") || strings.Contains(out, "certificate is good") {
				t.Errorf("bob: gpgsm says: %s\ndirmngr: %s", out, g.fetched())
			}
			if log := g.fetched(); !strings.Contains(log, "fetching CRL from '"+c.fetched) {
				t.Errorf("dirmngr says: %s", log)
			}
			if log := g.fetched(); c.partitions > 0 && !strings.Contains(c.conf, "http") && !strings.Contains(log, "unknown critical CRL extension") {
				t.Errorf("dirmngr did not look at the partition's list: %s", log)
			}
		})
	}
}

// pemFile writes DER as PEM, by openssl.
func pemFile(t testing.TB, kind string, der ...[]byte) string {
	t.Helper()
	var all []byte
	for _, one := range der {
		cmd := exec.CommandContext(t.Context(), "openssl", kind, "-inform", "DER")
		cmd.Stdin = bytes.NewReader(one)
		out, err := cmd.Output()
		must(t, err)
		all = append(all, out...)
	}
	path := filepath.Join(t.TempDir(), kind+".pem")
	must(t, os.WriteFile(path, all, 0o600))
	return path
}

// openssl verifies the whole chain with the lists of root and issuer, and deltas.
func TestOpenSSLChecksTheWholeChain(t *testing.T) {
	b := setup(t).withDeltas(t)
	alice, bob := b.PKI.IssuePair(t, pkitest.NewPerson("alice")), b.PKI.IssuePair(t, pkitest.NewPerson("bob"))
	root := b.PKI.RootCRL(t, b.Clock.Now())
	b.build(t, 0)
	b.Clock.Advance(time.Second)
	old, err := b.Renew(t.Context(), pkitest.IssuerID)
	must(t, err)
	b.Clock.Advance(time.Second)
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	whole := b.build(t, 1)
	delta := b.find(t, crl.Kind{Delta: true})
	for name, c := range map[string]struct {
		leaf  []byte
		lists [][]byte
		more  []string
		want  string
	}{
		"revoked, by the whole list": {alice.Signing.DER, [][]byte{root, whole.Bytes()}, nil, "certificate revoked"},
		"good, by the whole list":    {bob.Signing.DER, [][]byte{root, whole.Bytes()}, nil, ": OK"},
		"revoked, by the delta":      {alice.Signing.DER, [][]byte{root, old.Bytes(), delta.Bytes()}, []string{"-extended_crl", "-use_deltas"}, "certificate revoked"},
		"good, with the delta":       {bob.Signing.DER, [][]byte{root, old.Bytes(), delta.Bytes()}, []string{"-extended_crl", "-use_deltas"}, ": OK"},
		"without the root's list":    {bob.Signing.DER, [][]byte{whole.Bytes()}, nil, "unable to get certificate CRL"},
	} {
		args := append([]string{"verify", "-x509_strict", "-attime", fmt.Sprint(b.Clock.Now().Unix()), "-crl_check_all", "-CAfile", pemFile(t, "x509", b.PKI.Root.Raw),
			"-untrusted", pemFile(t, "x509", b.PKI.Issuing.Raw), "-CRLfile", pemFile(t, "crl", c.lists...)}, c.more...)
		out, _ := exec.CommandContext(t.Context(), "openssl", append(args, pemFile(t, "x509", c.leaf))...).CombinedOutput() // what it says counts
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s: openssl says %s", name, out)
		}
	}
}

// NSS takes the list into its database, and refuses the certificate by it.
func TestNSSChecksTheList(t *testing.T) {
	b := setup(t)
	alice, bob := b.PKI.IssuePair(t, pkitest.NewPerson("alice")), b.PKI.IssuePair(t, pkitest.NewPerson("bob"))
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	l := b.build(t, 1)
	dir := t.TempDir()
	put := func(name string, der []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, der, 0o600))
		return path
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil && name != "vfychain" {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	db := "sql:" + dir
	run("certutil", "-N", "-d", db, "--empty-password")
	run("certutil", "-A", "-d", db, "-n", "root", "-t", "CT,C,C", "-i", put("root.der", b.PKI.Root.Raw))
	run("certutil", "-A", "-d", db, "-n", "issuing", "-t", ",,", "-i", put("issuing.der", b.PKI.Issuing.Raw))
	run("crlutil", "-I", "-d", db, "-t", "1", "-i", put("issuing.crl", l.Bytes()))
	if out := run("crlutil", "-L", "-d", db); !strings.Contains(out, "issuing ") {
		t.Errorf("crlutil lists: %s", out)
	}
	for name, c := range map[string]struct {
		leaf []byte
		want string
	}{"alice": {alice.Signing.DER, "has been revoked"}, "bob": {bob.Signing.DER, "Chain is good"}} {
		if out := run("vfychain", "-d", db, "-u", "4", put("leaf.der", c.leaf)); !strings.Contains(out, c.want) {
			t.Errorf("%s: vfychain says: %s", name, out)
		}
	}
}
