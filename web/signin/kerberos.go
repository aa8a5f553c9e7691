package signin

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/spnego"
)

// Faults of signing in with a Kerberos ticket.
var (
	ErrTicket       = fault.New(fault.Denied, "kerberos-ticket", "The Kerberos ticket is not accepted.")
	ErrTicketEnded  = fault.New(fault.Denied, "kerberos-ticket-expired", "The Kerberos ticket has ended. Get a new one: lock and unlock the screen, or run kinit.")
	ErrClock        = fault.New(fault.Denied, "kerberos-clock", "The clock of this computer and the server's differ too much. Set the clock, then try again.")
	ErrReplay       = fault.New(fault.Denied, "kerberos-replay", "This request was made before, with the same Kerberos token. A token serves once.")
	ErrNTLM         = fault.New(fault.Denied, "kerberos-ntlm", "This computer offers NTLM, which is not taken: it has no Kerberos ticket for this address.")
	ErrRealm        = fault.New(fault.Denied, "kerberos-realm", "The Kerberos ticket is of a realm whose people do not sign in here.")
	ErrNoPerson     = fault.New(fault.Denied, "kerberos-no-person", "The Kerberos ticket is not a person's. Computers and services, and names with a / in them, cannot sign in.")
	ErrPrincipal    = fault.New(fault.Denied, "kerberos-not-in-directory", "The Kerberos ticket is good, and the organisation's directory knows nobody of its name.")
	ErrMachine      = fault.New(fault.Denied, "kerberos-machine", "The Kerberos ticket is a computer's, and the directory knows no computer of its name.")
	ErrMachineOwner = fault.New(fault.Denied, "kerberos-machine-owner", "The directory does not say, or not of one person alone, whose computer this is. An administrator of the directory must enter that.")
	ErrMachineScope = fault.New(fault.Denied, "kerberos-machine-scope", "A computer's Kerberos ticket serves to enrol for the person whose computer it is, and for nothing else. Use their own ticket, login or certificate.")
	ErrReplayFull   = fault.New(fault.Unavailable, "kerberos-busy", "More Kerberos tickets came than the server can keep apart. Try again in a moment.")
)

// KerberosConfig is what Kerberos is made of. Every field without "nil" in its comment is required.
type KerberosConfig struct {
	Policy    KerberosPolicy
	Keytab    []byte // content of Policy.Keytab
	Dialect   string // the directory's
	Directory *directory.Directory
	Attempts  *Attempts
	// Certificate is the certificate of the server's TLS connections; nil: channel bindings are not checked.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Now         func() time.Time // nil means time.Now
}

// Kerberos knows people by a ticket to one of our principals. It is safe for concurrent use.
//
// What was used is remembered by each server for itself: a token that somebody took out of one server's TLS connection would
// be taken once by another.
type Kerberos struct {
	KerberosConfig
	keys   *keytab.Keytab
	own    []principal
	realms map[string]*directory.Principals
	used   *replays
}

// NewKerberos returns the way.
func NewKerberos(c KerberosConfig) (*Kerberos, error) {
	if c.Directory == nil || c.Attempts == nil || !c.Policy.Configured() {
		return nil, errors.New("signin: KerberosConfig needs Policy, Directory and Attempts")
	}
	if err := c.Policy.Validate(c.Dialect); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Policy.ClockSkew == 0 {
		c.Policy.ClockSkew = 5 * time.Minute
	}
	k := &Kerberos{KerberosConfig: c, realms: map[string]*directory.Principals{}, used: newReplays()}
	var err error
	if k.keys, err = c.Policy.keys(c.Keytab); err != nil {
		return nil, err
	}
	for _, name := range c.Policy.Principals {
		own, err := parsePrincipal(name)
		if err != nil {
			return nil, err
		}
		k.own = append(k.own, own)
	}
	for _, r := range c.Policy.Realms {
		if k.realms[r.Realm], err = directory.NewPrincipals(c.Dialect, r.Filter); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (p principal) name() types.PrincipalName {
	return types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: p.parts}
}

// Authenticate takes a token of the scheme Negotiate. What the caller gets back in WWW-Authenticate is Caller.Answer.
func (k *Kerberos) Authenticate(ctx context.Context, r *http.Request) (c Caller, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Negotiate") || token == "" {
		return Caller{}, ErrNotOffered
	}
	hash := sha256.Sum256([]byte(token)) // each is another login: only the address counts
	err = k.Attempts.try(ctx, string(hash[:]), r.RemoteAddr, func() error {
		c, err = k.take(ctx, r, token)
		return err
	})
	if err != nil {
		return Caller{}, err
	}
	return c, nil
}

func (k *Kerberos) take(ctx context.Context, r *http.Request, token string) (Caller, error) {
	offer, err := spnego.Read(token)
	if errors.Is(err, spnego.ErrNTLM) {
		return Caller{}, ErrNTLM
	}
	if err != nil {
		return Caller{}, ErrTicket.Withf("The Kerberos token cannot be read: %v.", err).Because(err)
	}
	name, err := k.verify(offer, r)
	if err != nil {
		return Caller{}, err
	}
	realm := offer.Request.Ticket.DecryptedEncPart.CRealm
	if k.Policy.Machines.Configured() && isMachine(name) {
		return k.machine(ctx, offer, name.PrincipalNameString(), realm)
	}
	person, err := k.person(ctx, name, realm)
	if err != nil {
		return Caller{}, err
	}
	answer, err := offer.Answer()
	if err != nil {
		return Caller{}, fmt.Errorf("answer a Kerberos ticket: %w", err)
	}
	// The ticket is as strong as what it was got with, which may have been a password, and some hours ago.
	return Caller{Actor: person.Actor(audit.MethodKerberos, audit.StrengthPassword), Stale: !k.anew(offer.Request.Ticket.DecryptedEncPart), Answer: "Negotiate " + answer}, nil
}

// anew reports whether a ticket shows that its person proved a moment ago who they are. That it is new shows nothing: whoever is at an
// unlocked screen gets new ones with what the login left, and some systems keep passwords and renew that by themselves. But one that the
// KDC gave for the person's own key and not for another ticket says so (INITIAL, RFC 4120 §2.1): somebody typed the password, or put
// the card in, for this very service.
func (k *Kerberos) anew(part messages.EncTicketPart) bool {
	ago := k.Now().Sub(part.AuthTime)
	return types.IsFlagSet(&part.Flags, flags.Initial) && ago <= anewLasts && -ago <= k.Policy.ClockSkew
}

// person finds whose principal it is.
func (k *Kerberos) person(ctx context.Context, name types.PrincipalName, realm string) (directory.Person, error) {
	by := k.realms[realm]
	if by == nil {
		return directory.Person{}, ErrRealm
	}
	if len(name.NameString) != 1 || strings.HasSuffix(name.NameString[0], "$") {
		return directory.Person{}, ErrNoPerson
	}
	person, err := k.Directory.ByPrincipal(ctx, by, name.NameString[0], realm)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson), errors.Is(err, directory.ErrSeveral):
		return person, ErrPrincipal.Because(err)
	case err == nil && person.Disabled:
		return person, directory.ErrDisabled
	}
	return person, err
}

// isMachine tells computers' names from people's: LAPTOP7$, and host/laptop7.example.com.
func isMachine(name types.PrincipalName) bool {
	n := name.NameString
	return len(n) == 1 && strings.HasSuffix(n[0], "$") || len(n) == 2 && strings.EqualFold(n[0], "host")
}

// machine finds whose computer it is. It comes in as that person, with the rights of a token.
func (k *Kerberos) machine(ctx context.Context, offer *spnego.Offer, name, realm string) (Caller, error) {
	if k.realms[realm] == nil {
		return Caller{}, ErrRealm
	}
	person, err := k.Directory.ByMachine(ctx, k.Policy.Machines, name, realm)
	switch {
	case errors.Is(err, directory.ErrUnknownMachine):
		return Caller{}, ErrMachine.Because(err)
	case errors.Is(err, directory.ErrNoOwner):
		return Caller{}, ErrMachineOwner.Because(err)
	case err != nil:
		return Caller{}, err
	case person.Disabled:
		return Caller{}, directory.ErrDisabled.Withf("The account of the person whose computer this is is disabled in the directory.")
	}
	answer, err := offer.Answer()
	if err != nil {
		return Caller{}, fmt.Errorf("answer a Kerberos ticket: %w", err)
	}
	c := Caller{Actor: person.Actor(audit.MethodKerberos, audit.StrengthPassword), Machine: name + "@" + realm, Stale: true, Answer: "Negotiate " + answer}
	c.Actor.Name, c.Actor.Roles = person.Name+" ("+c.Machine+")", []audit.Role{audit.Subscriber}
	return c, nil
}

// bound makes sure that what the client tied its token to is the connection that it came on.
func (k *Kerberos) bound(offer *spnego.Offer, r *http.Request) error {
	have, err := offer.Binding()
	if err != nil {
		return ErrTicket.Because(err)
	}
	way := k.Policy.ChannelBindings
	if way == bindingsIgnored || k.Certificate == nil || r.TLS == nil {
		return nil
	}
	if have == (spnego.Binding{}) {
		if way == bindingsRequired {
			return ErrTicket.Withf("The Kerberos token is not tied to the connection, which this server demands (channel bindings). Use a program that does that.")
		}
		return nil
	}
	cert, err := k.Certificate(&tls.ClientHelloInfo{ServerName: r.TLS.ServerName})
	if err != nil {
		return err
	}
	if cert == nil || len(cert.Certificate) == 0 {
		return errors.New("the server has no certificate to compare with")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return err
	}
	if have != spnego.BindingOf(leaf) {
		return ErrTicket.Withf("The Kerberos token was made for another connection than it came on (channel bindings). Something between this computer and the server opens the connection, or the server has just got a new certificate: try again.")
	}
	return nil
}

// ours returns the principal of ours that a ticket is to.
func (k *Kerberos) ours(name types.PrincipalName, realm string) (principal, bool) {
	i := slices.IndexFunc(k.own, func(p principal) bool {
		return p.realm == realm && len(name.NameString) == 2 && strings.EqualFold(p.parts[0], name.NameString[0]) && strings.EqualFold(p.parts[1], name.NameString[1])
	})
	if i < 0 {
		return principal{}, false
	}
	return k.own[i], true
}
