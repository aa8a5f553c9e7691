package directory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// Config says where the directory is and how it is laid out.
//
// Whoever may write the attributes mail and proxyAddresses in the directory decides for which addresses certificates
// are made, and whoever may write the groups decides who has which role: give that right to nobody lightly, and never to
// the people themselves.
type Config struct {
	// Name is the directory's name in our records. The ids of persons hang on it: never change it.
	Name string `yaml:"name"`

	// Dialect is the kind of server: rfc4523 (OpenLDAP, 389 Directory Server; the default) or ad (Active Directory,
	// Samba).
	Dialect string `yaml:"dialect"`

	// URLs of the servers, tried in this order: ldaps://host[:port], ldap://host[:port] (with StartTLS, always) or
	// ldapi://%2Fpath%2Fof%2Fsocket. All must hold the same data; the first that answers is used until it fails.
	URLs []string `yaml:"urls"`

	// TrustFile holds the certificates (PEM) of the CAs that the servers' certificates must come from. Empty means those
	// that the operating system trusts.
	TrustFile string `yaml:"trust_file"`

	// Lookup is the account that reads people and groups. It needs to read, and search for, the attributes that the
	// dialect uses, also entryUUID or objectGUID, and no more.
	Lookup Account `yaml:"lookup"`

	// Publisher is the account that writes certificates: userCertificate and userSMIMECertificate of people (and their
	// objectClass, to add pkiUser, where entries are not inetOrgPerson), and the entries of issuers. It must be able to
	// search for people as Lookup does, and in OpenLDAP to read entryCSN. Empty means that nothing is ever written.
	Publisher Account `yaml:"publisher"`

	// People says which entries are people. Everybody in it has the role subscriber.
	People People `yaml:"people"`

	// AttributeNames are what the server calls userCertificate and userSMIMECertificate, where that differs from the dialect:
	// with ;binary or without. rfc4523 means userCertificate;binary and userSMIMECertificate, as OpenLDAP wants them, ad means
	// both without.
	AttributeNames []string `yaml:"attribute_names"`

	// HolderClass is the auxiliary class that an entry gets which has no class that allows these attributes. Empty means the
	// dialect's: pkiUser, and none in Active Directory.
	HolderClass string `yaml:"holder_class"`

	// Disabled are marks of entries whose people have left or are suspended, beside those of the dialect: passwords are
	// refused, and they have no roles.
	Disabled []Mark `yaml:"disabled"`

	// Roles says which groups' members have which role.
	Roles []RoleRule `yaml:"roles"`

	// Membership says where membership is written: search (in the groups; the default) or memberOf (in the attribute
	// memberOf of people, as the server keeps it, without nested groups).
	Membership string `yaml:"membership"`

	// Decoy is the name of an entry with a password that nobody knows, hashed like people's, and exempt from lockout.
	// When an unknown login is tried, its password is tried there, so that the answer takes as long as for a known one.
	// Empty means an entry that does not exist: a server with slow hashes then answers faster.
	Decoy string `yaml:"decoy"`

	// Authorities says where entries of certificate authorities may be written.
	Authorities Authorities `yaml:"authorities"`

	// Cache is how long what was read about a person may be used again, and so how long a new role, address or leaver may
	// go unnoticed. 0 means that the directory is asked each time. Signing in with a password always asks.
	Cache time.Duration `yaml:"cache"`

	// Watch is how often it is looked what has changed in the directory; 0 means 30s.
	Watch time.Duration `yaml:"watch"`

	// Connections is how many connections each of lookups, publishing and passwords uses at most; 0 means 8.
	Connections int `yaml:"connections"`

	ConnectTimeout time.Duration `yaml:"connect_timeout"` // bounds connecting to one server, with TLS and bind; 0 means 5s
	Timeout        time.Duration `yaml:"timeout"`         // bounds one operation; 0 means 10s

	// What has a yaml name is a section of the configuration file. What follows comes from whoever reads that.

	LookupPassword    string         `yaml:"-"` // content of lookup.password_file
	PublisherPassword string         `yaml:"-"` // content of publisher.password_file
	LookupProof       Proof          `yaml:"-"` // of a lookup account without a password
	PublisherProof    Proof          `yaml:"-"` // of such a publisher
	Trust             *x509.CertPool `yaml:"-"` // content of trust_file; nil means the system's

	DB  *pg.DB           `yaml:"-"`
	Now func() time.Time `yaml:"-"` // nil means time.Now
	Log *slog.Logger     `yaml:"-"` // nil discards
}

// People says which entries are people: those below base, at any depth, that match filter.
type People struct {
	Base   string `yaml:"base"`   // "ou=people,dc=example,dc=com"
	Filter string `yaml:"filter"` // "" means the dialect's: (objectClass=person), or users that are no computers
}

// RoleRule gives the members of a group a role. The attributes member and uniqueMember count, and in Active Directory
// nested groups too.
type RoleRule struct {
	Role  audit.Role `yaml:"role"`  // registrar, recovery-requester, recovery-agent, auditor or operator
	Group string     `yaml:"group"` // "cn=registrars,ou=groups,dc=example,dc=com"
}

// Authorities says where entries of certificate authorities may be written.
type Authorities struct {
	Base   string `yaml:"base"`   // at or below which they lie; "" means nowhere
	Create bool   `yaml:"create"` // true: an entry that is absent is created (its parent must exist)
}

// maxConnections bounds Config.Connections.
const maxConnections = 256

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// Validate returns every fault of the fields of the configuration file, each with its path, joined. It opens nothing.
func (c Config) Validate() error {
	var errs []error
	say := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if c.Name == "" || len(c.Name) > 64 {
		say("name", "must be a name of at most 64 bytes")
	}
	if _, ok := dialects[c.dialectName()]; !ok {
		say("dialect", "there is no dialect %q: use rfc4523 or ad", c.Dialect)
	}
	if len(c.URLs) == 0 {
		say("urls", "names no server")
	}
	for i, u := range c.URLs {
		if _, err := parseURL(u); err != nil {
			say(fmt.Sprintf("urls[%d]", i), "%v", err)
		}
	}
	dn := func(path, dn string) {
		if _, err := parseDN(dn); err != nil {
			say(path, "%v", err)
		}
	}
	c.Lookup.validate("lookup", c.URLs, say)
	if c.Publisher.IsSet() {
		c.Publisher.validate("publisher", c.URLs, say)
	}
	dn("people.base", c.People.Base)
	if _, err := ldap.CompileFilter(c.peopleFilter()); err != nil {
		say("people.filter", "is no LDAP filter: %v", err)
	}
	for _, optional := range [][2]string{{"decoy", c.Decoy}, {"authorities.base", c.Authorities.Base}} {
		if optional[1] != "" {
			dn(optional[0], optional[1])
		}
	}
	if c.Authorities.Create && c.Authorities.Base == "" {
		say("authorities.base", "is missing: entries are created below it")
	}
	for i, name := range c.AttributeNames {
		if _, ok := namedAttribute(name); !ok {
			say(fmt.Sprintf("attribute_names[%d]", i), "must be userCertificate or userSMIMECertificate, with or without ;binary")
		}
	}
	if c.HolderClass != "" && !attributeName.MatchString(c.HolderClass) {
		say("holder_class", "%q is no class's name", c.HolderClass)
	}
	c.validateRules(say, dn)
	return errors.Join(errs...)
}

func (c Config) validateRules(say func(path, format string, args ...any), dn func(path, dn string)) {
	for i, m := range c.Disabled {
		at := fmt.Sprintf("disabled[%d]", i)
		if !attributeName.MatchString(m.Attribute) {
			say(at+".attribute", "%q is no attribute's name", m.Attribute)
		}
		if (m.Value == "") == (m.Bits == 0) {
			say(at, "needs exactly one of value and bits")
		}
	}
	roles := []audit.Role{audit.Registrar, audit.RecoveryRequester, audit.RecoveryAgent, audit.Auditor, audit.Operator}
	for i, r := range c.Roles {
		at := fmt.Sprintf("roles[%d]", i)
		if r.Role == audit.Subscriber {
			say(at+".role", "everybody that people matches is a subscriber; narrow people.filter instead")
		} else if !slices.Contains(roles, r.Role) {
			say(at+".role", "there is no role %q: use registrar, recovery-requester, recovery-agent, auditor or operator", r.Role)
		}
		dn(at+".group", r.Group)
	}
	if c.Membership != "" && c.Membership != "search" && c.Membership != "memberOf" {
		say("membership", "must be search or memberOf")
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		say("connections", "must lie between 0 and %d", maxConnections)
	}
	if c.Cache < 0 {
		say("cache", "is negative")
	}
	if c.Watch < 0 {
		say("watch", "is negative")
	}
	if c.ConnectTimeout < 0 {
		say("connect_timeout", "is negative")
	}
	if c.Timeout < 0 {
		say("timeout", "is negative")
	}
}

func (c Config) dialectName() string {
	if c.Dialect == "" {
		return "rfc4523"
	}
	return c.Dialect
}

func (c Config) peopleFilter() string {
	if c.People.Filter == "" {
		return dialects[c.dialectName()].people
	}
	return c.People.Filter
}

// endpoint is where a server listens.
type endpoint struct {
	scheme  string // ldaps, ldap, ldapi
	address string // host:port, or the socket's path
	host    string // what the server's certificate must be for
}

func parseURL(s string) (endpoint, error) {
	const form = "must be ldaps://host[:port], ldap://host[:port] or ldapi://%2Fpath"
	scheme, rest, _ := strings.Cut(s, "://")
	if scheme == "ldapi" {
		path, err := url.PathUnescape(rest)
		if err != nil || path == "" || path[0] != '/' {
			return endpoint{}, errors.New(form)
		}
		return endpoint{scheme: scheme, address: path}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, errors.New(form)
	}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if port == "" || u.Hostname() == "" {
		return endpoint{}, errors.New(form)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return endpoint{scheme: u.Scheme, address: net.JoinHostPort(u.Hostname(), port), host: u.Hostname()}, nil
}
