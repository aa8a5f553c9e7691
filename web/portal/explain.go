package portal

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/ca"
)

// explained is one thing that a certificate says, for people.
type explained struct {
	What   string   // "Mail addresses"
	Values []string // as they stand in the certificate, or what they mean
	At     time.Time
	Code   bool   // the values are numbers of machines
	Why    string // what it is good for
}

// explanation collects what a certificate says.
type explanation struct {
	language
	rows []explained
}

// explain puts every field of a certificate into words, in the order in which people ask: whose, what for, how long, who says so,
// and where that can be checked. Values come from the certificate: whoever shows them shows text of others.
func (l language) explain(c *x509.Certificate) []explained {
	e := &explanation{language: l}
	e.explainHolder(c)
	e.explainUse(c)
	e.rows = append(e.rows, explained{What: l.say("explain.from"), At: c.NotBefore, Why: l.say("explain.from-why")},
		explained{What: l.say("explain.until"), At: c.NotAfter, Why: l.say("explain.until-why")})
	e.explainIssuer(c)
	e.explainChecks(c)
	e.explainRest(c)
	return e.rows
}

// add notes values, if there are any.
func (e *explanation) add(name string, values ...string) { e.put(name, false, values...) }

// code notes numbers of machines, likewise.
func (e *explanation) code(name string, values ...string) { e.put(name, true, values...) }

func (e *explanation) put(name string, code bool, values ...string) {
	var some []string
	for _, v := range values {
		if v != "" {
			some = append(some, v)
		}
	}
	if len(some) > 0 {
		e.rows = append(e.rows, explained{What: e.say("explain." + name), Values: some, Code: code, Why: e.say("explain." + name + "-why")})
	}
}

// organizationIdentifier of ETSI EN 319 412-1, which package pkix does not name.
var oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}

func (e *explanation) explainHolder(c *x509.Certificate) {
	var identifier string
	var given, surname string
	for _, a := range c.Subject.Names {
		value, _ := a.Value.(string)
		switch {
		case a.Type.Equal(oidOrganizationID):
			identifier = value
		case a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 42}):
			given = value
		case a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 4}):
			surname = value
		}
	}
	e.add("name", c.Subject.CommonName)
	e.add("personal", strings.TrimSpace(given+" "+surname))
	e.add("number", c.Subject.SerialNumber)
	e.add("organisation", append(append([]string{}, c.Subject.Organization...), identifier, strings.Join(c.Subject.Country, ", "))...)
	boxes, err := ca.MailboxesOf(c)
	mailboxes := mailboxTexts(boxes)
	if err != nil { // another authority's
		mailboxes = c.EmailAddresses
	}
	e.add("mailboxes", mailboxes...)
	e.add("hosts", c.DNSNames...)
}

func mailboxTexts(boxes []ca.Mailbox) []string {
	out := make([]string, len(boxes))
	for i, m := range boxes {
		out[i] = m.String()
	}
	return out
}

// keyUses are what a key may do, in the order of RFC 5280 4.2.1.3.
var keyUses = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "sign"}, {x509.KeyUsageContentCommitment, "commit"}, {x509.KeyUsageKeyEncipherment, "encrypt"},
	{x509.KeyUsageDataEncipherment, "encrypt-data"}, {x509.KeyUsageKeyAgreement, "agree"}, {x509.KeyUsageCertSign, "certify"}, {x509.KeyUsageCRLSign, "crl"},
}

// purposes are what a certificate is for, by object identifier: those of RFC 5280 4.2.1.12, and ours (docs/oids.md).
var purposes = map[string]string{
	"1.3.6.1.5.5.7.3.4": "mail", "1.3.6.1.5.5.7.3.2": "client", "1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.9": "ocsp",
	"1.3.6.1.4.1.32473.2.1": "agent-signing", "1.3.6.1.4.1.32473.2.2": "agent-decryption", "1.3.6.1.4.1.32473.2.3": "recipient", "1.3.6.1.4.1.32473.2.4": "exchange",
}

func (e *explanation) explainUse(c *x509.Certificate) {
	var uses []string
	for _, u := range keyUses {
		if c.KeyUsage&u.bit != 0 {
			uses = append(uses, e.say("key-use."+u.name))
		}
	}
	e.add("use", uses...)
	var list []string
	for _, oid := range extendedUsages(c) {
		if name := purposes[oid]; name != "" {
			oid = e.say("purpose." + name)
		}
		list = append(list, oid)
	}
	e.add("purpose", list...)
	if c.IsCA {
		e.add("authority", e.say("explain.authority-yes"))
	}
}

// extendedUsages reads the extension itself: package x509 keeps what it knows apart from what it does not.
func extendedUsages(c *x509.Certificate) []string {
	var out []string
	for _, x := range c.Extensions {
		var list []asn1.ObjectIdentifier
		if !x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) {
			continue
		}
		if rest, err := asn1.Unmarshal(x.Value, &list); err != nil || len(rest) > 0 {
			continue
		}
		for _, id := range list {
			out = append(out, id.String())
		}
	}
	return out
}

func (e *explanation) explainIssuer(c *x509.Certificate) {
	e.add("issuer", readName(c.Issuer))
	e.code("serial", ca.SerialOf(c.SerialNumber).String())
	var policies []string
	for _, p := range c.Policies {
		policies = append(policies, p.String())
	}
	e.code("policy", policies...)
}

// readName is a name as people read it.
func readName(n pkix.Name) string {
	parts := append([]string{n.CommonName}, n.Organization...)
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return n.String()
	}
	return strings.Join(out, ", ")
}

func (e *explanation) explainChecks(c *x509.Certificate) {
	e.code("crl", c.CRLDistributionPoints...)
	e.code("ocsp", c.OCSPServer...)
	e.code("above", c.IssuingCertificateURL...)
}

// ciphers are those of SMIMECapabilities (RFC 8551 2.5.2) that we name.
var ciphers = map[string]string{
	"2.16.840.1.101.3.4.1.42": "AES-256-CBC", "2.16.840.1.101.3.4.1.2": "AES-128-CBC", "2.16.840.1.101.3.4.1.46": "AES-256-GCM", "2.16.840.1.101.3.4.1.6": "AES-128-GCM",
	"1.2.840.113549.3.7": "3DES",
}

func (e *explanation) explainRest(c *x509.Certificate) {
	e.add("key", keyOf(c))
	e.add("signature", c.SignatureAlgorithm.String())
	var unknown []string
	for _, x := range c.Extensions {
		switch id := x.Id.String(); id {
		case "1.2.840.113549.1.9.15":
			e.add("capabilities", capabilities(x.Value)...)
		case "1.3.6.1.5.5.7.48.1.5":
			e.add("no-check", e.say("explain.no-check-yes"))
		case "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.32", "2.5.29.17", "2.5.29.31", "1.3.6.1.5.5.7.1.1", "2.5.29.19": // said elsewhere
		default:
			unknown = append(unknown, fmt.Sprintf("%s (%d)", id, len(x.Value)))
		}
	}
	e.code("key-id", hex.EncodeToString(c.SubjectKeyId))
	e.code("authority-key-id", hex.EncodeToString(c.AuthorityKeyId))
	e.code("unknown", unknown...)
	sum := sha256.Sum256(c.Raw)
	e.code("fingerprint", hex.EncodeToString(sum[:]))
}

func keyOf(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// capabilities reads the ciphers of SMIMECapabilities, whose parameters may be anything. What cannot be read is none.
func capabilities(der []byte) (out []string) {
	var list cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) {
		return nil
	}
	for !list.Empty() {
		var one cryptobyte.String
		var id asn1.ObjectIdentifier
		if !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) {
			return out
		}
		name := ciphers[id.String()]
		if name == "" {
			name = id.String()
		}
		out = append(out, name)
	}
	return out
}
