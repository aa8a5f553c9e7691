package signin

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// DevicePolicy says at which identity provider people sign in whose programs have no browser: the agent, by the device flow
// (RFC 8628). The program shows an address and a code, the person signs in there on any device, and the program sends us the ID
// token that it gets.
type DevicePolicy struct {
	// Issuer is the provider's address, at which its configuration is found (OpenID Connect Discovery): https://…, for which
	// agents need a certificate that their roots or their system know. Empty means that there is none.
	Issuer string `yaml:"issuer"`
	Name   string `yaml:"name"` // what people call the provider
	// ClientID is by which the provider knows our agents: a public client, without a secret, with the device flow alone, and
	// another one than portal.openid's. Its ID tokens must hold the claim by which people are found.
	ClientID string `yaml:"client_id"`
	// Scopes are asked for beside openid, email and profile.
	Scopes []string `yaml:"scopes"`
	// LoginClaim is the claim with people's login in the directory. Empty means that they are found by their mail address,
	// which counts only if the provider says that it verified it.
	LoginClaim string `yaml:"login_claim"`
	// AllRoles leaves people the roles that the directory gives them. False, which is safer, leaves them those of a subscriber:
	// whoever can talk a registrar into typing a code signs in as that registrar.
	AllRoles bool `yaml:"all_roles"`
}

// Configured reports whether there is a provider.
func (p DevicePolicy) Configured() bool { return p.Issuer != "" }

// Validate returns every fault of the policy, each with its path, joined. The portal's policy is what it must differ from.
func (p DevicePolicy) Validate(portal OpenIDPolicy) error {
	if !p.Configured() {
		if p.ClientID != "" || p.LoginClaim != "" || len(p.Scopes) > 0 || p.AllRoles {
			return errors.New("issuer: is missing")
		}
		return nil
	}
	var errs []error
	if !isIssuer(p.Issuer) {
		errs = append(errs, errors.New("issuer: must be https://host…, without ? and #"))
	}
	switch {
	case p.ClientID == "":
		errs = append(errs, errors.New("client_id: is missing"))
	case p.ClientID == portal.ClientID && p.Issuer == portal.Issuer:
		errs = append(errs, fmt.Errorf("client_id: is that of portal.openid, whose tokens agents must not use"))
	}
	return errors.Join(errs...)
}

// Asked are the scopes that programs ask for.
func (p DevicePolicy) Asked() []string {
	out := []string{"openid", "email", "profile"}
	for _, s := range p.Scopes {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// isIssuer reports whether s can be a provider's address. Without TLS it may be on this machine alone.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}
