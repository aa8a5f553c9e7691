package contact_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // what is refused
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// What must not be shown is refused, each with its own fault, and nothing is kept of it.
func TestRefused(t *testing.T) {
	b := setup(t, erin)
	now := b.Clock.Now()
	of := func(change func(*x509.Certificate)) contact.Submission {
		return submission(erin, b.issue(t, erin, change))
	}
	with := func(key any) contact.Submission {
		der, err := x509.CreateCertificate(rand.Reader, b.out.template(now, erin), b.out.root, key, b.out.key)
		must(t, err)
		return contact.Submission{Mailbox: erin, Certificate: der, Note: "seen"}
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024) // what is refused
	must(t, err)
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ours := b.PKI.Issue(t, pkitest.Person{ID: b.rita.Person, Name: "Rita", Mailbox: "rita@example.test"}.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public()))[0]
	good := submission(erin, b.issue(t, erin))
	for what, c := range map[string]struct {
		in   contact.Submission
		want error
	}{
		"no note":               {contact.Submission{Mailbox: erin, Certificate: good.Certificate, Note: " "}, contact.ErrNote},
		"a note of two lines":   {contact.Submission{Mailbox: erin, Certificate: good.Certificate, Note: "a\nb"}, contact.ErrNote},
		"a long note":           {contact.Submission{Mailbox: erin, Certificate: good.Certificate, Note: strings.Repeat("x", 501)}, contact.ErrNote},
		"no address":            {contact.Submission{Mailbox: "erin", Certificate: good.Certificate, Note: "x"}, contact.ErrMailbox},
		"no certificate":        {contact.Submission{Mailbox: erin, Note: "x"}, contact.ErrCertificate},
		"garbage":               {contact.Submission{Mailbox: erin, Certificate: []byte("garbage"), Note: "x"}, contact.ErrCertificate},
		"a key":                 {contact.Submission{Mailbox: erin, Certificate: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), Note: "x"}, contact.ErrCertificate},
		"too much":              {contact.Submission{Mailbox: erin, Certificate: make([]byte, 256<<10+1), Note: "x"}, contact.ErrCertificate},
		"our own domain":        {submission("erin@Example.test", b.issue(t, "erin@example.test")), contact.ErrOwnAddress},
		"another address":       {submission("frank@partner.test", b.issue(t, erin)), contact.ErrAddress},
		"a part of the address": {submission("rin@partner.test", b.issue(t, erin)), contact.ErrAddress},
		"an address below":      {submission("erin@mail.partner.test", b.issue(t, erin)), contact.ErrAddress},
		"the address in the subject alone": {of(func(c *x509.Certificate) {
			c.EmailAddresses, c.Subject.ExtraNames = nil, nil
			c.Subject.CommonName = erin
		}), contact.ErrAddress},
		"our own certificate": {contact.Submission{Mailbox: "rita@elsewhere.test", Certificate: ours.DER, Note: "x"}, contact.ErrOurs},
		"expired":             {of(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), contact.ErrTime},
		"not yet valid":       {of(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), contact.ErrTime},
		"to sign":             {of(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), contact.ErrUse},
		"for servers":         {of(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), contact.ErrUse},
		"for what we know not": {of(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}), contact.ErrUse},
		"an authority":     {submission(erin, b.out.root), contact.ErrUse},
		"a key of Ed25519": {with(edwards), contact.ErrUse},
		"a short key":      {with(short.Public()), contact.ErrWeak},
		"an odd curve":     {with(odd.Public()), contact.ErrWeak},
		"two of them":      {submission(erin, b.issue(t, erin), b.issue(t, erin)), contact.ErrSeveral},
	} {
		if _, err := b.Add(t.Context(), b.rita, c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := b.Database.Count(t, `select count(*) from gal.contact`); n != 0 {
		t.Errorf("%d are kept", n)
	}
	if n := len(b.values(t, entryDN(1))); n != 0 {
		t.Errorf("%d are shown", n)
	}
	revoked := b.again(t, func(c *contact.Config) {
		c.Own = nil
		c.Revocation = func(context.Context, *x509.Certificate, []*x509.Certificate) (bool, string) { return true, "" }
	})
	lists := of(func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://pki.partner.test/ca.crl"} })
	if _, err := revoked.Add(t.Context(), b.rita, lists); !errors.Is(err, contact.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := revoked.Add(t.Context(), b.rita, submission("Bob@example.test", b.issue(t, "bob@example.test"))); !errors.Is(err, contact.ErrOwnAddress) {
		t.Errorf("an address of our own people: %v", err)
	}
}

// A signature by SHA-1 is refused. It is made by hand: nothing makes it any more.
func TestBrokenSignature(t *testing.T) {
	b := setup(t, erin)
	key := pkitest.RSAKey(t, ca.RSA3072, 3).(*rsa.PrivateKey)
	template := b.out.template(b.Clock.Now(), erin)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	var c struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	_, err = asn1.Unmarshal(der, &c)
	must(t, err)
	// sha256WithRSAEncryption and sha1WithRSAEncryption differ in their last octet.
	oid := func(last byte) string { return "\x2a\x86\x48\x86\xf7\x0d\x01\x01" + string([]byte{last}) }
	tbs := []byte(strings.ReplaceAll(string(c.TBS.FullBytes), oid(11), oid(5)))
	algorithm := []byte(strings.ReplaceAll(string(c.Algorithm.FullBytes), oid(11), oid(5)))
	sum := sha1.Sum(tbs) // what is refused
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, 3, sum[:])
	must(t, err)
	c.TBS, c.Algorithm, c.Signature = asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: algorithm}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err = asn1.Marshal(c)
	must(t, err)
	if _, err := b.Add(t.Context(), b.rita, contact.Submission{Mailbox: erin, Certificate: der, Note: "x"}); !errors.Is(err, contact.ErrWeak) {
		t.Errorf("SHA-1: %v", err)
	}
}

// Where authorities are configured, a certificate comes from one of them.
func TestAnchors(t *testing.T) {
	b := setup(t, erin)
	c := b.issue(t, erin)
	trusting := b.again(t, func(c *contact.Config) { c.Anchors = []*x509.Certificate{b.out.root} })
	elsewhere := b.again(t, func(c *contact.Config) { c.Anchors = []*x509.Certificate{newOutside(t, b.Clock.Now()).root} })
	if _, err := elsewhere.Add(t.Context(), b.rita, submission(erin, c, b.out.root)); !errors.Is(err, contact.ErrTrust) {
		t.Errorf("another authority of the same name: %v", err)
	}
	got, err := trusting.Check(t.Context(), b.rita, submission(erin, c))
	must(t, err)
	if got.Trust != contact.ByAnchors || len(got.Chain) != 1 {
		t.Errorf("%+v", got)
	}
	if n := b.Database.Count(t, `select count(*) from gal.contact`); n != 0 {
		t.Errorf("asking has kept %d", n)
	}
}

// What is handed in may be DER, PEM, base64, or a mail's signature, with the chain and a certificate to sign with beside.
func TestForms(t *testing.T) {
	b := setup(t, erin)
	fit := b.issue(t, erin)
	signing := b.out.template(b.Clock.Now(), erin)
	signing.KeyUsage = x509.KeyUsageDigitalSignature
	signer, key := b.out.sign(t, signing, b.out.root, pkitest.NewKey(t, ca.P256))
	signed, err := cms.Sign([]byte("a mail"), key, signer, cms.SignOptions{Chain: []*x509.Certificate{fit, b.out.root}})
	must(t, err)
	// The same with an indefinite length, as mail programs write it.
	ber := append([]byte{0x30, 0x80}, signed[4:]...)
	ber = append(ber, 0, 0)
	for what, in := range map[string][]byte{
		"DER": fit.Raw, "PEM": pkitest.PEM(b.out.root.Raw, signer.Raw, fit.Raw), "base64": []byte(base64.StdEncoding.EncodeToString(fit.Raw)),
		"a signature": signed, "a signature in BER": ber, "a signature in base64": []byte(base64.StdEncoding.EncodeToString(signed)),
	} {
		c, err := b.Check(t.Context(), b.rita, contact.Submission{Mailbox: erin, Certificate: in, Note: "seen"})
		if err != nil || !c.Certificate.Equal(fit) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// An address in letters beyond ASCII is found in the certificate; in a directory's entry, where that can hold it (mail cannot in OpenLDAP).
func TestWideAddress(t *testing.T) {
	const wide = "jörg@müller.test"
	b := setup(t, "joerg@xn--mller-kva.test")
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true}
	text, err := asn1.MarshalWithParams("jörg@xn--mller-kva.test", "utf8")
	must(t, err)
	oid, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9})
	must(t, err)
	value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text})
	must(t, err)
	name.Bytes = append(oid, value...)
	all, err := asn1.Marshal([]asn1.RawValue{name})
	must(t, err)
	c := b.issue(t, erin, func(c *x509.Certificate) {
		c.EmailAddresses = nil
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: all})
	})
	got := b.add(t, wide, c)
	if got.Shown != contact.NoEntry || got.Mailbox != "jörg@xn--mller-kva.test" {
		t.Errorf("%+v", got)
	}
	if got := b.add(t, "Joerg@Müller.test", b.issue(t, "joerg@xn--mller-kva.test")); got.Shown != contact.InEntry {
		t.Errorf("%+v", got)
	}
}

// Somebody who writes to a contact's entry at the same time loses nothing.
func TestAnotherWriter(t *testing.T) {
	b := setup(t, erin)
	other := b.issue(t, erin).Raw
	racing := b.again(t, func(c *contact.Config) {
		c.After = func(step string) {
			if step == "contact.prepared" && len(b.values(t, entryDN(1))) == 0 {
				b.put(t, 1, other)
			}
		}
	})
	c, err := racing.Add(t.Context(), b.rita, submission(erin, b.issue(t, erin)))
	must(t, err)
	b.holds(t, "both", 1, other, c.Certificate.Raw)
}

// The rights that docs/gal.md asks for are those of the tests' servers, and the publishing account may do no more.
func TestRights(t *testing.T) {
	b := setup(t, erin)
	for _, change := range []string{"replace: mail\nmail: mallory@partner.test\n", "replace: cn\ncn: x\n", "add: objectClass\nobjectClass: simpleSecurityObject\n"} {
		if out, err := b.Slapd.ModifyAs(b.Slapd.Publisher, "dn: "+entryDN(1)+"\nchangetype: modify\n"+change); err == nil || !strings.Contains(out, "Insufficient access") {
			t.Errorf("the publishing account may %s%s", change, out)
		}
	}
	if out, err := b.Slapd.ModifyAs(b.Slapd.Publisher, "dn: "+entryDN(1)+"\nchangetype: delete\n"); err == nil || !strings.Contains(out, "Insufficient access") {
		t.Errorf("the publishing account deletes: %s", out)
	}
	if out, err := b.Slapd.ModifyAs(b.Slapd.Lookup, addition(entryDN(1), b.issue(t, erin).Raw)); err == nil {
		t.Errorf("the lookup account writes: %s", out)
	}
	// An account that may not write is said to be one.
	poor := b.again(t, func(c *contact.Config) {
		d := housetest.DirectoryConfig(b.Slapd)
		d.DB, d.Now, d.People = b.DB, b.Clock.Now, directory.People{Base: c.Directory.People.Base}
		d.Publisher, d.PublisherPassword = d.Lookup, d.LookupPassword
		var err error
		c.Directory, err = directory.New(d)
		must(t, err)
		t.Cleanup(c.Directory.Close)
	})
	c, err := poor.Add(t.Context(), b.rita, submission(erin, b.issue(t, erin)))
	must(t, err)
	if c.Shown != contact.Failed || !strings.Contains(c.Failure, "does not let Sealpost's publishing account") {
		t.Errorf("%+v", c)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add([]byte("MIIB"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := contact.Read(b)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%d certificates, %v", len(list), err)
		}
	})
}

// An entry that is deleted while it is being changed is no longer there, and that is all.
func TestDeletedMeanwhile(t *testing.T) {
	b := setup(t, erin)
	deleting := b.again(t, func(c *contact.Config) {
		c.After = func(step string) {
			if step == "contact.prepared" {
				b.Slapd.Modify(t, "dn: "+entryDN(1)+"\nchangetype: delete\n")
			}
		}
	})
	c, err := deleting.Add(t.Context(), b.rita, submission(erin, b.issue(t, erin)))
	must(t, err)
	if c.Shown != contact.NoEntry || c.Failure != "" {
		t.Errorf("%+v", c)
	}
}
