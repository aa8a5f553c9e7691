package directory

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// maxCRL bounds a revocation list that is written, in bytes.
const maxCRL = maxAnswer / 2

// Authority is the entry of a certificate authority.
type Authority struct {
	Certificates [][]byte // DER: of all its generations
	CRLs         [][]byte // DER: one, where Sealpost alone writes
}

// Authority reads the entry dn of a certificate authority. It returns ErrUnknownEntry when there is none.
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

// PutAuthority makes the entry dn hold a CA's certificate and its revocation list (both DER; either may be nil). The
// certificate is added to those of other generations; the list replaces an older one of the same issuer in one step. An
// entry that is absent is created where Config.Authorities allows.
//
// An older list never replaces a newer one, however many servers publish at once: the modification names what it
// replaces (the entry's version, or the list itself), and fails when that is no longer there. The same list again is fine. ErrNewerCRL: the entry holds a
// newer list, or another one of the same number; ErrForeignCRL: a list of another issuer, or several.
func (d *Directory) PutAuthority(ctx context.Context, dn string, certificate, crl []byte) error {
	name, err := d.authorityName(dn)
	if err != nil {
		return err
	}
	if d.publisher == nil {
		return ErrReadOnly
	}
	list, err := checkAuthority(certificate, crl)
	if err != nil {
		return err
	}
	return d.publisher.do(ctx, func(l *ldap.Conn) error {
		return repeat(func() error { return d.putAuthority(l, name, certificate, list) })
	})
}

// checkAuthority parses what is to be published, so that no garbage is.
func checkAuthority(certificate, crl []byte) (*x509.RevocationList, error) {
	if certificate == nil && crl == nil {
		return nil, ErrValue.Withf("There is neither a certificate nor a revocation list to publish.")
	}
	var cert *x509.Certificate
	if certificate != nil {
		var err error
		if cert, err = x509.ParseCertificate(certificate); err != nil {
			return nil, ErrValue.Withf("The CA certificate cannot be read.").Because(err)
		}
	}
	if crl == nil {
		return nil, nil
	}
	if len(crl) > maxCRL {
		return nil, ErrValue.Withf("The revocation list is larger than %d bytes.", maxCRL)
	}
	list, err := x509.ParseRevocationList(crl)
	if err != nil {
		return nil, ErrValue.Withf("The revocation list cannot be read.").Because(err)
	}
	if cert != nil && !bytes.Equal(cert.RawSubject, list.RawIssuer) {
		return nil, ErrValue.Withf("The revocation list is not of the CA whose certificate comes with it.")
	}
	return list, nil
}

func (d *Directory) putAuthority(l *ldap.Conn, name *ldap.DN, certificate []byte, list *x509.RevocationList) error {
	e, err := d.readAuthority(l, name)
	if errors.Is(err, ErrUnknownEntry) && d.Authorities.Create {
		return d.createAuthority(l, name, certificate, list)
	}
	if err != nil {
		return err
	}
	m := d.modify(e)
	classes := d.dialect.authorityClasses
	if class := classes[len(classes)-1]; !hasClass(e, class) {
		m.request.Add("objectClass", []string{class})
	}
	if certificate != nil {
		m.values(caCertificate, [][]byte{certificate}, placeholders)
	}
	if list != nil {
		have := values(e, d.dialect.wire[crlValue])
		if err := supersedes(list, have); err != nil {
			return err
		}
		m.values(crlValue, [][]byte{list.Raw}, have)
	}
	return m.send(l, e.DN)
}

// placeholders is the value of an attribute that must have one and has nothing to say yet: how Active Directory is given
// a revocation list that is not there.
var placeholders = [][]byte{{0}}

// supersedes returns why list may not replace what is there; nil if it may.
func supersedes(list *x509.RevocationList, have [][]byte) error {
	have = missingFrom(placeholders, have)
	if len(have) > 1 {
		return ErrForeignCRL
	}
	if len(have) == 0 || bytes.Equal(have[0], list.Raw) {
		return nil
	}
	old, err := x509.ParseRevocationList(have[0])
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
func (d *Directory) createAuthority(l *ldap.Conn, name *ldap.DN, certificate []byte, list *x509.RevocationList) error {
	request := ldap.NewAddRequest(name.String(), nil)
	request.Attribute("objectClass", d.dialect.authorityClasses)
	request.Attribute("cn", []string{name.RDNs[0].Attributes[0].Value})
	content := map[Attribute][]byte{caCertificate: certificate}
	if list != nil {
		content[crlValue] = list.Raw
	}
	for _, a := range d.dialect.required {
		if content[a] == nil {
			content[a] = placeholders[0]
		}
	}
	for a, v := range content {
		if v != nil {
			request.Attribute(d.dialect.wire[a], []string{string(v)})
		}
	}
	err := l.Add(request)
	if code(err) == ldap.LDAPResultNoSuchObject {
		return ErrUnknownEntry.Withf("The directory has no entry above %s, so it cannot be created.", name).Because(err)
	}
	return d.written(err, name.String())
}

func (d *Directory) readAuthority(l *ldap.Conn, name *ldap.DN) (*ldap.Entry, error) {
	result, err := l.Search(entryOnly(name.String(), "(objectClass=*)",
		[]string{"objectClass", d.dialect.version, d.dialect.wire[caCertificate], d.dialect.wire[crlValue]}))
	if code(err) == ldap.LDAPResultNoSuchObject || err == nil && len(result.Entries) == 0 {
		return nil, ErrUnknownEntry.Withf("The directory has no entry %s.", name)
	}
	if err != nil {
		return nil, err
	}
	return result.Entries[0], nil
}

func (d *Directory) authorityOf(e *ldap.Entry) Authority {
	return Authority{Certificates: values(e, d.dialect.wire[caCertificate]), CRLs: values(e, d.dialect.wire[crlValue])}
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
