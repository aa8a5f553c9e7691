package directory

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/go-ldap/ldap/v3/gssapi"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/krberror"
)

// Account is one of Sealpost's own accounts in the directory. It shows who it is by a password, by a TLS client certificate (SASL
// EXTERNAL), or by Kerberos (SASL GSSAPI); in any case over TLS.
type Account struct {
	// DN is the account's entry: "cn=lookup,ou=services,dc=example,dc=com". With a certificate it may be absent; if it is there,
	// the server must take the certificate for it. With Kerberos it is not needed.
	DN           string `yaml:"dn"`
	PasswordFile string `yaml:"password_file"` // its first line is the password; the file must not be readable by others

	// Certificate is a file with the account's TLS certificate and those above it (PEM), in place of a password. It is read at
	// the server's start.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"` // of Certificate: file:…, pkcs11:…, as an issuer's

	// Keytab is a file with the account's Kerberos keys, in place of a password; it must not be readable by others.
	Keytab    string `yaml:"keytab"`
	Principal string `yaml:"principal"`     // of Keytab: "sealpost-lookup@EXAMPLE.COM"
	KRB5Conf  string `yaml:"kerberos_conf"` // how Kerberos is reached; "" means /etc/krb5.conf
	Service   string `yaml:"service"`       // the servers' principal; "" means ldap/ and the name in the server's URL
}

// Proof is what an account shows who it is with, beside a password.
type Proof struct {
	Certificate *tls.Certificate // of Account.Certificate
	Keytab      []byte           // content of Account.Keytab
	KRB5Conf    string           // content of Account.KRB5Conf
}

// IsSet reports whether there is such an account.
func (a Account) IsSet() bool { return a != Account{} }

// String is how messages call the account.
func (a Account) String() string {
	switch {
	case a.DN != "":
		return a.DN
	case a.Principal != "":
		return a.Principal
	default:
		return "with the certificate " + a.Certificate
	}
}

// validate says what is wrong with an account, each with its path.
func (a Account) validate(path string, urls []string, say func(path, format string, args ...any)) {
	ways := 0
	for _, way := range []string{a.PasswordFile, a.Certificate, a.Keytab} {
		if way != "" {
			ways++
		}
	}
	if ways != 1 {
		say(path, "needs exactly one of password_file, certificate and keytab")
	}
	if a.DN != "" || a.PasswordFile != "" {
		if _, err := parseDN(a.DN); err != nil {
			say(path+".dn", "%v", err)
		}
	}
	if (a.Certificate == "") != (a.Key == "") {
		say(path+".key", "certificate and key go together")
	}
	if user, realm, ok := strings.Cut(a.Principal, "@"); a.Keytab != "" && (!ok || user == "" || realm == "") {
		say(path+".principal", "%q is not name@REALM", a.Principal)
	}
	if a.Keytab == "" && a.Principal+a.KRB5Conf+a.Service != "" {
		say(path+".keytab", "is missing: the others are for Kerberos")
	}
	for _, u := range urls {
		if e, err := parseURL(u); err == nil && e.scheme == "ldapi" && a.PasswordFile == "" {
			say(path, "a certificate or Kerberos need TLS, which %s does not have", u)
		}
	}
}

// ready returns why an account cannot show who it is. An empty password would make it anonymous.
func (a Account) ready(path, password string, p Proof) error {
	switch {
	case a.PasswordFile != "" && password == "":
		return fmt.Errorf("%s.password_file: %s holds no password", path, a.PasswordFile)
	case a.Certificate != "" && (p.Certificate == nil || p.Certificate.PrivateKey == nil):
		return fmt.Errorf("%s.certificate: is missing", path)
	case a.Keytab != "":
		_, err := a.kerberos(p)
		if err != nil {
			return fmt.Errorf("%s.%w", path, err)
		}
	}
	return nil
}

// bind returns what binds an account.
func (a Account) bind(password string, p Proof) func(*ldap.Conn, endpoint) error {
	return func(l *ldap.Conn, e endpoint) error {
		var err error
		what := "password"
		switch {
		case a.Certificate != "":
			what, err = "certificate", a.bindExternal(l)
		case a.Keytab != "":
			what, err = "Kerberos ticket", a.bindKerberos(l, e, p)
		default:
			err = l.Bind(a.DN, password)
		}
		if err == nil || broken(err) {
			return err
		}
		return ErrRefused.Withf("The directory does not accept the %s of Sealpost's account %s.", what, a).Because(err)
	}
}

// bindExternal has the server take the TLS client certificate for who binds (RFC 4513 §5.2.3), and asks whom it took it for.
func (a Account) bindExternal(l *ldap.Conn) error {
	if err := l.ExternalBind(); err != nil || a.DN == "" {
		if broken(err) {
			err = errors.Join(err, errors.New("so does a server that does not accept the client's certificate"))
		}
		return err
	}
	is, err := l.WhoAmI(nil)
	if err != nil {
		return err
	}
	name, ok := strings.CutPrefix(is.AuthzID, "dn:")
	have, err1 := ldap.ParseDN(name)
	want, err2 := ldap.ParseDN(a.DN)
	if err := errors.Join(err1, err2); err != nil {
		return ldap.NewError(ldap.LDAPResultInvalidCredentials, err)
	}
	if !ok || !want.EqualFold(have) {
		return ldap.NewError(ldap.LDAPResultInvalidCredentials, fmt.Errorf("the server takes the certificate for %q", is.AuthzID))
	}
	return nil
}

// bindKerberos gets a ticket and binds with it (RFC 4752), without a layer of its own: the connection is encrypted by TLS.
func (a Account) bindKerberos(l *ldap.Conn, e endpoint, p Proof) error {
	c, err := a.kerberos(p)
	if err != nil {
		return err
	}
	defer c.Destroy()
	service := a.Service
	if service == "" {
		service = "ldap/" + e.host
	}
	if _, _, err := c.GetServiceTicket(service); err != nil {
		if k := (krberror.Krberror{}); errors.As(err, &k) && k.RootCause != krberror.NetworkingError {
			err = ldap.NewError(ldap.LDAPResultInvalidCredentials, err)
		}
		return err
	}
	return l.GSSAPIBind(&gssapi.Client{Client: c}, service, "")
}

// kerberos returns a client of the account's own. It has no ticket yet.
func (a Account) kerberos(p Proof) (*client.Client, error) {
	conf, err := config.NewFromString(p.KRB5Conf)
	if err != nil {
		return nil, fmt.Errorf("kerberos_conf: %w", err)
	}
	keys := keytab.New()
	if err := keys.Unmarshal(p.Keytab); err != nil {
		return nil, fmt.Errorf("keytab: %w", err)
	}
	user, realm, _ := strings.Cut(a.Principal, "@")
	return client.NewWithKeytab(user, realm, keys, conf, client.DisablePAFXFAST(true)), nil
}
