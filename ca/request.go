package ca

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Organisation is the organisation in the subjects of certificates.
type Organisation struct {
	// Name is the legal name (organizationName).
	Name string `yaml:"name"`
	// Identifier is its number in a register (organizationIdentifier), such as NTRDE-HRB12345; may be empty.
	Identifier string `yaml:"identifier"`
	// Country is its two-letter code; may be empty.
	Country string `yaml:"country"`
}

// Subject is who or what a certificate names, as the directory or identity provider has it.
type Subject struct {
	CommonName   string `json:"cn,omitempty"`
	GivenName    string `json:"gn,omitempty"`
	Surname      string `json:"sn,omitempty"`
	SerialNumber string `json:"serial,omitempty"` // the employee's number, which tells namesakes apart
}

// Request asks for one certificate. Names in it have been looked up, never taken from whoever asks.
type Request struct {
	ID        uuid.UUID `json:"id"`      // the enrolment's: with Profile, what makes Prepare idempotent
	Profile   string    `json:"profile"` // its name
	Person    uuid.UUID `json:"person"`  // whose certificate; uuid.Nil for a component's
	Subject   Subject   `json:"subject"`
	Mailboxes []string  `json:"mailboxes,omitempty"` // primary first
	DNSNames  []string  `json:"dns,omitempty"`
	PublicKey []byte    `json:"key"` // SubjectPublicKeyInfo, DER
}

// Upper bounds of subject attributes, in characters (RFC 5280, appendix A).
const (
	maxCommonName   = 64
	maxName         = 64 // given name and surname: ITU-T allows 64, RFC 5280 more
	maxSerialNumber = 64
	maxOrganisation = 64
	maxHosts        = 32
)

// asked is a Request that has been read against its profile.
type asked struct {
	Request
	profile   *Profile
	key       publicKey
	mailboxes []Mailbox
	hosts     []string
	subject   []byte // Name, DER
	digest    [sha256.Size]byte
	partition int // whose list the certificate will name; 0: none
}

// read checks a request against its profile and the name policy.
func (a *Authority) read(r Request) (*asked, error) {
	p := a.profiles[r.Profile]
	if p == nil {
		return nil, ErrUnknownProfile.Withf("There is no certificate profile %q.", clip(r.Profile))
	}
	if r.ID == uuid.Nil {
		return nil, ErrRequest.Withf("The certificate request has no id.")
	}
	out := &asked{Request: r, profile: p}
	if err := out.readNames(); err != nil {
		return nil, err
	}
	if err := a.names.allow(out.mailboxes, out.hosts); err != nil {
		return nil, err
	}
	var err error
	if out.key, err = parseKey(r.PublicKey); err != nil {
		return nil, err
	}
	if p.encoded.keyUsage[out.key.algorithm] == nil {
		return nil, ErrKeyNotAllowed.Withf("The profile %s does not allow %s keys.", p.name, out.key.algorithm)
	}
	if out.subject, err = a.subject(out); err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("read request %s: %w", r.ID, err)
	}
	out.digest = sha256.Sum256(b)
	return out, nil
}

func (q *asked) readNames() error {
	p := q.profile
	if len(q.Request.Mailboxes) > maxMailboxes || len(q.DNSNames) > maxHosts {
		return ErrRequest.Withf("A certificate holds at most %d mail addresses and %d host names.", maxMailboxes, maxHosts)
	}
	seen := make(map[string]bool)
	for _, s := range q.Request.Mailboxes {
		m, err := ParseMailbox(s)
		if err != nil {
			return err
		}
		if !seen[m.String()] {
			seen[m.String()] = true
			q.mailboxes = append(q.mailboxes, m)
		}
	}
	for _, s := range q.DNSNames {
		h, err := hostName(strings.TrimPrefix(s, "*."))
		if err != nil {
			return ErrDNSName.Withf("%q is not a host name.", clip(s)).Because(err)
		}
		if strings.HasPrefix(s, "*.") {
			h = "*." + h
		}
		if !seen[h] {
			seen[h] = true
			q.hosts = append(q.hosts, h)
		}
	}
	if err := p.mailboxes.fits(len(q.mailboxes)); err != nil {
		return ErrRequest.Withf("The profile %s: %v mail addresses.", p.name, err)
	}
	if err := p.hosts.fits(len(q.hosts)); err != nil {
		return ErrRequest.Withf("The profile %s: %v host names.", p.name, err)
	}
	return nil
}

func (p presence) fits(n int) error {
	switch {
	case p == required && n == 0:
		return fmt.Errorf("needs")
	case p == forbidden && n > 0:
		return fmt.Errorf("does not allow")
	default:
		return nil
	}
}

// subject returns the Name of a certificate: one attribute to a set, from the country down to the person, so that
// RFC 4514 shows the person first.
func (a *Authority) subject(q *asked) ([]byte, error) {
	p := q.profile
	var rdns pkix.RDNSequence
	add := func(oid asn1.ObjectIdentifier, value string) {
		if value != "" {
			rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}})
		}
	}
	if p.organisation {
		add(oidCountry, a.organisation.Country)
		add(oidOrganization, a.organisation.Name)
		add(oidOrganizationID, a.organisation.Identifier)
	}
	if p.personalName {
		add(oidSurname, q.Subject.Surname)
		add(oidGivenName, q.Subject.GivenName)
		add(oidSerialNumber, q.Subject.SerialNumber)
	}
	cn, err := q.commonName()
	if err != nil {
		return nil, err
	}
	add(oidCommonName, cn)
	for _, f := range []struct {
		what, value string
		most        int
	}{{"name", cn, maxCommonName}, {"given name", q.Subject.GivenName, maxName}, {"surname", q.Subject.Surname, maxName},
		{"serial number", q.Subject.SerialNumber, maxSerialNumber}} {
		if err := attribute(f.what, f.value, f.most); err != nil {
			return nil, err
		}
	}
	der, err := asn1.Marshal(rdns)
	if err != nil {
		return nil, ErrSubject.Because(err)
	}
	return der, nil
}

func (q *asked) commonName() (string, error) {
	switch q.profile.commonName {
	case "name":
		if q.Subject.CommonName == "" {
			return "", ErrSubject.Withf("The profile %s needs a name.", q.profile.name)
		}
		return q.Subject.CommonName, nil
	case "mailbox":
		// A longer address cannot be a common name; it stands among the alternative names in any case.
		if len(q.mailboxes) > 0 && q.mailboxes[0].ascii() && len(q.mailboxes[0].String()) <= maxCommonName {
			return q.mailboxes[0].String(), nil
		}
	}
	return "", nil
}

// attribute checks one value of a subject (S/MIME BR §7.1.4.2: no blanks around it, no placeholder).
func attribute(what, value string, most int) error {
	switch {
	case value == "":
		return nil
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return ErrSubject.Withf("The %s holds characters that are not text.", what)
	case utf8.RuneCountInString(value) > most:
		return ErrSubject.Withf("The %s has more than %d characters.", what, most)
	case what == "serial number" && !printableString(value):
		return ErrSubject.Withf("The serial number may hold letters, digits, blanks and '()+,-./:=? alone.")
	case strings.TrimSpace(value) != value:
		return ErrSubject.Withf("The %s begins or ends with a blank.", what)
	case strings.Trim(value, "-._ ") == "" || strings.EqualFold(value, "n/a"):
		return ErrSubject.Withf("The %s is a placeholder.", what)
	}
	return nil
}

// printableString reports whether s is a PrintableString, which a serial number must be (RFC 5280, appendix A).
func printableString(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 '()+,-./:=?") == ""
}

// check reports what is wrong with the organisation.
func (o Organisation) check() []error {
	var errs []error
	for what, v := range map[string]string{"name": o.Name, "identifier": o.Identifier} {
		if err := attribute(what, v, maxOrganisation); err != nil {
			errs = append(errs, ErrConfig.Withf("organisation.%s: %v", what, err))
		}
	}
	if c := o.Country; c != "" && (len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		errs = append(errs, ErrConfig.Withf("organisation.country: %q is not a code of two capital letters", c))
	}
	return errs
}
