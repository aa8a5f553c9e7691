package ca

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/keyuse"
)

// MaxValidityDays is the longest any certificate lasts: the S/MIME BR §6.3.2 allow 825 days, of 86,400 seconds, both
// ends included.
const MaxValidityDays = 825

// ProfileConfig is a kind of certificate as the configuration describes it. Those of docs/certificate-profile.md
// are there without being listed; one of the same name replaces that one whole.
type ProfileConfig struct {
	// Name is what requests and this configuration call the profile.
	Name string `yaml:"name"`
	// Issuer is the id of the issuer that signs; empty means the first one configured.
	Issuer string `yaml:"issuer"`
	// Use is what the key serves: signing (mail, or authentication), encryption (mail; archived), single (both, or
	// anything of a person's that is never archived), agent (a recovery agent's or recipient's) or service (the system's).
	Use keyuse.Use `yaml:"use"`
	// Escrow is "required" or "forbidden". It is required for the use encryption, and forbidden for all others.
	Escrow Escrow `yaml:"escrow"`
	// KeyUsage lists what the key may do: digital-signature, non-repudiation, encipherment. The last becomes
	// keyEncipherment for RSA and keyAgreement for elliptic curves.
	KeyUsage []string `yaml:"key_usage"`
	// ExtendedKeyUsage lists names (email-protection, client-auth, server-auth, ocsp-signing, agent-signing,
	// agent-decryption, recovery-recipient, archive-exchange, policy-signing) or dotted OIDs.
	ExtendedKeyUsage []string `yaml:"extended_key_usage"`
	// Keys lists the accepted algorithms, the preferred one first.
	Keys []KeyAlgorithm `yaml:"keys"`
	// ValidityDays is how long a certificate lasts, at most 825, and never longer than its issuer.
	ValidityDays int `yaml:"validity_days"`
	// Policy is the certificate policy asserted: a full OID, or the last part of one under the organisation's arc.
	Policy string `yaml:"policy"`
	// CPS is the address of the practice statement, in the policy; may be empty.
	CPS string `yaml:"cps"`
	// Claims names the profile of the S/MIME Baseline Requirements whose lints are applied, such as sponsor-strict:
	// mailbox, organization, sponsor or individual, and multipurpose or strict. Empty means RFC 5280 alone.
	Claims string `yaml:"claims"`
	// PubliclyAudited permits a policy under 2.23.140.1.5, which tells the world that this authority is audited against
	// the S/MIME Baseline Requirements.
	PubliclyAudited bool `yaml:"publicly_audited"`
	// Mailboxes is "required", "optional" or "forbidden" (also when empty): whether mail addresses stand in the
	// certificate.
	Mailboxes string `yaml:"mailboxes"`
	// Hosts is the same for host names.
	Hosts string `yaml:"hosts"`
	// CommonName says what the subject's common name is: "name" (as requested), "mailbox" (the first address, when it
	// fits) or "none".
	CommonName string `yaml:"common_name"`
	// PersonalName puts given name and surname into the subject.
	PersonalName bool `yaml:"personal_name"`
	// Organisation puts organisation, its identifier and its country into the subject.
	Organisation bool `yaml:"organisation"`
	// Capabilities lists the ciphers a correspondent may use at once (SMIMECapabilities, RFC 4262), preferred first:
	// aes256-cbc, aes128-cbc, aes256-gcm, aes128-gcm.
	Capabilities []string `yaml:"capabilities"`
	// KeepExpired says whether what was revoked stays on the revocation list after its end, for whoever checks an old
	// signature. Without it, certificates of keys that sign stay, and others leave.
	KeepExpired *bool `yaml:"keep_expired_on_crl"`
	// Exceptions are rules that certificates of this profile may break.
	Exceptions []Exception `yaml:"exceptions"`
}

// Exception lets one lint fail.
type Exception struct {
	Lint   string `yaml:"lint"`   // zlint's name, or that of a check of ours
	Reason string `yaml:"reason"` // why breaking it does no harm here; required
}

// Escrow says whether keys of a profile are archived.
type Escrow string

// The two ways. The zero Escrow is neither, and refused.
const (
	EscrowRequired  Escrow = "required"
	EscrowForbidden Escrow = "forbidden"
)

// Profile is a checked ProfileConfig. It does not change and is safe for concurrent use.
type Profile struct {
	name         string
	issuer       *Issuer
	use          keyuse.Use
	escrow       Escrow
	keyUsage     usage
	usages       []asn1.ObjectIdentifier
	keys         []KeyAlgorithm
	validity     time.Duration
	policy       asn1.ObjectIdentifier
	cps          string
	claims       asn1.ObjectIdentifier // nil: none
	mailboxes    presence
	hosts        presence
	commonName   string
	personalName bool
	organisation bool
	capabilities []asn1.ObjectIdentifier
	keepExpired  bool
	exceptions   map[string]string
	encoded      profileExtensions
}

// Name returns the profile's name.
func (p *Profile) Name() string { return p.name }

// Issuer returns who signs certificates of this profile.
func (p *Profile) Issuer() *Issuer { return p.issuer }

// Use returns what keys of this profile serve.
func (p *Profile) Use() keyuse.Use { return p.use }

// EscrowRequired reports whether the private key must be archived before a certificate is signed.
func (p *Profile) EscrowRequired() bool { return p.escrow == EscrowRequired }

// Keys returns the accepted algorithms, the preferred one first.
func (p *Profile) Keys() []KeyAlgorithm { return slices.Clone(p.keys) }

// Validity returns how long a certificate lasts, unless its issuer ends sooner.
func (p *Profile) Validity() time.Duration { return p.validity }

// Signs reports whether a key of this profile makes signatures.
func (p *Profile) Signs() bool { return p.keyUsage.signs() }

// Encrypts reports whether a key of this profile receives encrypted content.
func (p *Profile) Encrypts() bool { return p.keyUsage&encipherment != 0 }

// Personal reports whether certificates name a person; those of role mailboxes name none.
func (p *Profile) Personal() bool { return p.personalName }

// KeepsExpired reports whether what was revoked of this profile stays on the revocation list after its end.
func (p *Profile) KeepsExpired() bool { return p.keepExpired }

// Mail reports whether certificates of this profile protect mail (extended key usage emailProtection).
func (p *Profile) Mail() bool { return containsOID(p.usages, oidEmailProtection) }

// usage is what a key may do, before the algorithm turns it into bits.
type usage int

const (
	digitalSignature usage = 1 << iota
	nonRepudiation
	encipherment
)

func (u usage) signs() bool { return u&(digitalSignature|nonRepudiation) != 0 }

// presence says whether names of a sort stand in a certificate.
type presence int

const (
	forbidden presence = iota
	optional
	required
)

// check turns c into a Profile. Its faults are all reported, each with path before it.
func (c ProfileConfig) check(path, arc string, issuers []*Issuer) (*Profile, error) {
	f := &findings{path: path}
	p := &Profile{name: c.Name, use: c.Use, escrow: c.Escrow, cps: c.CPS, commonName: c.CommonName,
		personalName: c.PersonalName, organisation: c.Organisation, keys: slices.Clone(c.Keys),
		validity: time.Duration(c.ValidityDays) * 24 * time.Hour}
	if !validName(c.Name) {
		f.add("name", "%q is not a name of a-z, 0-9 and hyphens", c.Name)
	}
	p.issuer = f.issuer(c.Issuer, issuers)
	p.keyUsage = f.keyUsage(c)
	p.usages = f.usages(c.ExtendedKeyUsage)
	f.invariants(c, p)
	f.keys(c, p)
	if c.ValidityDays < 1 || c.ValidityDays > MaxValidityDays {
		f.add("validity_days", "%d is not between 1 and %d", c.ValidityDays, MaxValidityDays)
	}
	p.policy = f.policy(c, arc)
	p.claims = f.claims(c, p)
	p.mailboxes = f.presence("mailboxes", c.Mailboxes)
	p.hosts = f.presence("hosts", c.Hosts)
	if !slices.Contains([]string{"name", "mailbox", "none"}, c.CommonName) {
		f.add("common_name", "%q is not name, mailbox or none", c.CommonName)
	}
	p.capabilities = f.capabilities(c)
	p.keepExpired = p.keyUsage.signs()
	if c.KeepExpired != nil {
		p.keepExpired = *c.KeepExpired
	}
	p.exceptions = f.exceptions(c.Exceptions)
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	return p, p.encode()
}

func validName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// parseOID reads a dotted OID whose arcs fit 31 bits: Windows' enrolment client drops what lies behind a larger one.
func parseOID(s string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 || part != strconv.FormatInt(n, 10) {
			return nil, fmt.Errorf("%q is not an OID", s)
		}
		oid = append(oid, int(n))
	}
	if _, err := asn1.Marshal(oid); err != nil {
		return nil, err
	}
	return oid, nil
}

func containsOID(list []asn1.ObjectIdentifier, oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(list, oid.Equal)
}

func hasPrefix(oid, prefix asn1.ObjectIdentifier) bool {
	return len(oid) >= len(prefix) && oid[:len(prefix)].Equal(prefix)
}
