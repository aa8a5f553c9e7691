package ca

import (
	"slices"

	"github.com/sealpost/sealpost/internal/keyuse"
)

// Names of the profiles that Sealpost comes with.
const (
	SMIMESigning          = "smime-signing"
	SMIMEEncryption       = "smime-encryption"
	SMIMESingle           = "smime-single"
	RoleMailboxSigning    = "role-mailbox-signing"
	RoleMailboxEncryption = "role-mailbox-encryption"
	PersonAuth            = "person-auth"
	AgentSigning          = "recovery-agent-signing"
	AgentDecryption       = "recovery-agent-decryption"
	RecoveryRecipient     = "recovery-recipient"
	ArchiveExchange       = "archive-exchange"
	OCSPSigning           = "ocsp-signing"
	ServerTLS             = "server-tls"
	PolicySigning         = "policy-signing"
)

// Names of the profiles of the test mailbox, which are there only where there is one (WithTestMailbox).
const (
	TestMailboxSigning    = "test-mailbox-signing"
	TestMailboxEncryption = "test-mailbox-encryption"
)

// DefaultProfiles returns the profiles that Sealpost comes with; docs/certificate-profile.md has a table of each.
func DefaultProfiles() []ProfileConfig {
	return []ProfileConfig{
		person(SMIMESigning, keyuse.Signing, "1", "digital-signature"),
		person(SMIMEEncryption, keyuse.Encryption, "2", "encipherment"),
		person(SMIMESingle, keyuse.Single, "3", "digital-signature", "encipherment"),
		roleMailbox(person(RoleMailboxSigning, keyuse.Signing, "4", "digital-signature")),
		roleMailbox(person(RoleMailboxEncryption, keyuse.Encryption, "5", "encipherment")),
		{
			Name: PersonAuth, Use: keyuse.Signing, Escrow: EscrowForbidden, Policy: "6", ValidityDays: 397,
			KeyUsage: []string{"digital-signature"}, ExtendedKeyUsage: []string{"client-auth"},
			Keys: []KeyAlgorithm{P256, P384, RSA3072, RSA4096}, Mailboxes: "optional",
			CommonName: "name", PersonalName: true, Organisation: true,
		},
		agent(AgentSigning, "7", "agent-signing", "digital-signature"),
		agent(AgentDecryption, "8", "agent-decryption", "encipherment"),
		agent(RecoveryRecipient, "9", "recovery-recipient", "encipherment"),
		component(ArchiveExchange, "10", "archive-exchange", "encipherment", 14),
		component(OCSPSigning, "11", "ocsp-signing", "digital-signature", 30),
		{
			Name: ServerTLS, Use: keyuse.Service, Escrow: EscrowForbidden, Policy: "12", ValidityDays: 397,
			KeyUsage: []string{"digital-signature"}, ExtendedKeyUsage: []string{"server-auth"},
			Keys: []KeyAlgorithm{P256, P384, RSA3072, RSA4096}, Hosts: "required", CommonName: "none", Organisation: true,
		},
		component(PolicySigning, "15", "policy-signing", "digital-signature", 14),
	}
}

// WithDefaults returns the built-in profiles with those of custom put in, each in the place of its namesake or at the
// end.
func WithDefaults(custom []ProfileConfig) []ProfileConfig {
	out := DefaultProfiles()
	for _, c := range custom {
		if i := slices.IndexFunc(out, func(p ProfileConfig) bool { return p.Name == c.Name }); i >= 0 {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	return out
}

// WithTestMailbox returns the profiles with those of the mailbox that test mails come from, if they are not among them. Both of
// its keys are the system's own and in its hands, none is archived, and nobody is to send anything secret there.
func WithTestMailbox(profiles []ProfileConfig) []ProfileConfig {
	out := slices.Clone(profiles)
	for _, p := range []ProfileConfig{
		roleMailbox(person(TestMailboxSigning, keyuse.Service, "13", "digital-signature")),
		roleMailbox(person(TestMailboxEncryption, keyuse.Service, "14", "encipherment")),
	} {
		p.ValidityDays = 397
		if !slices.ContainsFunc(out, func(o ProfileConfig) bool { return o.Name == p.Name }) {
			out = append(out, p)
		}
	}
	return out
}

// ResponderProfile is the name of the profile of an issuer's OCSP responder, where OCSPSigning is another issuer's.
func ResponderProfile(issuer string) string { return OCSPSigning + "-" + issuer }

// WithResponders returns the profiles with one for the OCSP responder of each of the issuers, in the order of the
// configuration: copies of OCSPSigning for those that it does not belong to and that have none of their own.
func WithResponders(profiles []ProfileConfig, issuers ...string) []ProfileConfig {
	named := func(name string) int {
		return slices.IndexFunc(profiles, func(p ProfileConfig) bool { return p.Name == name })
	}
	i := named(OCSPSigning)
	if i < 0 || len(issuers) == 0 {
		return profiles
	}
	out, responder := slices.Clone(profiles), profiles[i]
	owner := responder.Issuer
	if owner == "" {
		owner = issuers[0]
	}
	for _, id := range issuers {
		if id == owner || named(ResponderProfile(id)) >= 0 {
			continue
		}
		responder.Name, responder.Issuer = ResponderProfile(id), id
		out = append(out, responder)
	}
	return out
}

// internalOnly are the rules for public authorities that one within an organisation breaks without harm.
var internalOnly = []Exception{
	{"e_subscribers_crl_distribution_points_are_http",
		"The list is also in the organisation's directory, named after the HTTP address, which every client tries first."},
	{"w_smime_aia_contains_internal_names",
		"The authority serves an organisation, whose hosts may have names that the internet does not know."},
	{lintOrganisationID,
		"The organisation vouches for its own people; that it has no number in a public register misleads nobody."},
}

// person is a certificate for a person's mail. Signing prefers P-256; encryption RSA-3072, which every client reads.
func person(name string, use keyuse.Use, policy string, keyUsage ...string) ProfileConfig {
	p := ProfileConfig{
		Name: name, Use: use, Escrow: EscrowForbidden, Policy: policy, ValidityDays: 730,
		KeyUsage: keyUsage, ExtendedKeyUsage: []string{"email-protection"},
		Keys: []KeyAlgorithm{P256, P384, RSA3072, RSA4096}, Claims: "sponsor-strict", Mailboxes: "required",
		CommonName: "name", PersonalName: true, Organisation: true, Exceptions: slices.Clone(internalOnly),
	}
	if use == keyuse.Encryption {
		p.Escrow = EscrowRequired
	}
	if slices.Contains(keyUsage, "encipherment") {
		p.Keys = []KeyAlgorithm{RSA3072, RSA4096, P256, P384}
		p.Capabilities = []string{"aes256-cbc", "aes128-cbc"}
	}
	return p
}

// roleMailbox makes a certificate for a mailbox that several people read: it names the mailbox and nobody.
func roleMailbox(p ProfileConfig) ProfileConfig {
	p.Claims, p.CommonName, p.PersonalName = "organization-strict", "mailbox", false
	return p
}

// agent is a certificate for recovery. It never does for mail: tools demand its own extended key usage.
func agent(name, policy, extended, keyUsage string) ProfileConfig {
	return ProfileConfig{
		Name: name, Use: keyuse.Agent, Escrow: EscrowForbidden, Policy: policy, ValidityDays: 730,
		KeyUsage: []string{keyUsage}, ExtendedKeyUsage: []string{extended},
		Keys: []KeyAlgorithm{P256, RSA3072, RSA4096}, Mailboxes: "optional",
		CommonName: "name", PersonalName: true, Organisation: true,
	}
}

// component is a short-lived certificate for a part of the system itself.
func component(name, policy, extended, keyUsage string, days int) ProfileConfig {
	return ProfileConfig{
		Name: name, Use: keyuse.Service, Escrow: EscrowForbidden, Policy: policy, ValidityDays: days,
		KeyUsage: []string{keyUsage}, ExtendedKeyUsage: []string{extended},
		Keys: []KeyAlgorithm{P256, RSA3072, RSA4096}, CommonName: "name", Organisation: true,
	}
}
