package directory

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// State is what a Result says of a thing.
type State string

// The states.
const (
	Good    State = "good"
	Warning State = "warning" // it works, and should be otherwise
	Fault   State = "fault"
)

// Result is what trying one thing of a directory found.
type Result struct {
	Thing string // what was tried: "server ldaps://ldap.example.com"
	State State
	Says  string // for the directory's administrator: what was found and, unless it is good, what to do
}

// Tried says what a directory is tried out for.
type Tried struct {
	Attributes []Attribute          // that are read and written
	Finder     *Finder              // nil: entries are found by their ids
	Belongs    func(m string) bool  // whether an entry with this address is wanted; nil: any
	Probe      map[Attribute][]byte // a value of each attribute that no entry has; it is never left there
}

// trial is a directory being tried out.
type trial struct {
	*Directory
	Tried
	ctx     context.Context
	results []Result
	faults  int
}

// Try tries out end to end what publishing needs: every server, both accounts, what they see and may write. It changes nothing:
// what it writes is sent in one modification with the removal of a value that is not there, which a server must refuse as a
// whole (RFC 4511 §4.6), and the removal comes first. Servers that tell an account's rights (Active Directory) are asked.
func (d *Directory) Try(ctx context.Context, what Tried) []Result {
	t := &trial{Directory: d, Tried: what, ctx: ctx}
	for n, e := range d.endpoints {
		t.server(e, n == 0 || !t.reached())
	}
	return t.results
}

// reached reports whether a server has been tried further than its accounts.
func (t *trial) reached() bool {
	for _, r := range t.results {
		if strings.HasPrefix(r.Thing, "people") {
			return true
		}
	}
	return false
}

func (t *trial) say(state State, thing, says string, args ...any) bool {
	if state == Fault {
		t.faults++
	}
	t.results = append(t.results, Result{thing, state, fmt.Sprintf(says, args...)})
	return state != Fault
}

// server tries one server; all of it, or whether it may be used like the first.
func (t *trial) server(e endpoint, whole bool) {
	name := e.scheme + "://" + e.address
	if !t.connect(name, e) {
		return
	}
	reader := t.account(name, "lookup", t.Lookup.String(), t.lookup, e)
	if reader == nil {
		return
	}
	defer reader.close()
	if !t.base(name, reader) {
		return
	}
	var p *people
	if whole {
		t.schema(reader)
		p = t.people(reader)
	} else {
		p = t.first(reader)
	}
	if t.publisher == nil {
		t.say(Fault, "account publisher", "No account that writes is configured. Set publisher.dn and publisher.password_file.")
		return
	}
	writer := t.account(name, "publisher", t.Publisher.String(), t.publisher, e)
	if writer == nil {
		return
	}
	defer writer.close()
	if p != nil {
		t.rights(name, reader, writer, *p)
	}
}

// dialOne connects to one server as a pool's account.
func (t *trial) dialOne(p *pool, e endpoint, bind bool) (*conn, error) {
	one := *p.dialer
	one.endpoints, one.good = []endpoint{e}, new(atomic.Int64)
	if !bind {
		one.bind = nil
	}
	return one.dial(t.ctx)
}

// connect tries to reach a server, and the trust in its certificate.
func (t *trial) connect(name string, e endpoint) bool {
	c, err := t.dialOne(t.lookup, e, false)
	if err != nil {
		return t.say(Fault, "server "+name, "%s", t.unreached(e, err))
	}
	defer c.close()
	state, ok := c.TLSConnectionState()
	if !ok {
		return t.say(Good, "server "+name, "It answers, on a socket of this machine.")
	}
	ends := state.PeerCertificates[0].NotAfter
	if left := ends.Sub(t.Now()); left < 14*24*time.Hour {
		return t.say(Warning, "server "+name, "It answers, but its certificate ends on %s. Renew it.", ends.UTC().Format(time.DateOnly))
	}
	return t.say(Good, "server "+name, "It answers; its certificate is trusted, and ends on %s.", ends.UTC().Format(time.DateOnly))
}

// unreached says why a server was not reached.
func (t *trial) unreached(e endpoint, err error) string {
	trust := "trust_file"
	if t.TrustFile == "" {
		trust = "trust_file (none is configured: the operating system's CAs count)"
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	text := err.Error()
	switch {
	case errors.As(err, &dns) && !dns.IsNotFound:
		return fmt.Sprintf("The DNS does not tell the address of %s: %v.", e.host, dns)
	case errors.As(err, &dns):
		return fmt.Sprintf("There is no host %s in the DNS. Correct urls.", e.host)
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return fmt.Sprintf("Its certificate was issued by %q, which is not in %s. Put the certificate of that CA there.", unknown.Cert.Issuer, trust)
	case strings.Contains(text, "unknown authority"):
		return fmt.Sprintf("Its certificate was issued by a CA that is not in %s. Put the certificate of that CA there.", trust)
	case errors.As(err, &host), strings.Contains(text, "certificate is valid for"), strings.Contains(text, "doesn't contain any IP SANs"):
		return fmt.Sprintf("Its certificate is not for %s. Use a name in urls that is in the certificate, or have one issued with this name.", e.host)
	case errors.As(err, &invalid), strings.Contains(text, "certificate has expired"):
		return fmt.Sprintf("Its certificate is not accepted: %v. Renew it.", rootOf(err))
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such file"):
		return fmt.Sprintf("Nothing listens at %s. Start the server, or correct urls.", e.address)
	case e.scheme == "ldap" && strings.Contains(text, "StartTLS"):
		return fmt.Sprintf("It does not offer StartTLS: %v. Give it a certificate, or use ldaps:// in urls; passwords are never sent in the clear.", rootOf(err))
	case e.scheme == "ldaps" && (strings.Contains(text, "EOF") || strings.Contains(text, "first record does not look like a TLS handshake")):
		return fmt.Sprintf("%s does not speak TLS. Use ldap:// in urls, with StartTLS, or the port of LDAPS.", e.address)
	default:
		return fmt.Sprintf("It does not answer: %v. Look at the network and firewalls between, and at the server.", rootOf(err))
	}
}

// rootOf returns the innermost error.
func rootOf(err error) error {
	for {
		var next error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); len(list) > 0 {
				next = list[0]
			}
		}
		if next == nil {
			return err
		}
		err = next
	}
}

// account tries to bind an account at a server, and returns the connection.
func (t *trial) account(name, what, dn string, p *pool, e endpoint) *conn {
	c, err := t.dialOne(p, e, true)
	thing := fmt.Sprintf("account %s at %s", what, name)
	shown := "the password in " + what + ".password_file"
	if what == "lookup" && t.Lookup.PasswordFile == "" || what == "publisher" && t.Publisher.PasswordFile == "" {
		shown = "what it shows who it is with, " + what + ".certificate or " + what + ".keytab"
	}
	switch c := code(err); {
	case err == nil:
		t.say(Good, thing, "%s is let in.", dn)
	case c == ldap.LDAPResultInvalidCredentials:
		t.say(Fault, thing, "The server does not let %s in. Check that the entry is there, that the account is not locked or expired, and %s.", dn, shown)
	case c == ldap.LDAPResultConfidentialityRequired || c == ldap.LDAPResultStrongAuthRequired:
		t.say(Fault, thing, "The server does not let %s in on this connection: %v. Use ldaps://.", dn, rootOf(err))
	default:
		t.say(Fault, thing, "The server does not let %s in: %v.", dn, rootOf(err))
	}
	return c
}

// base tries whether the lookup account sees where people are.
func (t *trial) base(name string, c *conn) bool {
	err := t.run(c, func(l *ldap.Conn) error { return exists(l, t.People.Base) })
	thing := "base " + t.People.Base
	switch {
	case err == nil:
		return t.say(Good, thing, "It is there, at %s.", name)
	case code(err) == ldap.LDAPResultReferral:
		return t.say(Fault, thing, "%s refers to another server for it. Put a server into urls that holds it.", name)
	case code(err) == ldap.LDAPResultNoSuchObject || code(err) == ldap.LDAPResultInsufficientAccessRights:
		return t.say(Fault, thing, "%s has no such entry, or %s may not see it. Correct people.base, or give the account the right to read the entry.", name, t.Lookup.String())
	default:
		return t.say(Fault, thing, "%s does not show it: %v.", name, rootOf(err))
	}
}

func (t *trial) run(c *conn, fn func(*ldap.Conn) error) error {
	return c.run(t.ctx, t.lookup.timeout, fn)
}
