// Package clients writes what the mail programs of an organisation are set up with: the issuing certificates in the forms that
// programs, Windows and Exchange take, an Apple profile, Thunderbird's policies and the settings of Outlook.
//
// It computes and does nothing else: pages decide who gets which file, and no private key comes near it. What a setting means
// to a program, and how that is known, is in docs/portal.md.
package clients

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"github.com/sealpost/sealpost/cms/bundle"
)

// Policy says what mail programs are told beside the certificates. What is left out, they are not told.
type Policy struct {
	// Account is where people's mail is. With it, what phones and Macs install sets up the account too.
	Account Account `yaml:"account"`

	Sign    bool `yaml:"sign"`    // new mail is signed: in Outlook always, on phones unless somebody says otherwise
	Encrypt bool `yaml:"encrypt"` // new mail is encrypted, likewise; Outlook then sends none to people without a certificate

	// AddressBook is the directory in which mail programs look for recipients and their certificates.
	AddressBook AddressBook `yaml:"address_book"`
}

// Account is a mail account as programs reach it, with TLS throughout. People have their password asked by the program.
type Account struct {
	IMAP     string `yaml:"imap"`      // host of the mailboxes; empty means that no account is set up
	IMAPPort int    `yaml:"imap_port"` // 0 means 993
	SMTP     string `yaml:"smtp"`      // host that takes mail; empty means that of imap
	SMTPPort int    `yaml:"smtp_port"` // 0 means 587

	// Login is what people sign in there with: address (the default, the whole one), or local, what stands before the @.
	Login string `yaml:"login"`
}

// AddressBook is an LDAP directory as mail programs reach it.
type AddressBook struct {
	Name string `yaml:"name"` // as programs show it; empty means the organisation's
	URL  string `yaml:"url"`  // ldaps://host or ldap://host, with a port if need be; empty means that there is none
	Base string `yaml:"base"` // the entry below which people are: ou=people,dc=example,dc=com
}

// Validate returns every fault of the policy, each with its path within it, joined; nil if there is none.
func (p Policy) Validate() error {
	var faults []error
	say := func(at, what string) { faults = append(faults, fmt.Errorf("%s: %s", at, what)) }
	a := p.Account
	for at, host := range map[string]string{"account.imap": a.IMAP, "account.smtp": a.SMTP} {
		if host != "" && (!isHost(host) || strings.Contains(host, ":")) {
			say(at, "must be the name of a host")
		}
	}
	if a.IMAP == "" && a != (Account{}) {
		say("account.imap", "is missing")
	}
	for at, port := range map[string]int{"account.imap_port": a.IMAPPort, "account.smtp_port": a.SMTPPort} {
		if port < 0 || port > 65535 {
			say(at, "must lie between 0 and 65535")
		}
	}
	if a.Login != "" && a.Login != "address" && a.Login != "local" {
		say("account.login", "must be address or local")
	}
	if b := p.AddressBook; b != (AddressBook{}) {
		if u, err := url.Parse(b.URL); err != nil || (u.Scheme != "ldap" && u.Scheme != "ldaps") || !isHost(u.Hostname()) || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			say("address_book.url", "must be ldaps://host or ldap://host")
		}
		if b.Base == "" || strings.ContainsFunc(b.Base, unicode.IsControl) {
			say("address_book.base", "must be the name of an entry, such as ou=people,dc=example,dc=com")
		}
		if strings.ContainsFunc(b.Name, unicode.IsControl) {
			say("address_book.name", "must be one line")
		}
	}
	return errors.Join(faults...)
}

func isHost(s string) bool {
	ok := func(r rune) bool {
		return r == '.' || r == '-' || r == ':' || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) })
}

// Complete returns the account with what is left out filled in.
func (a Account) Complete() Account {
	if a.IMAP == "" {
		return Account{}
	}
	if a.IMAPPort == 0 {
		a.IMAPPort = 993
	}
	if a.SMTP == "" {
		a.SMTP = a.IMAP
	}
	if a.SMTPPort == 0 {
		a.SMTPPort = 587
	}
	if a.Login == "" {
		a.Login = "address"
	}
	return a
}

// Installation is what files are made of. Certificates is not empty.
type Installation struct {
	Organisation string
	Policy       Policy

	// Certificates are those that people's certificates are issued under, each once; roots among them.
	Certificates []*x509.Certificate
}

// Chains returns the certificates of several issuers, each once, those of the first first.
func Chains(chains ...[]*x509.Certificate) (out []*x509.Certificate) {
	seen := map[string]bool{}
	for _, chain := range chains {
		for _, c := range chain {
			if !seen[string(c.Raw)] {
				seen[string(c.Raw)] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// isRoot reports whether a certificate is its own issuer's.
func isRoot(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// Roots returns the certificates that have to be trusted.
func (i Installation) Roots() []*x509.Certificate { return i.which(true) }

// Issuing returns those between the roots and people.
func (i Installation) Issuing() []*x509.Certificate { return i.which(false) }

func (i Installation) which(root bool) (out []*x509.Certificate) {
	for _, c := range i.Certificates {
		if isRoot(c) == root {
			out = append(out, c)
		}
	}
	return out
}

// PEM returns all certificates, one after the other.
func (i Installation) PEM() []byte {
	var out bytes.Buffer
	for _, c := range i.Certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return out.Bytes()
}

// P7B returns all certificates as PKCS #7 without a signature.
func (i Installation) P7B() ([]byte, error) { return bundle.Write(i.Certificates) }
