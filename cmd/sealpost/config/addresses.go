package config

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/directory"
)

// CRLURLs returns where an issuer's certificates say that its revocation list is: HTTP first, then LDAP, then other points.
func (c *Config) CRLURLs(i Issuer) []string {
	out := []string{c.CRLURL(i.ID, crl.Kind{})}
	if u := c.LDAPURL(i, crl.Kind{}); u != "" {
		out = append(out, u)
	}
	for _, p := range c.CRL.Points {
		if p.InCertificates && p.Shows(i.ID) {
			out = append(out, p.Address(crl.Kind{}.FileName(i.ID)))
		}
	}
	return out
}

// LDAPURL returns where one of an issuer's lists is in the directory; "" if it has no entry there. The filter stands in
// parentheses: GnuPG takes no other form (RFC 4516).
func (c *Config) LDAPURL(i Issuer, k crl.Kind) string {
	if i.LDAP.URL == "" {
		return ""
	}
	dn, class := i.LDAP.DN, "pkiCA"
	if c.Directory.Dialect == "ad" {
		class = "certificationAuthority"
	}
	if i.LDAP.Lists != "" {
		dn, class = i.LDAP.Lists, "cRLDistributionPoint"
	}
	if k.Partition > 0 {
		var err error
		if dn, err = directory.PartitionDN(dn, strconv.Itoa(k.Partition)); err != nil { // Validate has refused such a name
			return ""
		}
		class = "cRLDistributionPoint"
	}
	attribute := "certificateRevocationList"
	if k.Delta {
		attribute = "deltaRevocationList"
	}
	if c.Directory.Dialect != "ad" {
		attribute += ";binary"
	}
	return "ldap://" + i.LDAP.host() + "/" + url.PathEscape(dn) + "?" + attribute + "?base?(objectClass=" + class + ")"
}

// CRLURL returns where one of an issuer's lists is by HTTP.
func (c *Config) CRLURL(issuer string, k crl.Kind) string { return c.join("crl", k.FileName(issuer)) }

// PartitionURL returns CRLURL of an issuer's partitions with {n} for their number; "" where there are none.
func (c *Config) PartitionURL(i Issuer) string {
	if i.Partitions == 0 {
		return ""
	}
	return strings.TrimSuffix(c.CRLURL(i.ID, crl.Kind{}), ".crl") + ".{n}.crl"
}

// CAURL returns where an issuer's own certificate is, in DER.
func (c *Config) CAURL(issuer string) string { return c.join("ca", issuer+".cer") }

// BundleURL returns where an issuer's certificate is with those above it in one file.
func (c *Config) BundleURL(issuer string) string { return c.join("ca", issuer+".p7c") }

// OCSPURL returns where an issuer's OCSP responder is.
func (c *Config) OCSPURL(issuer string) string { return c.join("ocsp", issuer) }

func (c *Config) join(elem ...string) string {
	u, err := url.JoinPath(c.PublicURL, elem...)
	if err != nil { // Validate has refused such a URL
		return c.PublicURL
	}
	return u
}
