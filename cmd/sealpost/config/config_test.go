package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/crl"
)

func template(t *testing.T) []byte {
	t.Helper()
	b, err := setup.Template{Organisation: ca.Organisation{Name: "Example"}, PublicURL: "http://pki.example.com", MailDomains: []string{"example.com"}}.Render()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatInitWritesIsValid(t *testing.T) {
	c, err := config.Decode(template(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if got := c.CRLURLs(config.Issuer{ID: "issuing", LDAP: config.LDAPPoint{URL: "ldap://ldap.example.com", DN: "cn=CA 1,dc=example,dc=com"}}); len(got) != 2 ||
		got[0] != "http://pki.example.com/crl/issuing.crl" ||
		got[1] != "ldap://ldap.example.com/cn=CA%201%2Cdc=example%2Cdc=com?certificateRevocationList;binary?base?(objectClass=pkiCA)" {
		t.Errorf("URLs: %q", got)
	}
}

func TestEveryFaultIsReportedWithItsPath(t *testing.T) {
	c, err := config.Decode([]byte(`
public_url: https://secure.example.com
database: {url: a, url_file: b}
listen: {public: nowhere, api: "127.0.0.1:1", hosts: [x], certificate: y, key: z}
issuers: [{id: "Not Good"}, {id: a, certificate: x, key: y, ldap: {url: "ldaps://x"}}, {id: a, certificate: x, key: y}]
enrolment: {issuer: nobody, renewal: {from: 2}, plans: [{name: a, signing: x, protection: {places: [tpm, tmp, tpm, software], attested: true, pin: 65, passphrase: -1}},
  {name: b, signing: x, protection: {attested: true}}, {name: c, encryption: y, protection: {places: [tpm]}}]}
archive: {roster_pins: [xyz]}
crl: {period: 72h, lifetime: 1h}
publications: [{path: x}]
log: {level: loud}
leavers: {disabled: shrug, limit: 2}
finding: {store: {show: all}, vcard: {show: domains}, smimea: {domains: [example.com]}, burst: -1}
limits: {turns: -1, call_timeout: 2h, failures: {login: {burst: 3}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{"organisation.name: is missing", "public_url: must be http://", "database: needs exactly one of url and url_file",
		"unlock: needs exactly one", "listen.public: must be host:port", "listen: needs either hosts", "issuers[0].id: must be", "issuers[0].certificate: is missing",
		"issuers[1].ldap: needs both", "issuers[1].ldap.url: must be ldap://", `issuers[2].id: "a" is used twice`, `enrolment.issuer: there is no issuer "nobody"`,
		`enrolment.plans[0].protection.places[1]: unknown place "tmp"`, `enrolment.plans[0].protection.places[2]: "tpm" is there twice`, `enrolment.plans[0].protection.places[3]: keys in "software" cannot be attested`,
		"enrolment.plans[0].protection.attested: keys in a tpm need enrolment.attestation.tpm_roots", "enrolment.plans[0].protection.pin: must be", "enrolment.plans[0].protection.passphrase: must be", "enrolment.plans[1].protection.attested: needs places", "enrolment.plans[2].protection.places: places, attested and pin are for keys to sign with",
		"enrolment.renewal", "archive.roster_pins[0]: must be 64", "archive.wrapping_keys: names no file", "archive.receipt_key: is missing", "directory.urls: names no server",
		"crl.lifetime: must be longer", "publications[0].path: must begin", "publications[0].file: is missing", "audit.origin: is missing", "audit: names no place", "log.level: must be", `leavers.disabled: "shrug" is not ask, revoke or ignore`, "leavers.limit: must lie",
		`finding.store.show: "all" is not`, "finding.vcard.domains: names none", "finding.smimea.domains: are shown only", "finding.burst: must not be negative",
		"limits.turns: must not be negative", "limits.call_timeout: must lie between 1s and 1h", "limits.failures.login: needs both"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestPoints(t *testing.T) {
	for text, want := range map[string]string{
		"[{name: a, folder: {path: /srv/pki}, url: http://x.test/pki, in_certificates: true}]": "",
		"[{name: http, folder: {path: /srv/pki}}]":                                             "crl.points[0].name: must be a name of its own",
		"[{name: ldap-a, folder: {path: /srv/pki}}]":                                           "crl.points[0].name: must be a name of its own",
		"[{name: a_b, folder: {path: /srv/pki}}]":                                              "crl.points[0].name: must be a name of its own",
		"[{name: a, folder: {path: /x}}, {name: a, folder: {path: /x}}]":                       "crl.points[1].name: must be a name of its own",
		"[{name: a}]": "crl.points[0]: needs one of folder, ftp and s3",
		"[{name: a, folder: {path: /x}, s3: {}}]":                         "crl.points[0]: needs one of folder, ftp and s3",
		"[{name: a, issuers: [b], s3: {}}]":                               `crl.points[0].issuers: there is no issuer "b"`,
		"[{name: a, s3: {}, url: ldap://x.test}]":                         "crl.points[0].url: must be an address",
		"[{name: a, s3: {}, in_certificates: true}]":                      "crl.points[0].in_certificates: needs a url",
		"[{name: a, s3: {}, url: https://x.test, in_certificates: true}]": "crl.points[0].in_certificates: needs a url",
	} {
		c, err := config.Decode([]byte("issuers: [{id: a}]\ncrl: {points: " + text + "}"))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "crl.points") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
	c := &config.Config{PublicURL: "http://pki.example.com/", CRL: config.CRL{Points: []config.Point{
		{URL: "http://b.test/pki/", InCertificates: true}, {URL: "http://c.test", InCertificates: true, Issuers: []string{"other"}}, {URL: "http://d.test"}}}}
	want := []string{"http://pki.example.com/crl/a.crl", "http://b.test/pki/a.crl"}
	if got := c.CRLURLs(config.Issuer{ID: "a"}); !slices.Equal(got, want) {
		t.Errorf("addresses in certificates: %v", got)
	}
	for dialect, want := range map[string]string{"": "ldap://x.test/cn=CDP-2%2Cdc=test?deltaRevocationList;binary?base?(objectClass=cRLDistributionPoint)",
		"ad": "ldap://x.test/cn=CDP-2%2Cdc=test?deltaRevocationList?base?(objectClass=cRLDistributionPoint)"} {
		c.Directory.Dialect = dialect
		i := config.Issuer{ID: "a", LDAP: config.LDAPPoint{URL: "ldap://x.test", DN: "cn=A,dc=test", Lists: "cn=CDP,dc=test"}}
		if got := c.LDAPURL(i, crl.Kind{Partition: 2, Delta: true}); got != want {
			t.Errorf("%q: %s, want %s", dialect, got, want)
		}
	}
	c.Directory.Dialect = "ad"
	for at, want := range map[string]string{"ldap:///": "ldap:///cn=A%2Cdc=test?certificateRevocationList?base?(objectClass=certificationAuthority)",
		"ldap://x.test/": "ldap://x.test/cn=A%2Cdc=test?certificateRevocationList?base?(objectClass=certificationAuthority)"} {
		i := config.Issuer{ID: "a", LDAP: config.LDAPPoint{URL: at, DN: "cn=A,dc=test"}}
		if got := c.LDAPURL(i, crl.Kind{}); got != want || i.LDAP.ForEverybody() != strings.Contains(at, "x") {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for text, complaint := range map[string]bool{
		"directory: {dialect: ad}\nissuers: [{id: a, ldap: {url: 'ldap:///', dn: cn=A}}]":               false,
		"issuers: [{id: a, ldap: {url: 'ldap:///', dn: cn=A}}]":                                         true,
		"directory: {dialect: ad}\nissuers: [{id: a, ldap: {url: 'ldaps://dc.example.com', dn: cn=A}}]": true,
	} {
		c, err := config.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); strings.Contains(err.Error(), "ldap.url") != complaint {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOperators(t *testing.T) {
	for text, want := range map[string]string{
		"[pki@example.com, a@b.test]":        "",
		"['PKI <pki@example.com>']":          "mail.operators[0]: must be a mail address",
		"[pki@example.com, pki]":             "mail.operators[1]: must be a mail address",
		"[pki@example.com, pki@example.com]": "mail.operators[1]: must be a mail address",
	} {
		c, err := config.Decode([]byte("mail: {host: mail.example.com, from: ca@example.com, operators: " + text + "}"))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "mail.") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
	c, err := config.Decode([]byte("mail: {operators: [pki@example.com]}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); !strings.Contains(err.Error(), "mail.host: is missing") {
		t.Errorf("operators without a mail server: %v", err)
	}
}

func TestMargins(t *testing.T) {
	for text, want := range map[string]string{
		"{margin: 61h}":                           "crl.margin: must be shorter",
		"{delta_margin: 3h}":                      "crl.delta_margin: must be shorter",
		"{patience: 5m}":                          "crl.patience: must be at least 10m",
		"{margin: 59h, delta_margin: 2h}":         "",
		"{delta_period: 0s, delta_margin: 9000h}": "",
		"{period: 9h, lifetime: 8h}":              "crl.lifetime: must be longer",
	} {
		c, err := config.Decode([]byte("crl: " + text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "crl.") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "crl.margin") != strings.Contains(want, "crl.margin") {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
}

func TestAddressesOfLists(t *testing.T) {
	for text, want := range map[string]string{
		"[{id: a, partitions: 2}, {id: a-2}]": "",
		"[{id: a, partitions: 1025}]":         "issuers[0].partitions: must lie between 0 and 1024",
		"[{id: a}, {id: b, partitions: -1}]":  "issuers[1].partitions: must lie between 0 and 1024",
	} {
		c, err := config.Decode([]byte("issuers: " + text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "partitions") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
	c := &config.Config{PublicURL: "http://pki.example.com/"}
	if got := c.PartitionURL(config.Issuer{ID: "a", Partitions: 9}); got != "http://pki.example.com/crl/a.{n}.crl" {
		t.Errorf("partitions: %s", got)
	}
	if got := c.CRLURL("a", crl.Kind{Partition: 12, Delta: true}); got != "http://pki.example.com/crl/a.12.delta.crl" {
		t.Errorf("a partition's delta: %s", got)
	}
}

// A list waits five seconds for further revocations unless the file says otherwise; 0 is something that it can say.
func TestDebounce(t *testing.T) {
	for text, want := range map[string]time.Duration{"{}": 5 * time.Second, "crl: {period: 1h}": 5 * time.Second, "crl: {debounce: 0s}": 0, "crl: {debounce: 1m}": time.Minute} {
		if c, err := config.Decode([]byte(text)); err != nil || time.Duration(c.CRL.Debounce) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOCSP(t *testing.T) {
	c, err := config.Decode([]byte("ocsp: {validity: 7h, max_age: 5h, keep: -1}"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	for _, want := range []string{"ocsp.validity: must lie between", "ocsp.max_age: must lie between", "ocsp.keep: must lie between"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestWrappingKeysAreNamedOnce(t *testing.T) {
	c, err := config.Decode([]byte("archive: {roster_pins: [" + strings.Repeat("ab", 32) + "], wrapping_keys: [a, b, a, '']}"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	for _, want := range []string{`archive.wrapping_keys[2]: "a" is there twice`, "archive.wrapping_keys[3]: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestMailServer(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "",
		"{host: mail.example.com, from: ca@example.com}":                                  "",
		"{host: 127.0.0.1, tls: none, from: ca@example.com, contact: 'Ann, telephone 1'}": "",
		"{from: ca@example.com}":                                                        "mail.host: is missing",
		"{host: mail.example.com}":                                                      "mail.from: must be",
		"{host: mail.example.com, from: ca@example.com, tls: no}":                       "mail.tls: must be starttls",
		"{host: mail.example.com, from: ca@example.com, tls: none}":                     "mail.tls: must be starttls or implicit for a server on another machine",
		"{host: localhost, from: ca@example.com, tls: none, user: x, password_file: y}": "does not travel in the clear",
		"{host: mail.example.com, from: ca@example.com, user: x}":                       "mail: needs both user and password_file",
		"{host: mail.example.com, from: ca@example.com, port: -1}":                      "mail.port: must lie",
		"{host: mail.example.com, from: ca@example.com, contact: \"a\\nSubject: b\"}":   "mail.contact: must be one line",
		"{host: 'mail.example.com:25', from: ca@example.com}":                           "mail.host: must be",
	} {
		c, err := config.Decode([]byte("mail: " + text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "mail") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for what, text := range map[string]string{
		"an unknown key":    "organisaton: {name: x}",
		"an unknown subkey": "database: {uri: x}",
		"a key twice":       "public_url: a\npublic_url: b",
		"two documents":     "public_url: a\n---\npublic_url: b",
		"no mapping":        "[1, 2]",
		"a bad duration":    "crl: {period: soon}",
		"a negative one":    "crl: {period: -1h}",
	} {
		if _, err := config.Decode([]byte(text)); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server.yaml")
	if err := os.WriteFile(path, template(t), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Path("pki/x"); got != filepath.Join(dir, "pki/x") {
		t.Errorf("relative path: %s", got)
	}
	if got := c.KeyURI("file:pki/x"); got != "file:"+filepath.Join(dir, "pki/x") {
		t.Errorf("key's path: %s", got)
	}
	if got := c.KeyURI("pkcs11:token=x"); got != "pkcs11:token=x" {
		t.Errorf("token: %s", got)
	}
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]string{"a large file": path, "no file": filepath.Join(dir, "none")} {
		if _, err := config.Load(p); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("organisation: {name: x}"))
	f.Add([]byte("issuers: [{id: a}]\ncrl: {period: 1h}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := config.Decode(b)
		if err == nil {
			_ = c.Validate() // must not panic
		}
	})
}

func TestTestMail(t *testing.T) {
	t.Parallel()
	const around = "names: {mail_domains: [example.com, special@example.net]}\nmail: {host: mail.example.com, from: ca@example.com}\nlisten: {portal: '127.0.0.1:1'}\ntest_mail: "
	for text, want := range map[string]string{
		"{address: test@example.com, imap: {host: h, user: u, password_file: f}}":                       "",
		"{address: special@example.net, imap: {host: h, user: u, password_file: f, tls: starttls}}":     "",
		"{address: Test <test@example.com>, imap: {host: h, user: u, password_file: f}}":                "test_mail.address: must be",
		"{address: test@EXAMPLE.com, imap: {host: h, user: u, password_file: f}}":                       "test_mail.address: must be",
		"{address: test@example.org, imap: {host: h, user: u, password_file: f}}":                       "test_mail.address: must be one that names.mail_domains allows",
		"{address: test@example.net, imap: {host: h, user: u, password_file: f}}":                       "test_mail.address: must be one that names.mail_domains allows",
		"{imap: {host: h, user: u, password_file: f}}":                                                  "test_mail.address: must be",
		"{address: test@example.com}":                                                                   "test_mail.imap.host: must be",
		"{address: test@example.com, imap: {host: h}}":                                                  "test_mail.imap.user: is missing",
		"{address: test@example.com, imap: {host: h, user: u}}":                                         "test_mail.imap.password_file: is missing",
		"{address: test@example.com, imap: {host: h, user: u, password_file: f, tls: none}}":            "test_mail.imap.tls: must be implicit or starttls",
		"{address: test@example.com, imap: {host: h, user: u, password_file: f, port: 70000}}":          "test_mail.imap.port: must lie",
		"{address: test@example.com, wait: 200h, imap: {host: h, user: u, password_file: f}}":           "test_mail.wait: must lie",
		"{address: test@example.com, imap: {host: h, user: u, password_file: f, folder: \"a\\r\\nb\"}}": "test_mail.imap.folder: must be",
	} {
		c, err := config.Decode([]byte(around + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "test_mail") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c, err := config.Decode([]byte("test_mail: {address: test@example.com, imap: {host: h, user: u, password_file: f}}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mail.host: is missing; without a mail server", "listen.portal: is missing; test mails"} {
		if err := c.Validate(); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
