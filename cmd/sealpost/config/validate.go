package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/ocsp"
)

var issuerID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate returns every fault of the file's values, each with its path, joined; nil if there is none. It opens
// nothing.
func (c *Config) Validate() error {
	var f faults
	f.need("organisation.name", c.Organisation.Name)
	f.httpURL("public_url", c.PublicURL)
	f.either("database", "url", c.Database.URL, "url_file", c.Database.URLFile)
	f.either("unlock", "passphrase_file", c.Unlock.PassphraseFile, "passphrase_env", c.Unlock.PassphraseEnv)
	c.validateListen(&f)
	c.validateIssuers(&f)
	c.validateArchive(&f)
	c.validateMail(&f)
	c.validateTestMail(&f)
	f.add("directory", c.Directory.Validate())
	f.add("leavers", c.Leavers.Validate())
	f.add("fleet", c.Fleet.Validate())
	c.validateGAL(&f)
	c.validateFinding(&f)
	f.add("limits", c.Limits.Validate())
	f.add("portal.sessions", c.Portal.Sessions.Validate())
	f.add("portal.openid", c.Portal.OpenID.Validate())
	f.add("portal.mail", c.Portal.Mail.Validate())
	f.add("device_login", c.DeviceLogin.Validate(c.Portal.OpenID))
	f.add("kerberos", c.Kerberos.Validate(c.Directory.Dialect))
	for _, a := range []struct {
		path, value string
		needed      bool
	}{{"portal.url", c.Portal.URL, c.Portal.OpenID.Configured() || c.Portal.Certificates != ""}, {"portal.certificates", c.Portal.Certificates, false}} {
		if a.value == "" && !a.needed {
			continue
		}
		if u, err := url.Parse(a.value); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			f.say(a.path, "must be https://host or https://host:port")
		}
	}
	c.validateSchedule(&f)
	c.validatePoints(&f)
	f.add("ocsp", ocsp.Config{Validity: time.Duration(c.OCSP.Validity), MaxAge: time.Duration(c.OCSP.MaxAge), Keep: c.OCSP.Keep}.Validate())
	if c.Recovery.Longest < 0 || c.Recovery.Silence < 0 {
		f.say("recovery", "needs times that are not negative")
	}
	c.validatePublications(&f)
	f.need("audit.origin", c.Audit.Origin)
	f.need("audit.key", c.Audit.Key)
	if len(c.Audit.Files)+len(c.Audit.Syslog)+len(c.Audit.Addresses) == 0 {
		f.say("audit", "names no place outside the database where checkpoints are kept: files, syslog or addresses")
	}
	for i, p := range c.Enrolment.Plans {
		f.add(fmt.Sprintf("enrolment.plans[%d].protection", i), p.Protection.Validate(p.Signing != ""))
		for place, file := range map[string]string{"tpm": c.Enrolment.Attestation.TPMRoots, "token": c.Enrolment.Attestation.YubiKeyRoots} {
			if p.Protection.Attested && slices.Contains(p.Protection.Places, place) && file == "" {
				f.say(fmt.Sprintf("enrolment.plans[%d].protection.attested", i), fmt.Sprintf("keys in a %s need enrolment.attestation.%s_roots", place, map[string]string{"tpm": "tpm", "token": "yubikey"}[place]))
			}
		}
	}
	if r := c.Enrolment.Renewal; r.From < 0 || r.From >= 1 || r.Until < 0 || r.Until >= 1 || r.Until != 0 && r.Until <= r.From {
		f.say("enrolment.renewal", "from and until must lie between 0 and 1, and from before until")
	}
	if d := c.Enrolment.Old.RevokeAfterDays; d < 0 || d > 3650 {
		f.say("enrolment.old.revoke_after_days", "must lie between 0 and 3650")
	}
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		f.say("log.level", "must be debug, info, warn or error")
	}
	return errors.Join(f...)
}

func (c *Config) validateListen(f *faults) {
	f.address("listen.public", c.Listen.Public)
	f.address("listen.api", c.Listen.API)
	if (c.Listen.Certificate == "") != (c.Listen.Key == "") || (len(c.Listen.Hosts) == 0) == (c.Listen.Certificate == "") {
		f.say("listen", "needs either hosts, or certificate and key")
	}
	if c.Listen.Portal != "" {
		f.address("listen.portal", c.Listen.Portal)
	}
	if c.Listen.Metrics != "" {
		f.address("listen.metrics", c.Listen.Metrics)
	}
}

func (c *Config) validateFinding(f *faults) {
	f.add("finding.store", c.Finding.Store.Validate())
	f.add("finding.vcard", c.Finding.VCard.Validate())
	f.add("finding.smimea", c.Finding.SMIMEA.Validate())
	if c.Finding.Burst < 0 {
		f.say("finding.burst", "must not be negative")
	}
}

func (c *Config) validateSchedule(f *faults) {
	if c.CRL.Lifetime <= c.CRL.Period {
		f.say("crl.lifetime", "must be longer than crl.period, or lists run out before the next one")
	}
	if d := c.CRL.DeltaLifetime; c.CRL.DeltaPeriod > 0 && (d <= c.CRL.DeltaPeriod || d > c.CRL.Lifetime) {
		f.say("crl.delta_lifetime", "must be longer than crl.delta_period, and no longer than crl.lifetime")
	}
	if c.CRL.Lifetime > c.CRL.Period {
		f.add("crl", c.CRL.Schedule().Check())
	}
}

func (c *Config) validatePublications(f *faults) {
	for i, p := range c.Publications {
		at := fmt.Sprintf("publications[%d]", i)
		if !strings.HasPrefix(p.Path, "/") {
			f.say(at+".path", "must begin with /")
		}
		f.need(at+".file", p.File)
		f.need(at+".type", p.Type)
	}
}

func (c *Config) validateIssuers(f *faults) {
	if len(c.Issuers) == 0 {
		f.say("issuers", "names no issuer; `sealpost init` makes one")
	}
	seen := map[string]bool{}
	for i, is := range c.Issuers {
		at := fmt.Sprintf("issuers[%d]", i)
		if !issuerID.MatchString(is.ID) {
			f.say(at+".id", "must be 1 to 63 lower-case letters, digits and hyphens")
		}
		if seen[is.ID] {
			f.say(at+".id", fmt.Sprintf("%q is used twice", is.ID))
		}
		seen[is.ID] = true
		f.need(at+".certificate", is.Certificate)
		f.need(at+".key", is.Key)
		if is.Partitions < 0 || is.Partitions > maxPartitions {
			f.say(at+".partitions", fmt.Sprintf("must lie between 0 and %d", maxPartitions))
		}
		if (is.LDAP.URL == "") != (is.LDAP.DN == "") {
			f.say(at+".ldap", "needs both url and dn, or neither")
		}
		domain := is.LDAP.URL == "ldap:///" && c.Directory.Dialect == "ad"
		if u, err := url.Parse(is.LDAP.URL); is.LDAP.URL != "" && !domain && (err != nil || u.Scheme != "ldap" || u.Host == "") {
			f.say(at+".ldap.url", "must be ldap://host; relying parties cannot check a certificate by a connection that needs one")
		}
	}
	if c.Enrolment.Issuer != "" && !seen[c.Enrolment.Issuer] {
		f.say("enrolment.issuer", fmt.Sprintf("there is no issuer %q", c.Enrolment.Issuer))
	}
}

// validatePoints checks what can be told without looking at the places.
func (c *Config) validatePoints(f *faults) {
	seen := map[string]bool{"http": true}
	for _, i := range c.Issuers {
		seen["ldap-"+i.ID] = true
	}
	for n, p := range c.CRL.Points {
		at := fmt.Sprintf("crl.points[%d]", n)
		if !crl.ValidPointName(p.Name) || seen[p.Name] {
			f.say(at+".name", "must be a name of its own of 1 to 48 lower-case letters, digits and hyphens; http and ldap-<issuer> are taken")
		}
		seen[p.Name] = true
		kinds := 0
		for _, there := range []bool{p.Folder != nil, p.FTP != nil, p.S3 != nil} {
			if there {
				kinds++
			}
		}
		if kinds != 1 {
			f.say(at, "needs one of folder, ftp and s3")
		}
		for _, id := range p.Issuers {
			if !slices.ContainsFunc(c.Issuers, func(i Issuer) bool { return i.ID == id }) {
				f.say(at+".issuers", fmt.Sprintf("there is no issuer %q", id))
			}
		}
		if u, err := url.Parse(p.URL); p.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ftp") {
			f.say(at+".url", "must be an address that begins with http, https or ftp")
		}
		if p.InCertificates && !strings.HasPrefix(p.URL, "http:") && !strings.HasPrefix(p.URL, "ftp:") {
			f.say(at+".in_certificates", "needs a url that begins with http: or ftp:")
		}
	}
}

// maxPartitions bounds issuers[].partitions: each is a list to sign and to publish.
const maxPartitions = 1024

func (c *Config) validateArchive(f *faults) {
	a := c.Archive
	if len(a.RosterPins) == 0 { // none yet: there is no archive, and the registry refuses plans that need one
		return
	}
	if len(a.RosterPins) > 2 {
		f.say("archive.roster_pins", "must hold one hash, or two while agents change")
	}
	for i, p := range a.RosterPins {
		if b, err := hex.DecodeString(p); err != nil || len(b) != 32 {
			f.say(fmt.Sprintf("archive.roster_pins[%d]", i), "must be 64 hexadecimal digits")
		}
	}
	if len(a.WrappingKeys) == 0 {
		f.say("archive.wrapping_keys", "names no file; `sealpost init` makes one")
	}
	for i, k := range a.WrappingKeys {
		at := fmt.Sprintf("archive.wrapping_keys[%d]", i)
		f.need(at, k)
		if slices.Contains(a.WrappingKeys[:i], k) {
			f.say(at, fmt.Sprintf("%q is there twice", k))
		}
	}
	f.need("archive.receipt_key", a.ReceiptKey)
}

func (c *Config) validateMail(f *faults) {
	m := c.Mail
	if m.Host == "" {
		if !reflect.ValueOf(m).IsZero() {
			f.say("mail.host", "is missing; without it nobody is told by mail")
		}
		return
	}
	f.add("mail", c.MailServer().Validate())
	if (m.User == "") != (m.PasswordFile == "") {
		f.say("mail", "needs both user and password_file, or neither")
	}
	for i, o := range m.Operators {
		if a, err := netmail.ParseAddress(o); err != nil || a.Address != o || slices.Contains(m.Operators[:i], o) {
			f.say(fmt.Sprintf("mail.operators[%d]", i), "must be a mail address without a name, such as pki@example.com, that is there once")
		}
	}
	if len(m.Contact) > maxContact || strings.ContainsFunc(m.Contact, unicode.IsControl) {
		f.say("mail.contact", fmt.Sprintf("must be one line of at most %d bytes", maxContact))
	}
}

// maxContact bounds mail.contact, in bytes.
const maxContact = 200

// MailServer returns what the file says of the mail server, without what lies in other files.
func (c *Config) MailServer() mail.Config {
	m := c.Mail
	return mail.Config{Host: m.Host, Port: m.Port, Security: mail.Security(m.TLS), User: m.User, From: m.From}
}

// faults collects what is wrong.
type faults []error

func (f *faults) say(path, what string) { *f = append(*f, fmt.Errorf("%s: %s", path, what)) }

// add takes a fault, or several that were joined, each with its path below this one.
func (f *faults) add(path string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			f.add(path, e)
		}
	} else if err != nil {
		*f = append(*f, fmt.Errorf("%s.%w", path, err))
	}
}

func (f *faults) need(path, value string) {
	if value == "" {
		f.say(path, "is missing")
	}
}

func (f *faults) either(path, a, av, b, bv string) {
	if (av == "") == (bv == "") {
		f.say(path, fmt.Sprintf("needs exactly one of %s and %s", a, b))
	}
}

func (f *faults) address(path, v string) {
	if _, _, err := net.SplitHostPort(v); err != nil {
		f.say(path, "must be host:port")
	}
}

func (f *faults) httpURL(path, v string) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		f.say(path, "must be http://host/…: relying parties cannot check a certificate by a connection that needs one")
	}
}
