package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of finding whose computer it is.
var (
	ErrUnknownMachine  = fault.New(fault.NotFound, "unknown-machine", "The directory knows no such computer.")
	ErrNoOwner         = fault.New(fault.NotFound, "machine-without-owner", "The directory does not say, or not of one person alone, whose computer this is. An administrator of the directory must enter that.")
	ErrMachineDisabled = fault.New(fault.Denied, "machine-disabled", "The computer's account is disabled in the directory.")
)

// Machines says where the directory has computers, and whose each is.
type Machines struct {
	// Base is the entry below which computers are, at any depth. Empty means that no computer comes in.
	Base string `yaml:"base"`
	// Filter finds a computer's entry: {principal} is name@REALM, {name} the name alone, LAPTOP7$ or host/laptop7.example.com. Empty means
	// (&(objectClass=computer)(sAMAccountName={name})) in Active Directory, and is refused elsewhere.
	Filter string `yaml:"filter"`
	// Owner is the attribute with the name (DN) of the person whose computer it is. Empty means managedBy in Active Directory, and owner
	// elsewhere. Who may write it there may have certificates in that person's name.
	Owner string `yaml:"owner"`
}

// Configured reports whether computers come in.
func (m Machines) Configured() bool { return m.Base != "" }

// Validate returns every fault, each with its path, joined.
func (m Machines) Validate(dialect string) error {
	if !m.Configured() {
		if m != (Machines{}) {
			return errors.New("base: is missing")
		}
		return nil
	}
	var errs []error
	if _, err := parseDN(m.Base); err != nil {
		errs = append(errs, fmt.Errorf("base: %w", err))
	}
	if _, err := m.principals(dialect); err != nil {
		errs = append(errs, fmt.Errorf("filter: %w", err))
	}
	if m.Owner != "" && !attributeName.MatchString(m.Owner) {
		errs = append(errs, fmt.Errorf("owner: %q is no attribute", m.Owner))
	}
	return errors.Join(errs...)
}

func (m Machines) principals(dialect string) (*Principals, error) {
	if m.Filter == "" && dialect == "ad" {
		m.Filter = "(&(objectClass=computer)(sAMAccountName=" + namePrincipal + "))"
	}
	if m.Filter == "" {
		return nil, errors.New("is missing")
	}
	return NewPrincipals(dialect, m.Filter)
}

// ByMachine returns the person whose computer a Kerberos principal is: a name of one part that ends in $, or of two, in a realm. It
// returns ErrUnknownMachine, ErrNoOwner or ErrMachineDisabled where there is none.
func (d *Directory) ByMachine(ctx context.Context, m Machines, name, realm string) (Person, error) {
	parts := strings.Split(name, "/")
	if len(parts) > 2 || len(name)+len(realm) > maxLogin || !isPart(realm) || slices.ContainsFunc(parts, func(p string) bool { return !isPart(p) }) {
		return Person{}, ErrUnknownMachine
	}
	by, err := m.principals(d.Dialect)
	if err != nil {
		return Person{}, err
	}
	if m.Owner == "" {
		m.Owner = "owner"
		if d.Dialect == "ad" {
			m.Owner = "managedBy"
		}
	}
	var s source
	err = d.lookup.do(ctx, func(l *ldap.Conn) error {
		owner, err := d.ownerOf(l, m, by, name, realm)
		if err != nil {
			return err
		}
		e, err := d.personAt(l, owner)
		if err != nil {
			return err
		}
		s, err = d.read(e)
		return err
	})
	if err != nil {
		return Person{}, err
	}
	return d.complete(ctx, s)
}

// ownerOf reads a computer's entry.
func (d *Directory) ownerOf(l *ldap.Conn, m Machines, by *Principals, name, realm string) (string, error) {
	marks := slices.Concat(d.dialect.disabled, d.Disabled)
	attributes := []string{m.Owner}
	for _, f := range by.forms {
		attributes = append(attributes, f[0])
	}
	for _, mark := range marks {
		attributes = append(attributes, mark.Attribute)
	}
	slices.Sort(attributes)
	request := ldap.NewSearchRequest(m.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false, by.fill(name, realm), slices.Compact(attributes), nil)
	request.EnforceSizeLimit = true
	result, err := l.Search(request)
	switch {
	case code(err) == ldap.LDAPResultNoSuchObject:
		return "", ErrRefused.Withf("The directory has no entry %s, or the lookup account may not see it.", m.Base).Because(err)
	case errors.Is(err, ldap.ErrSizeLimitExceeded) || err == nil && len(result.Entries) > 1:
		return "", ErrUnknownMachine.Withf("The directory has several entries of this computer. An administrator must leave one.")
	case err != nil:
		return "", err
	case len(result.Entries) == 0 || !by.holds(result.Entries[0], name, realm):
		return "", ErrUnknownMachine
	}
	e := result.Entries[0]
	for _, mark := range marks {
		if mark.in(e.GetEqualFoldAttributeValues(mark.Attribute)) {
			return "", ErrMachineDisabled
		}
	}
	owners := e.GetEqualFoldAttributeValues(m.Owner)
	if len(owners) != 1 || owners[0] == "" {
		return "", ErrNoOwner
	}
	return owners[0], nil
}

// personAt reads a person's entry by its name. It must be one of those that people are.
func (d *Directory) personAt(l *ldap.Conn, dn string) (*ldap.Entry, error) {
	name, err := ldap.ParseDN(dn)
	if err != nil {
		return nil, ErrNoOwner.Because(err)
	}
	base, err := ldap.ParseDN(d.People.Base)
	if err != nil {
		return nil, err
	}
	if !base.AncestorOfFold(name) {
		return nil, ErrNoOwner.Withf("The entry that the directory names as this computer's owner is not among people.")
	}
	result, err := l.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 2, 0, false, d.peopleFilter(), d.attributes(), nil))
	if code(err) == ldap.LDAPResultNoSuchObject || err == nil && len(result.Entries) != 1 {
		return nil, ErrNoOwner.Withf("The entry that the directory names as this computer's owner is not there, or not a person's.").Because(err)
	}
	if err != nil {
		return nil, err
	}
	return result.Entries[0], d.readOn(l, result.Entries[0])
}
