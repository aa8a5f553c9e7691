package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
)

// GAL says how people's directory entries are kept as they should be, and in which directories beside the one above their
// certificates are shown too (docs/gal.md).
type GAL struct {
	gal.Policy `yaml:",inline"`

	// Targets are further directories in which people's certificates are shown: another forest, or an outside directory for
	// partners. People are not looked up there, and nobody logs in there.
	Targets []Target `yaml:"targets"`

	Contacts Contacts `yaml:"contacts"`
}

// Contacts says where people outside the company have entries, in which certificates of theirs are shown that a registrar
// verified (docs/gal.md).
type Contacts struct {
	// Base is the place in the directory (section directory, with its accounts) below which their entries are, and no
	// people's: "ou=contacts,dc=example,dc=com". Empty means that there are none.
	Base string `yaml:"base"`

	// Find is the filter by which the entry of a mail address is found, {mailbox} standing for the address, as
	// gal.targets[].find. Empty means (&(objectClass=person)(mail={mailbox})), and with dialect ad
	// (&(objectClass=contact)(|(mail={mailbox})(proxyAddresses=smtp:{mailbox}))). Exactly one entry must match.
	Find string `yaml:"find"`

	// TrustFile holds the certificates (PEM) of the authorities that contacts' certificates must come from. Empty means
	// that a registrar's word is enough: the record says which it was.
	TrustFile string `yaml:"trust_file"`
}

// Finder returns how contacts' entries are found in a directory of a dialect.
func (c Contacts) Finder(dialect string) (*directory.Finder, error) {
	find := c.Find
	switch {
	case find != "":
	case dialect == "ad":
		find = "(&(objectClass=contact)(|(mail={mailbox})(proxyAddresses=smtp:{mailbox})))"
	default:
		find = "(&(objectClass=person)(mail={mailbox}))"
	}
	f, err := directory.NewFinder(find)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return f, nil
}

// Directory returns the configuration of the directory whose people are the contacts.
func (c Contacts) Directory(home directory.Config) directory.Config {
	home.People = directory.People{Base: c.Base, Filter: "(objectClass=*)"}
	return home
}

// OwnAddresses are the company's own mail domains, and single addresses, as names.mail_domains has them.
func (c *Config) OwnAddresses() []string {
	out := make([]string, len(c.Names.MailDomains))
	for i, d := range c.Names.MailDomains {
		out[i] = strings.ToLower(strings.TrimPrefix(d, "@"))
		if name, err := gal.Domain(out[i]); err == nil {
			out[i] = name
		}
	}
	return out
}

// Target is a further directory, with rules of its own. One that is away or slow holds up neither the others nor who enrols.
type Target struct {
	// Name is the directory's name in our records, in status and in metrics: lower-case letters, digits, hyphens; another one
	// than directory.name.
	Name string `yaml:"name"`

	Dialect   string   `yaml:"dialect"`    // as directory.dialect
	URLs      []string `yaml:"urls"`       // as directory.urls
	TrustFile string   `yaml:"trust_file"` // as directory.trust_file

	Lookup    directory.Account `yaml:"lookup"`    // the account that reads there
	Publisher directory.Account `yaml:"publisher"` // the account that writes certificates there

	// People says where entries are looked for, and which.
	People directory.People `yaml:"people"`

	// Find is the filter by which the entry of a mail address is found, {mailbox} standing for the address: each time as a
	// whole value of an attribute, or with fixed text beside it, as in (proxyAddresses=smtp:{mailbox}). Empty means
	// (mail={mailbox}). Exactly one entry must match; none, and several, are reported.
	Find string `yaml:"find"`

	// Domains are the mail domains whose addresses belong there, as people write them; empty means all.
	Domains []string `yaml:"domains"`

	AttributeNames []string `yaml:"attribute_names"` // as directory.attribute_names
	HolderClass    string   `yaml:"holder_class"`    // as directory.holder_class

	Connections    int           `yaml:"connections"`     // as directory.connections
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // as directory.connect_timeout
	Timeout        time.Duration `yaml:"timeout"`         // as directory.timeout

	gal.Policy `yaml:",inline"`
}

// maxTargets bounds gal.targets: each keeps a connection to the database while it is being worked for.
const maxTargets = 8

var targetName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Directory returns the directory's configuration, without what lies in other files.
func (t Target) Directory() directory.Config {
	return directory.Config{Name: t.Name, Dialect: t.Dialect, URLs: t.URLs, TrustFile: t.TrustFile, Lookup: t.Lookup, Publisher: t.Publisher, People: t.People,
		AttributeNames: t.AttributeNames, HolderClass: t.HolderClass, Connections: t.Connections, ConnectTimeout: t.ConnectTimeout, Timeout: t.Timeout}
}

// Finder returns how entries are found there, and the mail domains whose addresses belong there.
func (t Target) Finder() (f *directory.Finder, domains []string, err error) {
	if f, err = directory.NewFinder(t.Find); err != nil {
		return nil, nil, fmt.Errorf("find: %w", err)
	}
	for i, d := range t.Domains {
		name, err := gal.Domain(d)
		if err != nil {
			return nil, nil, fmt.Errorf("domains[%d]: %q is no mail domain", i, d)
		}
		domains = append(domains, name)
	}
	return f, domains, nil
}

func (c *Config) validateGAL(f *faults) {
	f.add("gal", c.GAL.Validate())
	if len(c.GAL.Targets) > maxTargets {
		f.say("gal.targets", fmt.Sprintf("there may be %d at most", maxTargets))
	}
	seen := map[string]bool{c.Directory.Name: true}
	for i, t := range c.GAL.Targets {
		at := fmt.Sprintf("gal.targets[%d]", i)
		if len(t.Name) > 48 || !targetName.MatchString(t.Name) || seen[t.Name] {
			f.say(at+".name", "must be a name of its own of 1 to 48 lower-case letters, digits and hyphens")
		}
		seen[t.Name] = true
		if t.Name != "" {
			f.add(at, t.Directory().Validate())
		}
		if !t.Publisher.IsSet() {
			f.say(at+".publisher", "is missing: certificates are written there")
		}
		_, _, err := t.Finder()
		f.add(at, err)
		f.add(at, t.Policy.Validate())
	}
	if t := c.GAL.Contacts; t != (Contacts{}) {
		const at = "gal.contacts"
		if err := directory.CheckName(t.Base); err != nil {
			f.say(at+".base", err.Error())
		}
		_, err := t.Finder(c.Directory.Dialect)
		f.add(at, err)
		if c.Directory.Publisher.DN == "" {
			f.say("directory.publisher", "is missing: contacts' certificates are written with it")
		}
	}
}
