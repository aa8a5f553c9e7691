package ca

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// findings collects what is wrong with one profile.
type findings struct {
	path string
	errs []error
}

func (f *findings) add(field, format string, args ...any) {
	f.errs = append(f.errs, ErrConfig.Withf("%s.%s: %s", f.path, field, fmt.Sprintf(format, args...)))
}

func (f *findings) issuer(id string, issuers []*Issuer) *Issuer {
	for _, i := range issuers {
		if i.id == id || id == "" {
			return i
		}
	}
	f.add("issuer", "there is no issuer %q", id)
	return nil
}

func (f *findings) keyUsage(c ProfileConfig) (u usage) {
	for i, s := range c.KeyUsage {
		switch s {
		case "digital-signature":
			u |= digitalSignature
		case "non-repudiation":
			u |= nonRepudiation
		case "encipherment":
			u |= encipherment
		default:
			f.add(fmt.Sprintf("key_usage[%d]", i), "%q is not digital-signature, non-repudiation or encipherment", s)
		}
	}
	if len(c.KeyUsage) == 0 {
		f.add("key_usage", "is empty")
	}
	return u
}

// invariants are the rules that keep signing keys out of the archive.
func (f *findings) invariants(c ProfileConfig, p *Profile) {
	switch c.Escrow {
	case EscrowRequired:
		if p.keyUsage.signs() {
			f.add("escrow", "a key that signs is never archived: take digital-signature and non-repudiation out of key_usage, or forbid escrow")
		}
		if c.Use != keyuse.Encryption {
			f.add("escrow", "only keys of the use encryption are archived, not %q", c.Use)
		}
	case EscrowForbidden:
		if c.Use == keyuse.Encryption {
			f.add("escrow", "keys of the use encryption are archived; a key that is not has the use single")
		}
	default:
		f.add("escrow", "%q is not required or forbidden", c.Escrow)
	}
	switch c.Use {
	case keyuse.Signing:
		if p.keyUsage&encipherment != 0 {
			f.add("key_usage", "a key of the use signing does not encrypt; a key for both has the use single")
		}
	case keyuse.Encryption, keyuse.Single, keyuse.Agent, keyuse.Service:
	default:
		f.add("use", "%q is not signing, encryption, single, agent or service", c.Use)
	}
	mail := containsOID(p.usages, oidEmailProtection)
	for _, u := range []asn1.ObjectIdentifier{oidServerAuth, oidCodeSigning, oidTimeStamping} {
		if mail && containsOID(p.usages, u) {
			f.add("extended_key_usage", "%s does not go with email-protection (S/MIME BR §7.1.2.3)", u)
		}
	}
	if containsOID(p.usages, oidOCSPSigning) && len(p.usages) != 1 {
		f.add("extended_key_usage", "ocsp-signing stands alone")
	}
}

func (f *findings) keys(c ProfileConfig, p *Profile) {
	if len(c.Keys) == 0 {
		f.add("keys", "is empty")
	}
	for i, k := range c.Keys {
		field := fmt.Sprintf("keys[%d]", i)
		switch {
		case !k.known():
			f.add(field, "%q is not P-256, P-384, Ed25519, RSA-2048, RSA-3072 or RSA-4096", k)
		case k == Ed25519 && p.keyUsage&encipherment != 0:
			f.add(field, "Ed25519 cannot encrypt")
		case slices.Contains(c.Keys[:i], k):
			f.add(field, "%s is there twice", k)
		}
	}
}

// policy resolves the policy's OID and keeps away those that claim an audit nobody did.
func (f *findings) policy(c ProfileConfig, arc string) asn1.ObjectIdentifier {
	text := c.Policy
	if text != "" && !strings.Contains(text, ".") {
		text = arc + "." + text
	}
	oid, err := parseOID(text)
	if err != nil {
		f.add("policy", "%q is not an OID", c.Policy)
		return nil
	}
	if hasPrefix(oid, oidReserved) && !c.PubliclyAudited {
		f.add("policy", "%s says that the authority is publicly audited; if it is, set publicly_audited", oid)
	}
	return oid
}

func (f *findings) claims(c ProfileConfig, p *Profile) asn1.ObjectIdentifier {
	if c.Claims == "" {
		if hasPrefix(p.policy, oidReserved) {
			return p.policy
		}
		return nil
	}
	kind, generation, _ := strings.Cut(c.Claims, "-")
	k := slices.Index([]string{"mailbox", "organization", "sponsor", "individual"}, kind)
	g := slices.Index([]string{"multipurpose", "strict"}, generation)
	if k < 0 || g < 0 {
		f.add("claims", "%q is not mailbox, organization, sponsor or individual, a hyphen, and multipurpose or strict", c.Claims)
		return nil
	}
	if !containsOID(p.usages, oidEmailProtection) {
		f.add("claims", "a certificate without email-protection is not for S/MIME")
	}
	if c.Mailboxes != "required" {
		f.add("claims", "a certificate for S/MIME needs mailboxes: required")
	}
	return append(slices.Clone(oidReserved), k+1, g+2)
}

func (f *findings) presence(field, s string) presence {
	switch s {
	case "", "forbidden":
		return forbidden
	case "optional":
		return optional
	case "required":
		return required
	default:
		f.add(field, "%q is not required, optional or forbidden", s)
		return forbidden
	}
}

func (f *findings) usages(names []string) []asn1.ObjectIdentifier {
	var out []asn1.ObjectIdentifier
	for i, n := range names {
		oid, err := usageOID(n)
		switch field := fmt.Sprintf("extended_key_usage[%d]", i); {
		case err != nil:
			f.add(field, "%q is neither a known name nor an OID", n)
		case oid.Equal(oidAnyUsage):
			f.add(field, "anyExtendedKeyUsage is never issued")
		case containsOID(out, oid):
			f.add(field, "%q is there twice", n)
		default:
			out = append(out, oid)
		}
	}
	if len(names) == 0 {
		f.add("extended_key_usage", "is empty")
	}
	return out
}

func usageOID(name string) (asn1.ObjectIdentifier, error) {
	switch name {
	case "email-protection":
		return oidEmailProtection, nil
	case "client-auth":
		return oidClientAuth, nil
	case "server-auth":
		return oidServerAuth, nil
	case "ocsp-signing":
		return oidOCSPSigning, nil
	case "agent-signing":
		return api.OIDAgentSigning, nil
	case "agent-decryption":
		return api.OIDAgentDecryption, nil
	case "recovery-recipient":
		return api.OIDRecipient, nil
	case "archive-exchange":
		return api.OIDExchange, nil
	case "policy-signing":
		return api.OIDPolicy, nil
	default:
		return parseOID(name)
	}
}

func (f *findings) capabilities(c ProfileConfig) (out []asn1.ObjectIdentifier) {
	known := map[string]asn1.ObjectIdentifier{"aes256-cbc": oidAES256CBC, "aes128-cbc": oidAES128CBC, "aes256-gcm": oidAES256GCM, "aes128-gcm": oidAES128GCM}
	for i, n := range c.Capabilities {
		oid, ok := known[n]
		if !ok {
			f.add(fmt.Sprintf("capabilities[%d]", i), "%q is not aes256-cbc, aes128-cbc, aes256-gcm or aes128-gcm", n)
		}
		out = append(out, oid)
	}
	if len(out) > 0 && !slices.Contains(c.KeyUsage, "encipherment") {
		f.add("capabilities", "only a certificate for encryption has capabilities")
	}
	return out
}

func (f *findings) exceptions(list []Exception) map[string]string {
	out := make(map[string]string, len(list))
	for i, e := range list {
		field := fmt.Sprintf("exceptions[%d]", i)
		if !knownLint(e.Lint) {
			f.add(field+".lint", "there is no lint %q", e.Lint)
		}
		if strings.TrimSpace(e.Reason) == "" {
			f.add(field+".reason", "is empty")
		}
		out[e.Lint] = e.Reason
	}
	return out
}
