package contact

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
)

// minRSA is the shortest modulus that is taken, in bits, and maxRSA the longest.
const (
	minRSA = 2048
	maxRSA = 16384
)

// oneLine returns a text that somebody must say, without blanks around it.
func oneLine(s string) (string, error) {
	const most = 500
	s = strings.TrimSpace(s)
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > most || strings.ContainsFunc(s, unicode.IsControl) {
		return "", ErrNote
	}
	return s, nil
}

// judge returns the contact that a submission makes, if its certificate is one to show.
func (d *Desk) judge(ctx context.Context, s Submission, now time.Time) (*Contact, error) {
	note, err := oneLine(s.Note)
	if err != nil {
		return nil, err
	}
	m, err := ca.ParseMailbox(s.Mailbox)
	if err != nil {
		return nil, ErrMailbox.Because(err)
	}
	c := &Contact{Mailbox: m.String(), key: strings.ToLower(m.String()), Note: note, State: Current, Shown: Waiting, Trust: ByRegistrar}
	if slices.Contains(d.Own, m.Domain) || slices.Contains(d.Own, c.key) {
		return nil, ErrOwnAddress
	}
	given, err := Read(s.Certificate)
	if err != nil {
		return nil, err
	}
	if c.Certificate, err = d.choose(given, c.key, now); err != nil {
		return nil, err
	}
	if err := d.trust(c, given, now); err != nil {
		return nil, err
	}
	if err := d.ownPerson(ctx, c.Mailbox); err != nil {
		return nil, err
	}
	return c, d.ask(ctx, c)
}

// choose returns the one certificate among those given that is to be shown. What is wrong is said of the only one, or of the
// first that names the address.
func (d *Desk) choose(given []*x509.Certificate, key string, now time.Time) (*x509.Certificate, error) {
	people := slices.DeleteFunc(slices.Clone(given), func(c *x509.Certificate) bool { return c.IsCA })
	if len(people) == 0 {
		return nil, ErrUse.Withf("The certificate is an authority's, not a person's.")
	}
	var good []*x509.Certificate
	var wrong error
	for _, c := range people {
		err := d.fits(c, key, now)
		if err == nil && !slices.ContainsFunc(good, c.Equal) {
			good = append(good, c)
		}
		if wrong == nil || errors.Is(wrong, ErrAddress) && err != nil {
			wrong = err
		}
	}
	switch len(good) {
	case 0:
		return nil, wrong
	case 1:
		return good[0], nil
	}
	return nil, ErrSeveral
}

// fits reports what is wrong with a certificate by itself.
func (d *Desk) fits(c *x509.Certificate, key string, now time.Time) error {
	switch {
	case d.Authority.Signed(c):
		return ErrOurs
	case !slices.Contains(addresses(c), key):
		return ErrAddress
	case now.Before(c.NotBefore):
		return ErrTime.Withf("The certificate is valid from %s.", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return ErrTime.Withf("The certificate ended on %s.", c.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := strong(c); err != nil {
		return err
	}
	return encrypts(c)
}

// addresses are the mail addresses in a certificate's subjectAltName, in lower case, as certificates are found by them
// elsewhere. What is no address leads nowhere.
func addresses(c *x509.Certificate) []string {
	list, err := ca.MailboxesOf(c)
	if err != nil { // one of them is odd; the others are plain ones
		for _, s := range c.EmailAddresses {
			if m, err := ca.ParseMailbox(s); err == nil {
				list = append(list, m)
			}
		}
	}
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = strings.ToLower(m.String())
	}
	return out
}

// strong reports whether key and signature are such as cannot be forged today.
func strong(c *x509.Certificate) error {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
	default:
		return ErrWeak.Withf("The certificate is signed with %s.", c.SignatureAlgorithm)
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA || n > maxRSA {
			return ErrWeak.Withf("The certificate's RSA key has %d bits; there must be %d to %d.", n, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return ErrWeak.Withf("The certificate's key is on the curve %s; P-256, P-384, P-521 and X25519 are taken.", key.Curve.Params().Name)
		}
	case *ecdh.PublicKey: // X25519
	default:
		return ErrUse.Withf("The certificate's key cannot be encrypted to.")
	}
	return nil
}

// encrypts reports whether mail may be encrypted to a certificate (RFC 8550, sections 4.4.2 and 4.4.4).
func encrypts(c *x509.Certificate) error {
	use := x509.KeyUsageKeyAgreement
	if _, ok := c.PublicKey.(*rsa.PublicKey); ok {
		use = x509.KeyUsageKeyEncipherment
	}
	if c.KeyUsage != 0 && c.KeyUsage&use == 0 {
		return ErrUse.Withf("The certificate's key usage does not allow to encrypt.")
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageEmailProtection || u == x509.ExtKeyUsageAny
	}) {
		return ErrUse.Withf("The certificate's extended key usage does not allow mail.")
	}
	return nil
}

// trust finds the chain of a contact's certificate, to one of the anchors if there are any.
func (d *Desk) trust(c *Contact, given []*x509.Certificate, now time.Time) error {
	if len(d.Anchors) == 0 {
		c.Chain = above(c.Certificate, given)
		return nil
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range d.Anchors {
		roots.AddCert(a)
	}
	for _, g := range given {
		middle.AddCert(g)
	}
	chains, err := c.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return ErrTrust.Because(err)
	}
	c.Trust, c.Chain = ByAnchors, chains[0][1:]
	return nil
}

// above returns what of some certificates signed one, what signed that, and so on.
func above(c *x509.Certificate, given []*x509.Certificate) (out []*x509.Certificate) {
	for len(out) < maxCertificates && !bytes.Equal(c.RawIssuer, c.RawSubject) {
		n := slices.IndexFunc(given, func(g *x509.Certificate) bool {
			return g.IsCA && bytes.Equal(g.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(g) == nil
		})
		if n < 0 {
			break
		}
		c = given[n]
		out = append(out, c)
	}
	return out
}

// ownPerson refuses the address of somebody in the company's directory.
func (d *Desk) ownPerson(ctx context.Context, mailbox string) error {
	_, err := d.People.ByMailbox(ctx, mailbox)
	switch {
	case err == nil, errors.Is(err, directory.ErrSeveral):
		return ErrOwnAddress.Withf("The directory has the address for one of the company's people.")
	case errors.Is(err, directory.ErrUnknownPerson):
		return nil
	}
	return err
}

// ask asks the issuer's lists about a contact's certificate.
func (d *Desk) ask(ctx context.Context, c *Contact) error {
	c.AskedAt = d.now()
	switch {
	case len(c.Certificate.CRLDistributionPoints) == 0:
		c.Revocation = NoLists
		return nil
	case d.Revocation == nil:
		c.Revocation = "Nobody asks for revocation lists."
		return nil
	}
	revoked, unknown := d.Revocation(ctx, c.Certificate, c.Chain)
	if revoked {
		return ErrRevoked
	}
	if c.Revocation = NotRevoked; unknown != "" {
		c.Revocation = unknown
	}
	return nil
}
