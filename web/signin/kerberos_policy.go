package signin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"

	"github.com/sealpost/sealpost/directory"
)

// KerberosPolicy says whose Kerberos tickets are taken (Authorization: Negotiate, RFC 4559). Without a keytab none are.
type KerberosPolicy struct {
	// Keytab is a file with the keys of Principals, AES alone; it must not be readable by others. It is read at the server's start.
	Keytab string `yaml:"keytab"`
	// Principals are what tickets must be to: HTTP/ and the name by which clients reach the API or the portal, and the realm:
	// HTTP/ca.example.com@EXAMPLE.COM.
	Principals []string `yaml:"principals"`
	// Realms are those whose people may come in. Another realm than that of Principals must be trusted by it, with the path
	// between them checked by the KDC.
	Realms []KerberosRealm `yaml:"realms"`
	// Machines lets computers' own tickets in, each as the person whose computer the directory says it is, to enrol and for nothing else.
	Machines directory.Machines `yaml:"machines"`
	// ClockSkew is how far clocks may be apart; 0 means 5m.
	ClockSkew time.Duration `yaml:"clock_skew"`
	// ChannelBindings ties a ticket's use to the TLS connection that it comes on, so that nobody can pass it on from another:
	// if-sent (the default) checks them where clients send them, as browsers and the agent do; required refuses clients
	// that send none, as curl; ignored is for a proxy in front that ends TLS with a certificate of its own.
	ChannelBindings string `yaml:"channel_bindings"`
}

// KerberosRealm says who the principals of a realm are.
type KerberosRealm struct {
	Realm string `yaml:"realm"` // EXAMPLE.COM
	// Filter finds a principal's entry among people: {principal} is name@REALM, {name} the name alone, which takes everybody of
	// the realm for whom the directory calls so: (krbPrincipalName={principal}), (sAMAccountName={name}), (uid={name}). Empty
	// means (userPrincipalName={principal}) in Active Directory, and is refused elsewhere.
	Filter string `yaml:"filter"`
}

// The choices of ChannelBindings.
const (
	bindingsIfSent   = "if-sent"
	bindingsRequired = "required"
	bindingsIgnored  = "ignored"
)

// maxSkew bounds ClockSkew: for so long each request is remembered.
const maxSkew = time.Hour

// Configured reports whether tickets are taken.
func (p KerberosPolicy) Configured() bool { return p.Keytab != "" }

// Validate returns every fault of the policy, each with its path, joined. The dialect is the directory's.
func (p KerberosPolicy) Validate(dialect string) error {
	if !p.Configured() {
		if len(p.Principals)+len(p.Realms) > 0 || p.ClockSkew != 0 || p.ChannelBindings != "" || p.Machines != (directory.Machines{}) {
			return errors.New("keytab: is missing")
		}
		return nil
	}
	var errs []error
	say := func(path, format string, args ...any) { errs = append(errs, fmt.Errorf(path+": "+format, args...)) }
	if len(p.Principals) == 0 {
		say("principals", "names none")
	}
	for i, name := range p.Principals {
		if _, err := parsePrincipal(name); err != nil {
			say(fmt.Sprintf("principals[%d]", i), "%w", err)
		}
	}
	if len(p.Realms) == 0 {
		say("realms", "names none")
	}
	var seen []string
	for i, r := range p.Realms {
		at := fmt.Sprintf("realms[%d]", i)
		if r.Realm == "" || strings.ContainsAny(r.Realm, "@/\\ ") {
			say(at+".realm", "%q is no realm", r.Realm)
		}
		if slices.Contains(seen, r.Realm) {
			say(at+".realm", "%s is there twice", r.Realm)
		}
		seen = append(seen, r.Realm)
		if _, err := directory.NewPrincipals(dialect, r.Filter); err != nil {
			say(at+".filter", "%w", err)
		}
	}
	if err := p.Machines.Validate(dialect); err != nil {
		say("machines", "%w", err)
	}
	if p.ClockSkew < 0 || p.ClockSkew > maxSkew {
		say("clock_skew", "must lie between 0 and %s", maxSkew)
	}
	if !slices.Contains([]string{"", bindingsIfSent, bindingsRequired, bindingsIgnored}, p.ChannelBindings) {
		say("channel_bindings", "must be if-sent, required or ignored")
	}
	return errors.Join(errs...)
}

// principal is one of ours.
type principal struct {
	parts []string
	realm string
}

func parsePrincipal(s string) (principal, error) {
	name, realm, ok := strings.Cut(s, "@")
	parts := strings.Split(name, "/")
	if !ok || realm == "" || strings.ContainsAny(realm, "@/\\ ") || len(parts) != 2 || parts[0] != "HTTP" || parts[1] == "" || strings.ContainsAny(name, "\\ ") {
		return principal{}, fmt.Errorf("%q is not HTTP/name@REALM", s)
	}
	return principal{parts, realm}, nil
}

// strong are the encryption types that are taken: AES (RFC 3962, 8009). DES, 3DES and RC4 can be guessed or forged.
var strong = []int32{etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA256_128, etypeID.AES256_CTS_HMAC_SHA384_192}

// CheckKeytab returns what is wrong with a keytab for these principals: each needs an AES key.
func (p KerberosPolicy) CheckKeytab(content []byte) error {
	_, err := p.keys(content)
	return err
}

func (p KerberosPolicy) keys(content []byte) (keys *keytab.Keytab, err error) {
	defer func() { // the library trusts lengths in the file
		if recover() != nil {
			err = errors.New("keytab: cannot be read")
		}
	}()
	keys = keytab.New()
	if err := keys.Unmarshal(content); err != nil {
		return nil, fmt.Errorf("keytab: cannot be read: %w", err)
	}
	for i, name := range p.Principals {
		own, err := parsePrincipal(name)
		if err != nil {
			return nil, fmt.Errorf("principals[%d]: %w", i, err)
		}
		found := slices.ContainsFunc(strong, func(kind int32) bool {
			_, _, err := keys.GetEncryptionKey(own.name(), own.realm, 0, kind)
			return err == nil
		})
		if !found {
			return nil, fmt.Errorf("keytab: has no AES key of %s", name)
		}
	}
	return keys, nil
}
