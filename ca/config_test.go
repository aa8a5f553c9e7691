package ca_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func decode(text []byte) (ca.ProfileConfig, error) {
	var p ca.ProfileConfig
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(&p)
	return p, err
}

// TestProfileYAML writes every built-in profile as YAML and reads it back.
func TestProfileYAML(t *testing.T) {
	t.Parallel()
	for _, p := range ca.DefaultProfiles() {
		text, err := yaml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(text)
		if err != nil {
			t.Errorf("%s: %v\n%s", p.Name, err, text)
			continue
		}
		again, err := yaml.Marshal(back)
		if err != nil || !bytes.Equal(text, again) {
			t.Errorf("%s: %v\n%s", p.Name, err, cmp.Diff(string(text), string(again)))
		}
	}
}

func TestProfileFaults(t *testing.T) {
	t.Parallel()
	h := pkitest.NewHierarchy(t, time.Now())
	for _, c := range []struct {
		name  string
		spoil func(*ca.ProfileConfig)
		says  []string
	}{
		{"signing key archived", func(p *ca.ProfileConfig) { p.Escrow = ca.EscrowRequired }, []string{"profiles[0].escrow: a key that signs is never archived", "only keys of the use encryption"}},
		{"encryption key that signs, archived", func(p *ca.ProfileConfig) {
			p.Use, p.Escrow, p.KeyUsage = keyuse.Encryption, ca.EscrowRequired, []string{"non-repudiation", "encipherment"}
		}, []string{"escrow: a key that signs is never archived"}},
		{"encryption key not archived", func(p *ca.ProfileConfig) { p.Use, p.KeyUsage = keyuse.Encryption, []string{"encipherment"} }, []string{"escrow: keys of the use encryption are archived"}},
		{"escrow left out", func(p *ca.ProfileConfig) { p.Escrow = "" }, []string{`escrow: "" is not required or forbidden`}},
		{"use left out", func(p *ca.ProfileConfig) { p.Use = "" }, []string{"use:"}},
		{"signing key that encrypts", func(p *ca.ProfileConfig) { p.KeyUsage = append(p.KeyUsage, "encipherment") }, []string{"key_usage: a key of the use signing does not encrypt"}},
		{"several at once", func(p *ca.ProfileConfig) { p.Name, p.ValidityDays, p.Keys = "No Name", 826, nil }, []string{"name:", "validity_days: 826", "keys: is empty"}},
		{"reserved policy", func(p *ca.ProfileConfig) { p.Policy = "2.23.140.1.5.3.3" }, []string{"policy: 2.23.140.1.5.3.3 says that the authority is publicly audited"}},
		{"policy that is no OID", func(p *ca.ProfileConfig) { p.Policy = "1.x" }, []string{"policy:"}},
		{"policy with an arc too large for Windows", func(p *ca.ProfileConfig) { p.Policy = "2.25.4294967296" }, []string{"policy:"}},
		{"anyExtendedKeyUsage", func(p *ca.ProfileConfig) { p.ExtendedKeyUsage = []string{"2.5.29.37.0"} }, []string{"anyExtendedKeyUsage"}},
		{"mail and TLS", func(p *ca.ProfileConfig) { p.ExtendedKeyUsage = []string{"email-protection", "server-auth"} }, []string{"does not go with email-protection"}},
		{"usage the issuer lacks", func(p *ca.ProfileConfig) { p.ExtendedKeyUsage = []string{"email-protection", "1.2.3.4"} }, []string{`"Test Issuing" above does not allow 1.2.3.4`}},
		{"claims without mail", func(p *ca.ProfileConfig) { p.ExtendedKeyUsage = []string{"client-auth"} }, []string{"claims:"}},
		{"unknown claims", func(p *ca.ProfileConfig) { p.Claims = "sponsor-legacy" }, []string{"claims:"}},
		{"Ed25519 to encrypt", func(p *ca.ProfileConfig) {
			p.Use, p.KeyUsage, p.Keys = keyuse.Single, []string{"encipherment"}, []ca.KeyAlgorithm{ca.Ed25519}
		}, []string{"keys[0]: Ed25519 cannot encrypt"}},
		{"unknown key", func(p *ca.ProfileConfig) { p.Keys = []ca.KeyAlgorithm{"P-521"} }, []string{"keys[0]"}},
		{"unknown issuer", func(p *ca.ProfileConfig) { p.Issuer = "other" }, []string{`issuer: there is no issuer "other"`}},
		{"capabilities of a signing certificate", func(p *ca.ProfileConfig) { p.Capabilities = []string{"aes256-cbc", "rot13"} }, []string{"only a certificate for encryption", "rot13"}},
		{"exception without a reason", func(p *ca.ProfileConfig) { p.Exceptions = []ca.Exception{{Lint: "e_no_such_lint", Reason: " "}} }, []string{"exceptions[0].lint", "exceptions[0].reason"}},
		{"misspelt presence", func(p *ca.ProfileConfig) { p.Hosts, p.CommonName = "yes", "cn" }, []string{"hosts:", "common_name:"}},
	} {
		conf := h.Config()
		conf.Profiles = ca.DefaultProfiles()
		c.spoil(&conf.Profiles[0])
		err := conf.Check()
		if !errors.Is(err, ca.ErrConfig) {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v does not say %q", c.name, err, s)
			}
		}
	}
	conf := h.Config()
	conf.Profiles = append(ca.DefaultProfiles(), ca.DefaultProfiles()[0])
	if err := conf.Check(); err == nil || !strings.Contains(err.Error(), "there are two profiles") {
		t.Errorf("twice: %v", err)
	}
	conf.Profiles = ca.DefaultProfiles()
	conf.Profiles[0].Policy, conf.Profiles[0].PubliclyAudited = "2.23.140.1.5.3.3", true
	if err := conf.Check(); err != nil {
		t.Errorf("publicly audited: %v", err)
	}
}

func TestIssuerFaults(t *testing.T) {
	t.Parallel()
	h, other := pkitest.NewHierarchy(t, time.Now()), pkitest.NewHierarchy(t, time.Now())
	for _, c := range []struct {
		name  string
		spoil func(*ca.IssuerConfig)
		says  string
	}{
		{"no id", func(i *ca.IssuerConfig) { i.ID = "" }, "issuers[0].id"},
		{"no certificate", func(i *ca.IssuerConfig) { i.Chain = nil }, "issuers[0].certificate: is missing"},
		{"another key", func(i *ca.IssuerConfig) { i.Signer = other.IssuingKey }, "issuers[0].key: is not the one"},
		{"another root", func(i *ca.IssuerConfig) { i.Chain = []*x509.Certificate{h.Issuing, other.Root} }, "issuers[0].chain"},
		{"no list", func(i *ca.IssuerConfig) { i.CRL = nil }, "issuers[0].crl: is empty"},
		{"LDAP first", func(i *ca.IssuerConfig) { i.CRL = i.CRL[1:] }, "issuers[0].crl[0]"},
		{"https", func(i *ca.IssuerConfig) { i.CRL = []string{"https://pki.example.test/a.crl"} }, "issuers[0].crl[0]"},
		{"LDAP without filter", func(i *ca.IssuerConfig) { i.CRL[1] = "ldap://h/cn=a?certificateRevocationList?base" }, "issuers[0].crl[1]"},
		{"LDAP with a bare filter", func(i *ca.IssuerConfig) { i.CRL[1] = "ldap://h/cn=a?certificateRevocationList?base?objectClass=pkiCA" }, "is not in parentheses"},
		{"file", func(i *ca.IssuerConfig) { i.CRL = append(i.CRL, "file:///a.crl") }, "neither http, ldap nor ftp"},
		{"blank in an address", func(i *ca.IssuerConfig) { i.OCSP = "http://a b/" }, "issuers[0].ocsp"},
		{"too many partitions", func(i *ca.IssuerConfig) { i.Partitions, i.PartitionCRL = 1025, pkitest.Base+"/issuing-{n}.crl" }, "issuers[0].partitions: 1025"},
		{"negative partitions", func(i *ca.IssuerConfig) { i.Partitions = -1 }, "issuers[0].partitions: -1"},
		{"partitions without address", func(i *ca.IssuerConfig) { i.Partitions = 2 }, "issuers[0].partition_crl"},
		{"partitions with one address", func(i *ca.IssuerConfig) { i.Partitions, i.PartitionCRL = 2, pkitest.Base+"/issuing.crl" }, "{n} once"},
		{"partition in the host", func(i *ca.IssuerConfig) { i.Partitions, i.PartitionCRL = 2, "http://pki-{n}.example.test/issuing.crl" }, "{n} once"},
		{"https for a partition", func(i *ca.IssuerConfig) { i.Partitions, i.PartitionCRL = 2, "https://pki.example.test/{n}.crl" }, "issuers[0].partition_crl"},
		{"partition at the whole list's address", func(i *ca.IssuerConfig) {
			i.Partitions, i.PartitionCRL, i.CRL = 2, pkitest.Base+"/{n}.crl", append(i.CRL, pkitest.Base+"/2.crl")
		}, "the address of the whole list too"},
		{"https for the certificate", func(i *ca.IssuerConfig) { i.CAIssuers = "https://a/b.cer" }, "issuers[0].ca_issuers"},
	} {
		conf := h.Config()
		c.spoil(&conf.Issuers[0])
		if err := conf.Check(); !errors.Is(err, ca.ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	conf := h.Config()
	conf.Now = func() time.Time { return h.Issuing.NotAfter.Add(time.Hour) }
	if err := conf.Check(); err == nil || !strings.Contains(err.Error(), "ended on") {
		t.Errorf("ended: %v", err)
	}
	conf = h.Config()
	conf.Issuers = append(conf.Issuers, conf.Issuers[0])
	if err := conf.Check(); err == nil || !strings.Contains(err.Error(), "there are two issuers") {
		t.Errorf("twice: %v", err)
	}
	if err := (ca.Config{}).Check(); err == nil {
		t.Error("the zero configuration is accepted")
	}
	conf = h.Config()
	conf.Organisation.Country, conf.Arc, conf.Names.MailDomains = "Germany", "1.2.x", []string{"*"}
	err := conf.Check()
	for _, s := range []string{"organisation.country", "names.mail_domains"} {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %s", err, s)
		}
	}
}

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	list := ca.WithDefaults([]ca.ProfileConfig{{Name: ca.SMIMESigning, Policy: "99"}, {Name: "own"}})
	if len(list) != len(ca.DefaultProfiles())+1 || list[0].Policy != "99" || list[len(list)-1].Name != "own" {
		t.Errorf("%+v", list)
	}
}

// FuzzProfileConfig: whatever stands in the configuration, it is refused or yields a profile that keeps the rules.
func FuzzProfileConfig(f *testing.F) {
	for _, p := range ca.DefaultProfiles() {
		text, err := yaml.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("name: x\nexceptions: [{lint: a}]\n"))
	h := pkitest.NewHierarchy(f, time.Now())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := decode(text)
		if err != nil {
			return
		}
		c := h.Config()
		c.Profiles = []ca.ProfileConfig{p}
		if c.Check() != nil {
			return
		}
		signs := false
		for _, u := range p.KeyUsage {
			signs = signs || u != "encipherment"
		}
		if signs && p.Escrow != ca.EscrowForbidden || (p.Use == keyuse.Encryption) != (p.Escrow == ca.EscrowRequired) {
			t.Errorf("accepted: %+v", p)
		}
	})
}
