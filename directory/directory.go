package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealpost/sealpost/internal/audit"
)

// Directory is the company's directory. It is safe for concurrent use.
type Directory struct {
	Config
	dialect    dialect
	endpoints  []endpoint
	groups     []group
	authority  *ldap.DN // base of authorities' entries; nil for nowhere
	lookup     *pool
	publisher  *pool // nil: nothing is written
	passwords  *pool // connections on which people's passwords are tried
	watcher    *pool // one connection, dialled for each look
	identities *identities
	persons    *persons
}

// group is a RoleRule whose group's name was read.
type group struct {
	role audit.Role
	name string
	dn   *ldap.DN
}

// New checks c and returns a directory. It does not connect: a server that is away now is asked again by each call.
func New(c Config) (*Directory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.DB == nil {
		return nil, errors.New("directory: DB is missing")
	}
	if err := errors.Join(c.Lookup.ready("lookup", c.LookupPassword, c.LookupProof), c.Publisher.ready("publisher", c.PublisherPassword, c.PublisherProof)); err != nil {
		return nil, err
	}
	if c.Watch == 0 {
		c.Watch = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Directory{Config: c, dialect: dialects[c.dialectName()].with(c), identities: newIdentities(), persons: newPersons(c.Cache)}
	if err := d.readNames(); err != nil {
		return nil, err
	}
	d.makePools()
	d.LookupPassword, d.PublisherPassword, d.LookupProof, d.PublisherProof = "", "", Proof{}, Proof{} // whoever prints d prints no password
	return d, nil
}

// readNames reads the addresses and names that Validate has found to be well formed.
func (d *Directory) readNames() error {
	for _, u := range d.URLs {
		e, err := parseURL(u)
		if err != nil {
			return err
		}
		d.endpoints = append(d.endpoints, e)
	}
	for _, r := range d.Roles {
		dn, err := parseDN(r.Group)
		if err != nil {
			return err
		}
		d.groups = append(d.groups, group{role: r.Role, name: r.Group, dn: dn})
	}
	if d.Authorities.Base != "" {
		var err error
		d.authority, err = parseDN(d.Authorities.Base)
		return err
	}
	return nil
}

func (d *Directory) makePools() {
	or := func(v, otherwise time.Duration) time.Duration {
		if v == 0 {
			return otherwise
		}
		return v
	}
	size := d.Connections
	if size == 0 {
		size = 8
	}
	good := new(atomic.Int64)
	open := func(bind func(*ldap.Conn, endpoint) error, p Proof) *pool {
		return newPool(size, or(d.Timeout, 10*time.Second), &dialer{endpoints: d.endpoints, trust: d.Trust, certificate: p.Certificate,
			timeout: or(d.ConnectTimeout, 5*time.Second), good: good, bind: bind})
	}
	lookup := d.Lookup.bind(d.LookupPassword, d.LookupProof)
	d.lookup, d.watcher = open(lookup, d.LookupProof), open(lookup, d.LookupProof)
	d.passwords = open(nil, Proof{})
	if d.Publisher.IsSet() {
		d.publisher = open(d.Publisher.bind(d.PublisherPassword, d.PublisherProof), d.PublisherProof)
	}
}

// Close closes every connection, those in use when they are given back.
func (d *Directory) Close() {
	d.lookup.close()
	d.passwords.close()
	if d.publisher != nil {
		d.publisher.close()
	}
}

// Ping reports whether the directory answers, and accepts the lookup account.
func (d *Directory) Ping(ctx context.Context) error {
	return d.lookup.do(ctx, func(l *ldap.Conn) error { return exists(l, d.People.Base) })
}

// Check tries out the configuration on the directory: every server, the accounts, and the names of people, groups and
// authorities. It returns every fault, joined, each with its path.
func (d *Directory) Check(ctx context.Context) error {
	var errs []error
	say := func(path string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	present := func(path, dn string) {
		err := d.lookup.do(ctx, func(l *ldap.Conn) error { return exists(l, dn) })
		if errors.Is(err, ErrRefused) {
			err = ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", dn).Because(err)
		}
		say(path, err)
	}
	for i, e := range d.endpoints {
		one := dialer{endpoints: []endpoint{e}, trust: d.Trust, timeout: d.ConnectTimeout, good: new(atomic.Int64)}
		if one.timeout == 0 {
			one.timeout = 5 * time.Second
		}
		c, err := one.dial(ctx)
		if err == nil {
			c.close()
		}
		say(fmt.Sprintf("urls[%d]", i), gaveUp(ctx, err))
	}
	if len(errs) == len(d.endpoints) {
		return errors.Join(errs...)
	}
	present("people.base", d.People.Base)
	for i, g := range d.groups {
		present(fmt.Sprintf("roles[%d].group", i), g.name)
	}
	if d.Authorities.Base != "" {
		present("authorities.base", d.Authorities.Base)
	}
	if d.publisher != nil {
		say("publisher", d.publisher.do(ctx, func(*ldap.Conn) error { return nil }))
	}
	return errors.Join(errs...)
}

// exists fails with the server's error when there is no such entry.
func exists(l *ldap.Conn, dn string) error {
	_, err := l.Search(entryOnly(dn, "(objectClass=*)", []string{"1.1"})) // 1.1: no attributes (RFC 4511 §4.5.1.8)
	return err
}

// entryOnly is the search of one entry by its name.
func entryOnly(dn, filter string, attributes []string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, filter, attributes, nil)
}
