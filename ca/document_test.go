package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/ca"
)

// TestDocument issues a certificate of every profile, describes each, and compares with docs/certificate-profile.md.
func TestDocument(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "certificate-profile.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := fixedHierarchy(t).Config()
	c.Now = func() time.Time { return goldenTime }
	draft, err := ca.Drafter(c, counting())
	if err != nil {
		t.Fatal(err)
	}
	certs := make(map[string][]*x509.Certificate)
	for _, s := range samples(t) {
		d, err := draft(s.request)
		if err != nil {
			t.Fatal(err)
		}
		der, err := d.Sign()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs[s.profile] = append(certs[s.profile], cert)
	}
	doc := string(text)
	for _, p := range ca.DefaultProfiles() {
		begin, end := "<!-- "+p.Name+" -->\n", "<!-- end -->\n"
		before, rest, ok := strings.Cut(doc, begin)
		table, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no place for %s", path, p.Name)
			continue
		}
		want := describe(t, p, certs[p.Name])
		if *update {
			doc = before + begin + want + end + after
		} else if diff := cmp.Diff(want, table); diff != "" {
			t.Errorf("%s: certificates are not as %s says (-issued +document):\n%s", p.Name, path, diff)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describe writes a profile's table from its certificates; what no certificate shows comes from the profile.
func describe(t *testing.T, p ca.ProfileConfig, certs []*x509.Certificate) string {
	t.Helper()
	var b strings.Builder
	line := func(field, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", field, fmt.Sprintf(format, args...))
	}
	b.WriteString("| field | value |\n|---|---|\n")
	c := certs[0]
	keys := make([]string, len(p.Keys))
	for i, k := range p.Keys {
		keys[i] = string(k)
	}
	line("Key", "%s", strings.Join(keys, ", "))
	line("Archived", "%s (key use `%s`)", p.Escrow, p.Use)
	line("Subject", "%s", subjectOf(c))
	line("subjectAltName", "%s", namesOf(t, c))
	line("keyUsage, critical", "%s", keyUsages(t, certs))
	line("extKeyUsage", "%s", usagesOf(t, c))
	line("certificatePolicies", "%s", c.Policies[0])
	line("Validity", "%d days", int((c.NotAfter.Sub(c.NotBefore)+time.Second).Hours()/24))
	line("cRLDistributionPoints", "%s", schemes(c.CRLDistributionPoints))
	line("authorityInfoAccess", "%s", access(c))
	line("smimeCapabilities", "%s", capabilities(t, c))
	line("Other extensions", "%s", others(c))
	claims := p.Claims
	if claims == "" {
		claims = "RFC 5280 alone"
	}
	line("Linted as", "%s", claims)
	for _, e := range p.Exceptions {
		line("Exception: `"+e.Lint+"`", "%s", e.Reason)
	}
	return b.String()
}

var attributeNames = map[string]string{"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.10": "O",
	"2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier"}

func subjectOf(c *x509.Certificate) string {
	var out []string
	for _, a := range c.Subject.Names {
		out = append(out, attributeNames[a.Type.String()])
	}
	return strings.Join(out, ", ")
}

func namesOf(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	var out []string
	for _, e := range c.Extensions {
		if e.Id.String() != "2.5.29.17" {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			t.Fatal(err)
		}
		seen := ""
		for _, n := range names {
			kind := map[int]string{0: "SmtpUTF8Mailbox", 1: "rfc822Name", 2: "dNSName"}[n.Tag]
			if kind != seen {
				out = append(out, kind)
			}
			seen = kind
		}
		if e.Critical {
			out = append(out, "critical")
		}
	}
	if out == nil {
		return "optional: rfc822Name, SmtpUTF8Mailbox"
	}
	return strings.Join(out, ", ")
}

// keyUsages reads the bits as RFC 5280 numbers them, for each kind of key if they differ.
func keyUsages(t *testing.T, certs []*x509.Certificate) string {
	t.Helper()
	kinds := make(map[string]string)
	for _, c := range certs {
		for _, e := range c.Extensions {
			if e.Id.String() != "2.5.29.15" {
				continue
			}
			var bits asn1.BitString
			if _, err := asn1.Unmarshal(e.Value, &bits); err != nil || !e.Critical {
				t.Fatalf("key usage: %v, critical %v", err, e.Critical)
			}
			var names []string
			for i, n := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign"} {
				if bits.At(i) == 1 {
					names = append(names, n)
				}
			}
			kinds[c.PublicKeyAlgorithm.String()] = strings.Join(names, ", ")
		}
	}
	if kinds["RSA"] == kinds["ECDSA"] {
		return kinds["RSA"]
	}
	return "RSA: " + kinds["RSA"] + "; elliptic curve: " + kinds["ECDSA"]
}

func usagesOf(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	var out []string
	for _, e := range c.Extensions {
		if e.Id.String() == "2.5.29.37" {
			var list []asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(e.Value, &list); err != nil {
				t.Fatal(err)
			}
			for _, o := range list {
				out = append(out, o.String())
			}
		}
	}
	return strings.Join(out, ", ")
}

func schemes(urls []string) string {
	if len(urls) == 0 {
		return "none"
	}
	var out []string
	for _, u := range urls {
		s, _, _ := strings.Cut(u, ":")
		out = append(out, s)
	}
	return strings.Join(out, ", then ")
}

func access(c *x509.Certificate) string {
	var out []string
	if len(c.OCSPServer) > 0 {
		out = append(out, "ocsp")
	}
	if len(c.IssuingCertificateURL) > 0 {
		out = append(out, "caIssuers")
	}
	if out == nil {
		return "none"
	}
	return strings.Join(out, ", ")
}

func capabilities(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	for _, e := range c.Extensions {
		if e.Id.String() != "1.2.840.113549.1.9.15" {
			continue
		}
		want := []byte("\x30\x1a\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x02")
		if !bytes.Equal(e.Value, want) || e.Critical {
			t.Errorf("capabilities %x, critical %v", e.Value, e.Critical)
		}
		return "AES-256-CBC, AES-128-CBC"
	}
	return "none"
}

func others(c *x509.Certificate) string {
	var out []string
	for _, e := range c.Extensions {
		switch e.Id.String() {
		case "2.5.29.14":
			out = append(out, "subjectKeyIdentifier")
		case "2.5.29.35":
			out = append(out, "authorityKeyIdentifier")
		case "1.3.6.1.5.5.7.48.1.5":
			out = append(out, "id-pkix-ocsp-nocheck")
		case "2.5.29.15", "2.5.29.37", "2.5.29.17", "2.5.29.31", "2.5.29.32", "1.3.6.1.5.5.7.1.1", "1.2.840.113549.1.9.15":
		default:
			out = append(out, e.Id.String())
		}
	}
	return strings.Join(out, ", ")
}
