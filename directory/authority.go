package directory

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// MaxList is the size of the largest revocation list that is written to a directory or read from one, in bytes. Servers
// have limits of their own, mostly smaller ones.
const MaxList = maxAnswer / 2

// EntryKind is what an entry is for.
type EntryKind string

// The kinds of entries that hold certificates and lists of authorities.
const (
	AuthorityEntry EntryKind = "authority" // pkiCA; in Active Directory certificationAuthority, in the container AIA
	PointEntry     EntryKind = "point"     // cRLDistributionPoint; in Active Directory in the container CDP
)

// Authority is the entry of a certificate authority, or of a distribution point.
type Authority struct {
	Certificates [][]byte // DER: of all its generations
	CRLs         [][]byte // DER: one, where Sealpost alone writes
	Deltas       [][]byte // likewise
}

// Publication is what an entry is to hold, all in DER. What is nil stays as it is.
type Publication struct {
	Kind         EntryKind
	Certificates [][]byte // added to those that are there
	CRL, Delta   []byte   // each replaces the one that is there

	// Judge returns nil if a list that the entry holds may be replaced, and otherwise why not, which Publish returns. It is
	// not asked about the same list.
	Judge func(old []byte) error
}

// Authority reads the entry dn of a certificate authority or a distribution point. It returns ErrUnknownEntry when there is
// none.
func (d *Directory) Authority(ctx context.Context, dn string) (Authority, error) {
	name, err := d.authorityName(dn)
	if err != nil {
		return Authority{}, err
	}
	var a Authority
	err = d.lookup.do(ctx, func(l *ldap.Conn) error {
		e, err := d.readAuthority(l, name)
		if err == nil {
			a = d.authorityOf(e)
		}
		return err
	})
	return a, err
}

// PutAuthority makes the entry dn hold a CA's certificate and its revocation list (both DER; either may be nil): Publish, where the
// list with the higher number is the newer one. ErrNewerCRL: the entry holds a newer list, or another one of the same
// number; ErrForeignCRL: a list of another issuer, or several.
func (d *Directory) PutAuthority(ctx context.Context, dn string, certificate, crl []byte) error {
	p := Publication{Kind: AuthorityEntry, CRL: crl}
	if certificate != nil {
		p.Certificates = [][]byte{certificate}
	}
	if crl != nil {
		list, err := x509.ParseRevocationList(crl)
		if err != nil {
			return ErrValue.Withf("The revocation list cannot be read.").Because(err)
		}
		if cert, err := x509.ParseCertificate(certificate); err == nil && !bytes.Equal(cert.RawSubject, list.RawIssuer) {
			return ErrValue.Withf("The revocation list is not of the CA whose certificate comes with it.")
		}
		p.Judge = func(old []byte) error { return supersedes(list, old) }
	}
	return d.Publish(ctx, dn, p)
}

// Publish makes the entry dn hold certificates and lists, in one step for readers. An entry that is absent is created where
// Config.Authorities allows.
//
// An older list never replaces a newer one, however many servers publish at once: the modification names what it
// replaces (the entry's version, or the list itself), and when that is no longer there, what is there is judged anew. The
// same list again is fine. ErrForeignCRL: there are several lists.
func (d *Directory) Publish(ctx context.Context, dn string, p Publication) error {
	name, err := d.authorityName(dn)
	if err != nil {
		return err
	}
	if d.publisher == nil {
		return ErrReadOnly
	}
	if err := p.check(); err != nil {
		return err
	}
	return d.publisher.do(ctx, func(l *ldap.Conn) error {
		return repeat(func() error { return d.publish(l, name, p) })
	})
}

// check refuses garbage. Lists are not parsed: they may be large, and whoever has a Judge has read them.
func (p Publication) check() error {
	if len(p.Certificates) == 0 && p.CRL == nil && p.Delta == nil {
		return ErrValue.Withf("There is neither a certificate nor a revocation list to publish.")
	}
	for _, c := range p.Certificates {
		if _, err := x509.ParseCertificate(c); err != nil {
			return ErrValue.Withf("The CA certificate cannot be read.").Because(err)
		}
	}
	for _, list := range [][]byte{p.CRL, p.Delta} {
		if len(list) > MaxList {
			return ErrValue.Withf("The revocation list is larger than %d bytes.", MaxList)
		}
		if list != nil && p.Judge == nil {
			return errors.New("directory: nobody judges which list is newer")
		}
	}
	return nil
}

// lists returns what is to be replaced, by attribute.
func (p Publication) lists() map[Attribute][]byte {
	out := map[Attribute][]byte{}
	if p.CRL != nil {
		out[crlValue] = p.CRL
	}
	if p.Delta != nil {
		out[deltaValue] = p.Delta
	}
	return out
}

func (d *Directory) publish(l *ldap.Conn, name *ldap.DN, p Publication) error {
	e, err := d.readAuthority(l, name)
	if errors.Is(err, ErrUnknownEntry) && d.Authorities.Create {
		return d.createAuthority(l, name, p)
	}
	if err != nil {
		return err
	}
	m := d.modify(e)
	var attributes []Attribute
	if len(p.Certificates) > 0 {
		attributes = append(attributes, caCertificate)
		m.values(caCertificate, p.Certificates, placeholders)
	}
	for attribute, list := range p.lists() {
		attributes = append(attributes, attribute)
		have := values(e, d.dialect.wire[attribute])
		if err := p.mayReplace(list, have); err != nil {
			return err
		}
		m.values(attribute, [][]byte{list}, have)
	}
	if len(m.request.Changes) == 0 {
		return nil
	}
	d.addClasses(m, e, p.Kind, attributes)
	return classes(m.send(l, e.DN), e)
}

// mayReplace judges the lists that are there.
func (p Publication) mayReplace(list []byte, have [][]byte) error {
	have = missingFrom(placeholders, have)
	if len(have) > 1 {
		return ErrForeignCRL
	}
	if len(have) == 0 || bytes.Equal(have[0], list) {
		return nil
	}
	return p.Judge(have[0])
}

// addClasses gives the entry the classes that it lacks for the attributes.
func (d *Directory) addClasses(m *modification, e *ldap.Entry, kind EntryKind, attributes []Attribute) {
	var missing []string
	for _, a := range attributes {
		allowed := d.dialect.entries[kind].allowed[a]
		if len(allowed) > 0 && !hasClass(e, append(allowed, "extensibleObject")...) && !slices.Contains(missing, allowed[0]) {
			missing = append(missing, allowed[0])
		}
	}
	if len(missing) > 0 {
		m.request.Add("objectClass", missing)
	}
}

// classes says more of a refusal that is about the classes of an entry.
func classes(err error, e *ldap.Entry) error {
	switch code(err) {
	case ldap.LDAPResultUndefinedAttributeType:
		return ErrRefused.Withf("The directory does not know the attributes for revocation lists by the names that Sealpost uses in %s. "+
			"An operator must check the dialect in the configuration, or an administrator the directory's schema (RFC 4523).", e.DN).Because(err)
	case ldap.LDAPResultObjectClassViolation, ldap.LDAPResultObjectClassModsProhibited:
		return ErrRefused.Withf("The entry %s has the classes %s, and the directory does not let it hold certificates or revocation lists of an authority. "+
			"An administrator must give it a class that does (pkiCA, deltaCRL; cRLDistributionPoint), or another name must be configured.",
			e.DN, strings.Join(e.GetEqualFoldAttributeValues("objectClass"), ", ")).Because(err)
	case ldap.LDAPResultUnwillingToPerform:
		return ErrRefused.Withf("The directory is not willing to change the entry %s: it, or the whole directory, is locked or read-only. "+
			"An administrator must unlock it, or a server that takes changes must be configured.", e.DN).Because(err)
	}
	return err
}

// placeholders is the value of an attribute that must have one and has nothing to say yet: how Active Directory is given
// a revocation list that is not there.
var placeholders = [][]byte{{0}}

// supersedes returns why list may not replace what is there; nil if it may.
func supersedes(list *x509.RevocationList, have []byte) error {
	old, err := x509.ParseRevocationList(have)
	if err != nil {
		return ErrForeignCRL.Withf("The entry holds a revocation list that cannot be read.").Because(err)
	}
	if !bytes.Equal(old.RawIssuer, list.RawIssuer) || !bytes.Equal(old.AuthorityKeyId, list.AuthorityKeyId) {
		return ErrForeignCRL
	}
	newer := list.ThisUpdate.After(old.ThisUpdate)
	if old.Number != nil && list.Number != nil {
		newer = list.Number.Cmp(old.Number) > 0
	}
	if !newer {
		return ErrNewerCRL
	}
	return nil
}

// createAuthority makes the entry. Its name is its common name.
func (d *Directory) createAuthority(l *ldap.Conn, name *ldap.DN, p Publication) error {
	kind := d.dialect.entries[p.Kind]
	content := map[Attribute][][]byte{}
	if len(p.Certificates) > 0 {
		content[caCertificate] = distinct(p.Certificates)
	}
	for attribute, list := range p.lists() {
		content[attribute] = [][]byte{list}
	}
	for _, a := range kind.required {
		if content[a] == nil {
			content[a] = placeholders
		}
	}
	is := slices.Clone(kind.created)
	request := ldap.NewAddRequest(name.String(), nil)
	for a, v := range content {
		request.Attribute(d.dialect.wire[a], texts(v))
		if allowed := kind.allowed[a]; len(allowed) > 0 && !slices.ContainsFunc(is, func(c string) bool { return slices.Contains(allowed, c) }) {
			is = append(is, allowed[0])
		}
	}
	request.Attribute("objectClass", is)
	request.Attribute("cn", []string{name.RDNs[0].Attributes[0].Value})
	err := l.Add(request)
	if code(err) == ldap.LDAPResultNoSuchObject {
		if err := d.createAbove(l, name, err); err != nil {
			return err
		}
		err = l.Add(request)
	}
	return classes(d.written(err, name.String()), ldap.NewEntry(name.String(), map[string][]string{"objectClass": is}))
}

// createAbove makes the entry above one that could not be created for want of it: in Active Directory, a container for each server
// in the container CDP. What is above that must exist.
func (d *Directory) createAbove(l *ldap.Conn, name *ldap.DN, absent error) error {
	none := ErrUnknownEntry.Withf("The directory has no entry above %s, so it cannot be created.", name).Because(absent)
	above := &ldap.DN{RDNs: name.RDNs[1:]}
	if d.dialect.container == "" || !d.authority.AncestorOfFold(above) {
		return none
	}
	first := above.RDNs[0].Attributes
	if len(first) != 1 || !strings.EqualFold(first[0].Type, "cn") {
		return none
	}
	request := ldap.NewAddRequest(above.String(), nil)
	request.Attribute("objectClass", []string{d.dialect.container})
	request.Attribute("cn", []string{first[0].Value})
	switch err := l.Add(request); code(err) {
	case ldap.LDAPResultEntryAlreadyExists: // others were at it
		return nil
	case ldap.LDAPResultNoSuchObject:
		return none
	default:
		return d.written(err, above.String())
	}
}

func (d *Directory) readAuthority(l *ldap.Conn, name *ldap.DN) (*ldap.Entry, error) {
	names := append(d.toChange(), d.dialect.wire[caCertificate], d.dialect.wire[crlValue], d.dialect.wire[deltaValue])
	result, err := l.Search(entryOnly(name.String(), "(objectClass=*)", names))
	if code(err) == ldap.LDAPResultNoSuchObject || err == nil && len(result.Entries) == 0 {
		return nil, ErrUnknownEntry.Withf("The directory has no entry %s.", name)
	}
	if err != nil {
		return nil, err
	}
	return result.Entries[0], nil
}

func (d *Directory) authorityOf(e *ldap.Entry) Authority {
	read := func(a Attribute) [][]byte { return missingFrom(placeholders, values(e, d.dialect.wire[a])) }
	return Authority{Certificates: read(caCertificate), CRLs: read(crlValue), Deltas: read(deltaValue)}
}

// authorityName reads the name of an authority's entry: a common name at or below the base that is configured. What is
// sent to the server is the name as it was read here, so that both mean the same entry.
func (d *Directory) authorityName(s string) (*ldap.DN, error) {
	dn, err := parseDN(s)
	if err != nil {
		return nil, ErrEntryName.Withf("The name of the authority's entry %v.", err)
	}
	if d.authority == nil || !within(dn, d.authority) {
		return nil, ErrEntryName.Withf("%s does not lie below authorities.base (%q) of the configuration.", s, d.Authorities.Base)
	}
	if first := dn.RDNs[0].Attributes; len(first) != 1 || !strings.EqualFold(first[0].Type, "cn") {
		return nil, ErrEntryName.Withf("%s does not begin with a single common name (cn=).", s)
	}
	return dn, nil
}

// PartitionDN returns the name of the entry that holds the lists of one partition, beside the entry dn of the whole:
// "cn=Issuing CA 1-3,ou=pki,…" for partition 3 of "cn=Issuing CA 1,ou=pki,…".
func PartitionDN(dn, partition string) (string, error) {
	name, err := parseDN(dn)
	if err != nil {
		return "", ErrEntryName.Withf("The name of the authority's entry %v.", err)
	}
	first := name.RDNs[0].Attributes
	if len(first) != 1 || !strings.EqualFold(first[0].Type, "cn") {
		return "", ErrEntryName.Withf("%s does not begin with a single common name (cn=).", dn)
	}
	first[0].Value += "-" + partition
	return name.String(), nil
}
