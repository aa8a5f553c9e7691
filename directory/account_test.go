package directory_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// clientCertificate makes a TLS client's certificate.
func (i *issuer) clientCertificate(t *testing.T, name string, end time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Both accounts show certificates in place of passwords: slapd takes each for the entry that its name says.
func TestBindByCertificate(t *testing.T) {
	t.Parallel()
	certificate, trust, err := child.Loopback("Directory")
	if err != nil {
		t.Fatal(err)
	}
	authority := newIssuer(t, "Clients")
	trust = append(bytes.Clone(trust), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.cert.Raw})...)
	s := slapdtest.NewWith(t, slapdtest.Config{Certificate: certificate, Trust: trust,
		Extra: "TLSVerifyClient try\nauthz-regexp \"^cn=sealpost ([^,]+)$\" \"cn=$1,ou=services," + slapdtest.Base + "\"\n"})
	by := func(c *directory.Config, lookup, publisher *tls.Certificate) {
		c.Lookup.PasswordFile, c.LookupPassword, c.Lookup.Certificate, c.Lookup.Key = "", "", "lookup.pem", "file:lookup.key"
		c.Publisher.PasswordFile, c.PublisherPassword, c.Publisher.Certificate, c.Publisher.Key = "", "", "publisher.pem", "file:publisher.key"
		c.LookupProof.Certificate, c.PublisherProof.Certificate = lookup, publisher
	}
	lookup, publisher := authority.clientCertificate(t, "sealpost lookup", time.Now().Add(time.Hour)), authority.clientCertificate(t, "sealpost publisher", time.Now().Add(time.Hour))
	for name, url := range map[string]string{"LDAPS": s.TLSURL(), "StartTLS": s.StartTLSURL()} {
		b := with(t, s, func(c *directory.Config) {
			c.URLs = []string{url}
			by(c, lookup, publisher)
		})
		alice := b.login(t, "alice")
		is(t, name, b.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{newIssuer(t, name).certificate(t, 1)}), nil)
		is(t, name+": check", b.Check(t.Context()), nil)
		is(t, name+": watch", b.Watch(t.Context(), nil), nil)
	}
	for what, change := range map[string]func(c *directory.Config){
		"another's": func(c *directory.Config) { by(c, publisher, lookup) },
		"an unknown name": func(c *directory.Config) {
			by(c, authority.clientCertificate(t, "mallory", time.Now().Add(time.Hour)), publisher)
		},
		"an unknown authority": func(c *directory.Config) {
			by(c, newIssuer(t, "Unknown").clientCertificate(t, "sealpost lookup", time.Now().Add(time.Hour)), publisher)
		},
		"expired": func(c *directory.Config) {
			by(c, authority.clientCertificate(t, "sealpost lookup", time.Now().Add(-time.Minute)), publisher)
		},
	} {
		b := with(t, s, change)
		_, err := b.ByLogin(t.Context(), "alice")
		is(t, what, err, fault.Unavailable)
	}
	_, err = directory.New(with(t, s).config)
	is(t, "passwords are still taken", err, nil)
}

// Accounts show Kerberos tickets in place of passwords to a domain controller, which takes them over TLS alone.
func TestBindByKerberos(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	u.Tool(t, "spn", "add", "ldap/"+u.Name+".ad.test", "DC1$")
	keysOf := func(a sambatest.Account) []byte { // as ktutil makes them of a password
		keys := keytab.New()
		for version := range uint8(5) {
			if err := keys.AddEntry(a.Name, "AD.TEST", a.Password, time.Now(), version, etypeID.AES256_CTS_HMAC_SHA1_96); err != nil {
				t.Fatal(err)
			}
		}
		b, err := keys.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	conf, err := os.ReadFile(u.Krb5Conf)
	if err != nil {
		t.Fatal(err)
	}
	account := func(a sambatest.Account) directory.Account {
		return directory.Account{Keytab: "keytab", Principal: a.Name + "@AD.TEST", Service: "ldap/" + u.Name + ".ad.test"}
	}
	lookup, publisher := directory.Proof{Keytab: keysOf(u.Lookup), KRB5Conf: string(conf)}, directory.Proof{Keytab: keysOf(u.Publisher), KRB5Conf: string(conf)}
	by := func(c *directory.Config) {
		c.Lookup, c.LookupPassword, c.LookupProof = account(u.Lookup), "", lookup
		c.Publisher, c.PublisherPassword, c.PublisherProof = account(u.Publisher), "", publisher
	}
	u.User(t, "alice")
	for name, url := range map[string]string{"LDAPS": u.TLSURL(), "StartTLS": u.StartTLSURL()} {
		f := inUnit(t, u, by, func(c *directory.Config) { c.URLs = []string{url} })
		alice := f.login(t, "alice")
		is(t, name, f.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{[]byte(name)}), nil)
		is(t, name+": watch", f.Watch(t.Context(), nil), nil)
	}
	for what, change := range map[string]struct {
		change func(c *directory.Config)
		want   error
	}{
		"another's keys":     {func(c *directory.Config) { c.LookupProof = publisher }, directory.ErrRefused},
		"an unknown service": {func(c *directory.Config) { c.Lookup.Service = "ldap/nowhere.ad.test" }, directory.ErrRefused},
		"an unknown account": {func(c *directory.Config) { c.Lookup.Principal = "mallory@AD.TEST" }, directory.ErrRefused},
		"nobody is there": {func(c *directory.Config) {
			c.LookupProof.KRB5Conf = strings.ReplaceAll(string(conf), u.KDC(), "127.0.0.1:1")
		}, directory.ErrUnavailable},
	} {
		f := inUnit(t, u, by, change.change)
		_, err := f.ByLogin(t.Context(), f.Login("alice"))
		is(t, what, err, change.want)
	}
}

// An account shows who it is in exactly one way, and only where there is TLS.
func TestAccountFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{dn: cn=l, password_file: p}":       "",
		"{certificate: c, key: k}":           "",
		"{dn: cn=l, certificate: c, key: k}": "",
		"{keytab: k, principal: l@EXAMPLE.COM, kerberos_conf: /c, service: ldap/h.test}": "",
		"{}":                                      "lookup: needs exactly one",
		"{dn: cn=l}":                              "lookup: needs exactly one",
		"{password_file: p}":                      "lookup.dn: is missing",
		"{dn: cn=l, password_file: p, key: k}":    "lookup.key: certificate and key go together",
		"{certificate: c}":                        "lookup.key: certificate and key go together",
		"{dn: nonsense, certificate: c, key: k}":  "lookup.dn: ",
		"{dn: cn=l, password_file: p, keytab: k}": "lookup: needs exactly one",
		"{keytab: k}":                             "lookup.principal: ",
		"{keytab: k, principal: '@EXAMPLE.COM'}":  "lookup.principal: ",
		"{dn: cn=l, password_file: p, principal: l@EXAMPLE}": "lookup.keytab: is missing",
	} {
		c := decode(t, "{name: x, urls: [ldaps://h], people: {base: dc=x}, lookup: "+text+"}")
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		c.URLs = []string{"ldaps://h", "ldapi://%2Frun%2Fldapi"}
		if err := c.Validate(); want == "" && (err == nil) != strings.Contains(text, "password_file") {
			t.Errorf("%s through a socket: %v", text, err)
		}
		c.URLs = nil
		if _, err := directory.New(c); err == nil {
			t.Errorf("%s: a directory without a password, certificate or keytab", text)
		}
	}
}
