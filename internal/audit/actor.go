package audit

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/fault"
)

// Role is what somebody is trusted to do. Roles come from directory groups.
type Role string

// The roles. Everybody known to the directory is a subscriber.
const (
	Subscriber        Role = "subscriber"         // has certificates
	Registrar         Role = "registrar"          // decides on requests
	RecoveryRequester Role = "recovery-requester" // may ask for other people's archived keys
	RecoveryAgent     Role = "recovery-agent"     // opens archived keys, together with others
	Auditor           Role = "auditor"            // reads everything here, changes nothing
	Operator          Role = "operator"           // keeps the system running
)

// Method is how an actor showed who they are.
type Method string

// The methods. The zero Method is none of them: Append refuses an actor that has it.
const (
	MethodPassword    Method = "password"    // a directory password
	MethodToken       Method = "token"       // a single-use enrolment token
	MethodCertificate Method = "certificate" // a client certificate
	MethodOpenID      Method = "openid"      // an identity provider (OpenID Connect)
	MethodKerberos    Method = "kerberos"    // a Kerberos ticket (SPNEGO)
	MethodLocal       Method = "local"       // the command line on the server itself
	MethodSystem      Method = "system"      // a component of Sealpost, acting by itself
	MethodNone        Method = "anonymous"   // not at all
)

// Strength orders methods and their ways by how hard they are to usurp.
type Strength int

// The strengths, weakest first.
const (
	StrengthNone        Strength = iota
	StrengthPassword             // something known
	StrengthCertificate          // a key in a file
	StrengthHardware             // a key that cannot leave its device
)

// String returns the word that the log uses.
func (s Strength) String() string {
	switch s {
	case StrengthPassword:
		return "password"
	case StrengthCertificate:
		return "certificate"
	case StrengthHardware:
		return "hardware"
	default:
		return "none"
	}
}

// ParseStrength is the reverse of String. What it does not know is StrengthNone.
func ParseStrength(s string) Strength {
	for _, k := range []Strength{StrengthPassword, StrengthCertificate, StrengthHardware} {
		if k.String() == s {
			return k
		}
	}
	return StrengthNone
}

// ErrRoleRequired is returned to an actor who lacks the role that an act needs.
var ErrRoleRequired = fault.New(fault.Denied, "role-required", "You do not have the role that this needs.")

// Actor is who does something: an explicit parameter of everything that changes or discloses anything.
type Actor struct {
	Person   uuid.UUID // uuid.Nil for who is no person, or not known
	Name     string    // as the directory, or the component, calls it; for readers
	Roles    []Role
	Method   Method
	Strength Strength
}

// System returns the actor that stands for a component which acts by itself, such as "crl". It has no roles.
func System(component string) Actor {
	return Actor{Name: component, Method: MethodSystem}
}

// Has reports whether the actor has the role.
func (a Actor) Has(r Role) bool { return slices.Contains(a.Roles, r) }

// Require returns ErrRoleRequired, naming the role, unless the actor has it.
func (a Actor) Require(r Role) error {
	if a.Has(r) {
		return nil
	}
	const needs = "This needs the role %s. Ask for it where your directory's groups are kept."
	name := strings.ReplaceAll(string(r), "-", " ")
	if a.Method == MethodOpenID {
		return ErrRoleRequired.Withf(needs+" If you have it: a server may take a provider's word for who somebody is and not for roles; sign in with your login, a ticket or a certificate.", name)
	}
	return ErrRoleRequired.Withf(needs, name)
}
