package directory

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/go-ldap/ldap/v3"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 1024

// Authenticate returns the person whose login and password these are, by an LDAP bind as that person's entry.
//
// An unknown login, a login that several entries have and a wrong password are one answer, ErrCredentials, after the
// same operations, so that nobody learns here which logins exist (how long the server itself takes to compare a
// password is another matter: see Config.Decoy). ErrDisabled is told only to who knows the password. It counts no
// failures: whoever calls limits the rate.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (Person, error) {
	// A bind with a name and no password succeeds, as anonymous (RFC 4513 §5.1.2): it must never be sent.
	if password == "" || len(password) > maxPassword || !isLogin(login) {
		return Person{}, ErrCredentials
	}
	s, err := d.search(ctx, d.loginFilter(login))
	if errors.Is(err, ErrUnknownPerson) || errors.Is(err, ErrSeveral) {
		if errors.Is(err, ErrSeveral) {
			d.Log.Warn("directory: login is ambiguous and is refused", "login", login)
		}
		return Person{}, d.refuse(ctx, password)
	}
	if err != nil {
		return Person{}, err
	}
	if err := d.bind(ctx, s.person.DN, password); err != nil {
		return Person{}, err
	}
	p, err := d.complete(ctx, s)
	if err == nil && p.Disabled {
		return Person{}, ErrDisabled
	}
	return p, err
}

// refuse tries the password where it cannot fit, and returns ErrCredentials, or why not even that could be tried.
func (d *Directory) refuse(ctx context.Context, password string) error {
	dn := d.Decoy
	if dn == "" {
		dn = "cn=nobody-" + rand.Text() + "," + d.People.Base
	}
	if err := d.bind(ctx, dn, password); err != nil {
		return err
	}
	d.Log.Error("directory: the decoy's password was guessed; give it another one", "decoy", d.Decoy)
	return ErrCredentials
}

// bind tries a password that is not empty. Whatever the server says against this name or password is ErrCredentials:
// wrong, expired, locked, or an entry without a password.
func (d *Directory) bind(ctx context.Context, dn, password string) error {
	return d.passwords.do(ctx, func(l *ldap.Conn) error {
		err := l.Bind(dn, password)
		switch code(err) {
		case ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation,
			ldap.LDAPResultInvalidDNSyntax:
			return ErrCredentials.Because(err)
		}
		return err
	})
}
