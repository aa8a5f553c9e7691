package directory

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// ErrURL is an LDAP URL that names no attribute of an entry.
var ErrURL = ErrValue.Withf("This is no LDAP URL of an attribute, as certificates carry them.")

// World reads directories as anybody can: anonymously, by the URLs that certificates carry. It follows no referrals.
type World struct {
	Trust   *x509.CertPool // for ldaps; nil means the system's
	Server  string         // host[:port] for URLs without one ("ldap:///cn=…"), which only members of a Windows domain can resolve
	Timeout time.Duration  // bounds connecting, and the search; 0 means 10s
}

// maxFound is how many entries a URL may find.
const maxFound = 10

// Values returns what the URL's attribute holds, of all entries that it finds. Nothing there is ErrUnknownEntry. At most 32
// MiB are read.
func (w World) Values(ctx context.Context, rawURL string) ([][]byte, error) {
	u, err := w.parse(rawURL)
	if err != nil {
		return nil, err
	}
	timeout := w.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	d := dialer{endpoints: []endpoint{u.server}, trust: w.Trust, timeout: timeout, good: new(atomic.Int64), plain: true}
	c, err := d.dial(ctx)
	if err != nil {
		return nil, gaveUp(ctx, err)
	}
	defer c.close()
	var list [][]byte
	err = c.run(ctx, timeout, func(l *ldap.Conn) error {
		result, err := l.Search(ldap.NewSearchRequest(u.dn, u.scope, ldap.NeverDerefAliases, maxFound, 0, false, u.filter, []string{u.attribute}, nil))
		if code(err) == ldap.LDAPResultNoSuchObject {
			return ErrUnknownEntry.Withf("The directory %s has no entry %s, or does not show it to everybody.", u.server.address, u.dn).Because(err)
		}
		if code(err) == ldap.LDAPResultOperationsError { // Active Directory, unless dSHeuristics let everybody ask
			return ErrRefused.Withf("The directory %s answers only who has logged in.", u.server.address).Because(err)
		}
		if err != nil {
			return err
		}
		for _, e := range result.Entries {
			list = append(list, values(e, u.attribute)...)
		}
		if len(result.Entries) == 0 && len(result.Referrals) > 0 {
			return ErrRefused.Withf("The directory %s refers to another server for %s, which not every program follows.", u.server.address, u.dn)
		}
		return nil
	})
	if err != nil {
		return nil, gaveUp(ctx, err)
	}
	if list = distinct(list); len(list) == 0 {
		return nil, ErrUnknownEntry.Withf("The directory %s shows no %s at %s to everybody.", u.server.address, u.attribute, u.dn)
	}
	return list, nil
}

// attributeURL is an LDAP URL (RFC 4516) of one attribute.
type attributeURL struct {
	server    endpoint
	dn        string
	attribute string
	scope     int
	filter    string
}

var scopes = map[string]int{"": ldap.ScopeBaseObject, "base": ldap.ScopeBaseObject, "one": ldap.ScopeSingleLevel, "sub": ldap.ScopeWholeSubtree}

func (w World) parse(s string) (u attributeURL, err error) {
	wrong := func(format string, args ...any) (attributeURL, error) {
		return attributeURL{}, ErrURL.Withf("This LDAP URL cannot be read: %s.", fmt.Sprintf(format, args...))
	}
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "ldap" && scheme != "ldaps" || len(s) > 2*maxName {
		return wrong("it does not begin with ldap:// or ldaps://")
	}
	host, rest, _ := strings.Cut(rest, "/")
	if host == "" {
		host = w.Server
	}
	if host == "" {
		return wrong("it names no server, so that only members of a Windows domain find one")
	}
	if u.server, err = parseURL(scheme + "://" + host); err != nil {
		return wrong("its server %v", err)
	}
	parts := strings.Split(rest, "?")
	for i, p := range parts {
		if parts[i], err = url.PathUnescape(p); err != nil {
			return wrong("it has a wrong percent sign")
		}
	}
	parts = append(parts, "", "", "", "")
	dn, err := parseDN(parts[0])
	if err != nil {
		return wrong("its name %v", err)
	}
	u.dn, u.attribute = dn.String(), parts[1]
	if base, _, _ := strings.Cut(u.attribute, ";"); !attributeName.MatchString(base) || strings.Contains(u.attribute, ",") {
		return wrong("it must name exactly one attribute")
	}
	if u.scope, ok = scopes[strings.ToLower(parts[2])]; !ok {
		return wrong("it has an unknown scope")
	}
	if u.filter = parts[3]; u.filter == "" {
		u.filter = "(objectClass=*)"
	}
	if !strings.HasPrefix(u.filter, "(") { // as Microsoft's CAs write it, and most programs read it
		u.filter = "(" + u.filter + ")"
	}
	if _, err := ldap.CompileFilter(u.filter); err != nil {
		return wrong("its filter is none")
	}
	if strings.HasPrefix(parts[4], "!") || strings.Contains(parts[4], ",!") {
		return wrong("it has an extension that must be understood")
	}
	return u, nil
}

// OneValue returns the only value of a URL's attribute. Several are ErrSeveral.
func (w World) OneValue(ctx context.Context, rawURL string) ([]byte, error) {
	list, err := w.Values(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		return nil, ErrSeveral.Withf("There are %d values at this URL, and programs take any of them.", len(list)).Because(errors.New(rawURL))
	}
	return list[0], nil
}
