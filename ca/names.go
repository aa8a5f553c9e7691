package ca

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/smallstep/certificates/policy"
)

// NamePolicy says which domains this authority certifies names in. The zero policy allows none.
type NamePolicy struct {
	// MailDomains are the domains whose addresses may stand in a certificate: "example.com" allows exactly that domain,
	// not its subdomains. A full address allows that one.
	MailDomains []string `yaml:"mail_domains"`
	// ExceptMail are addresses, or domains, that may not, although MailDomains allows them.
	ExceptMail []string `yaml:"except_mail"`
	// Hosts are the names that server-tls certificates may hold: "*.example.com" allows every name one level below.
	Hosts []string `yaml:"hosts"`
}

// names is a NamePolicy, checked.
type names struct {
	mail  *policy.NamePolicyEngine // nil allows none
	hosts *policy.NamePolicyEngine // nil allows none

	sampleMail, sampleHost string // names that are allowed, for a specimen; empty: none
}

func (p NamePolicy) check() (*names, error) {
	n := &names{}
	if len(p.MailDomains) > 0 {
		if n.sampleMail = p.MailDomains[0]; !strings.Contains(n.sampleMail, "@") {
			n.sampleMail = "alex.example@" + n.sampleMail
		}
	}
	if len(p.Hosts) > 0 {
		n.sampleHost = strings.Replace(p.Hosts[0], "*", "server", 1)
	}
	var errs []error
	var err error
	if len(p.MailDomains) > 0 {
		n.mail, err = policy.New(policy.WithPermittedEmailAddresses(p.MailDomains...), policy.WithExcludedEmailAddresses(p.ExceptMail...))
		if err != nil {
			errs = append(errs, ErrConfig.Withf("names.mail_domains: %v", err))
		}
	}
	if len(p.Hosts) > 0 {
		n.hosts, err = policy.New(policy.WithPermittedDNSDomains(p.Hosts...))
		if err != nil {
			errs = append(errs, ErrConfig.Withf("names.hosts: %v", err))
		}
	}
	return n, errors.Join(errs...)
}

// allow returns ErrNameNotAllowed unless every name is allowed.
func (n *names) allow(mailboxes []Mailbox, hosts []string) error {
	for _, m := range mailboxes {
		address := m.key() // the engine knows its own rules in lower case, and compares exactly
		if !m.ascii() {
			// The engine knows rfc822Names alone. RFC 9598 §6 applies constraints to the domain.
			address = "x@" + m.Domain
		}
		if n.mail == nil || n.mail.IsX509CertificateAllowed(&x509.Certificate{EmailAddresses: []string{address}}) != nil {
			return ErrNameNotAllowed.Withf("This authority does not certify the address %s. An operator can allow its domain in the name policy.", m)
		}
	}
	for _, h := range hosts {
		if n.hosts == nil || n.hosts.IsDNSAllowed(h) != nil {
			return ErrNameNotAllowed.Withf("This authority does not certify the host %s. An operator can allow it in the name policy.", h)
		}
	}
	return nil
}
