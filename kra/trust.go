package kra

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

var (
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAnyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

// trust says what a certificate must lead to.
type trust struct {
	roots   []*x509.Certificate
	between []*x509.Certificate // help to find the way, and are not trusted for it
	now     time.Time
}

// agent checks an agent's two certificates.
func (t trust) agent(name string, signing, decryption *x509.Certificate) error {
	if err := t.certificate(name, "signature certificate", signing, api.OIDAgentSigning); err != nil {
		return err
	}
	return t.certificate(name, "decryption certificate", decryption, api.OIDAgentDecryption)
}

// plan checks every certificate of a plan.
func (t trust) plan(p *record.Plan) error {
	for _, a := range p.Agents {
		if err := t.agent(a.Name, a.Signing, a.Decryption); err != nil {
			return err
		}
	}
	for _, r := range p.Recipients {
		if err := t.certificate(r.Name, "certificate", r.Certificate, api.OIDRecipient); err != nil {
			return err
		}
	}
	return nil
}

// certificate checks that c is for the person of that name, carries the usage, is valid now and chains to a root whose
// every issuer on the way may certify that usage.
func (t trust) certificate(name, what string, c *x509.Certificate, usage asn1.ObjectIdentifier) error {
	switch {
	case commonName(c) != name:
		return ErrTrust.Withf("The %s of %s is for somebody else: %s.", what, name, commonName(c))
	case !slices.ContainsFunc(c.UnknownExtKeyUsage, usage.Equal):
		return ErrTrust.Withf("The %s of %s was not issued for that purpose: it lacks the extended key usage %s.", what, name, usage)
	case t.now.Before(c.NotBefore):
		return ErrTrust.Withf("The %s of %s is not valid before %s. Is this machine's clock right?", what, name, c.NotBefore.UTC().Format(time.RFC3339))
	case t.now.After(c.NotAfter):
		return ErrTrust.Withf("The %s of %s ended on %s.", what, name, c.NotAfter.UTC().Format(time.DateOnly))
	}
	roots, between, err := t.pools()
	if err != nil {
		return err
	}
	chains, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: t.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return ErrTrust.Withf("The %s of %s does not lead to the given root certificate.", what, name).Because(err)
	}
	if !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return allAllow(chain[1:], usage) }) {
		return ErrTrust.Withf("The %s of %s was issued by an authority that may not issue it.", what, name)
	}
	return nil
}

// requester checks the certificate with which a case was opened: it is for who the case says, signs mail or, in a drill, is
// an agent's, is valid now and chains to a root.
func (t trust) requester(c *record.SignedCase) error {
	r, cert := c.Requester, c.Requester.Certificate
	if c.Kind == record.CaseDrill && slices.ContainsFunc(cert.UnknownExtKeyUsage, api.OIDAgentSigning.Equal) {
		return t.certificate(r.Name, "certificate", cert, api.OIDAgentSigning)
	}
	switch {
	case commonName(cert) != r.Name && !slices.Contains(cert.EmailAddresses, r.Name):
		return ErrRequester.Withf("The case says that %s asks, with a certificate that is for %s.", r.Name, commonName(cert))
	case cert.IsCA || cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 || !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageEmailProtection):
		return ErrRequester.Withf("The certificate of %s, who asks, is not one to sign mail with.", r.Name)
	case t.now.Before(cert.NotBefore) || t.now.After(cert.NotAfter):
		return ErrRequester.Withf("The certificate of %s, who asks, is valid from %s until %s. Is this machine's clock right?", r.Name,
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	roots, between, err := t.pools()
	if err != nil {
		return err
	}
	opt := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: t.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	if _, err := cert.Verify(opt); err != nil {
		return ErrRequester.Withf("The certificate of %s, who asks, does not lead to the root certificate that this home trusts.", r.Name).Because(err)
	}
	return nil
}

// pools tells roots from what else the root file may hold: only what is signed by itself is a root.
func (t trust) pools() (roots, between *x509.CertPool, err error) {
	roots, between = x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range t.roots {
		if !isRoot(c) {
			between.AddCert(c)
			continue
		}
		roots.AddCert(c)
		found = true
	}
	for _, c := range t.between {
		between.AddCert(c)
	}
	if !found {
		return nil, nil, ErrTrust.Withf("No root certificate was given.")
	}
	return roots, between, nil
}

func isRoot(c *x509.Certificate) bool { return c.IsCA && c.CheckSignatureFrom(c) == nil }

// allAllow reports whether no issuer restricts what it certifies to other usages.
func allAllow(issuers []*x509.Certificate, usage asn1.ObjectIdentifier) bool {
	for _, c := range issuers {
		for _, e := range c.Extensions {
			if !e.Id.Equal(oidExtKeyUsage) {
				continue
			}
			var list []asn1.ObjectIdentifier
			if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 {
				return false
			}
			if !slices.ContainsFunc(list, usage.Equal) && !slices.ContainsFunc(list, oidAnyUsage.Equal) {
				return false
			}
		}
	}
	return true
}
