package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of signing in at an identity provider.
var (
	ErrProvider     = fault.New(fault.Unavailable, "identity-provider-unavailable", "The service at which you sign in does not answer. Try again in a moment.")
	ErrOpenID       = fault.New(fault.Denied, "identity-provider-refused", "Signing in was not completed. Begin again.")
	ErrNotAnew      = fault.New(fault.Denied, "identity-provider-not-anew", "The service at which you sign in did not ask who you are. Use your password, or sign out there and try again.")
	ErrUnverified   = fault.New(fault.Denied, "address-unverified", "The service at which you sign in has not verified your mail address. An administrator there must do that.")
	ErrNobodyOfOurs = fault.New(fault.Denied, "not-in-directory", "You are signed in, and the organisation's directory knows nobody of your address.")
)

// OpenIDPolicy says at which identity provider people sign in (OpenID Connect, authorisation code with PKCE).
type OpenIDPolicy struct {
	// Issuer is the provider's address, at which its configuration is found (OpenID Connect Discovery): https://…. Empty
	// means that there is none.
	Issuer string `yaml:"issuer"`
	// Name is what the button says: what people call the provider.
	Name     string `yaml:"name"`
	ClientID string `yaml:"client_id"` // by which the provider knows this installation
	// ClientSecretFile holds the client's secret in its first line; the file must not be readable by others.
	ClientSecretFile string `yaml:"client_secret_file"`
	// Scopes are asked for beside openid, email and profile; some providers want one for groups.
	Scopes []string `yaml:"scopes"`
	// LoginClaim is the claim with people's login in the directory. Empty means that they are found by their mail address,
	// which counts only if the provider says that it verified it.
	LoginClaim string `yaml:"login_claim"`
	// GroupsClaim is the claim with the groups that Roles name; empty means groups.
	GroupsClaim string `yaml:"groups_claim"`
	// Roles gives the members of the provider's groups roles, beside those that the directory gives.
	Roles []OpenIDRole `yaml:"roles"`
}

// OpenIDRole gives the members of a group a role.
type OpenIDRole struct {
	Role  audit.Role `yaml:"role"`  // registrar, recovery-requester, recovery-agent, auditor or operator
	Group string     `yaml:"group"` // as the provider's claim has it
}

// Configured reports whether there is a provider.
func (p OpenIDPolicy) Configured() bool { return p.Issuer != "" }

// Validate returns every fault of the policy, each with its path, joined.
func (p OpenIDPolicy) Validate() error {
	if !p.Configured() {
		return nil
	}
	var errs []error
	say := func(path, what string) { errs = append(errs, fmt.Errorf("%s: %s", path, what)) }
	if !isIssuer(p.Issuer) {
		say("issuer", "must be https://host…, without ? and #")
	}
	if p.ClientID == "" {
		say("client_id", "is missing")
	}
	if p.ClientSecretFile == "" {
		say("client_secret_file", "is missing")
	}
	roles := []audit.Role{audit.Registrar, audit.RecoveryRequester, audit.RecoveryAgent, audit.Auditor, audit.Operator}
	for i, r := range p.Roles {
		if !slices.Contains(roles, r.Role) {
			say(fmt.Sprintf("roles[%d].role", i), fmt.Sprintf("there is no role %q", r.Role))
		}
		if r.Group == "" {
			say(fmt.Sprintf("roles[%d].group", i), "is missing")
		}
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// OpenIDConfig is what OpenID is made of. Every field without "nil" in its comment is required.
type OpenIDConfig struct {
	Policy    OpenIDPolicy
	Secret    string // the client's
	Redirect  string // where the provider sends people back to: an address of ours
	Directory *directory.Directory
	Client    *http.Client     // nil means one with a timeout of ten seconds
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil discards
}

// OpenID is the way by an identity provider. It is safe for concurrent use. The provider is asked for its configuration when
// the first person wants to sign in, so that the server starts without it.
type OpenID struct {
	OpenIDConfig

	mu       sync.Mutex
	provider *oidc.Provider
}

// NewOpenID returns the way.
func NewOpenID(c OpenIDConfig) (*OpenID, error) {
	if c.Secret == "" || c.Redirect == "" || c.Directory == nil || !c.Policy.Configured() {
		return nil, errors.New("signin: OpenIDConfig needs Policy, Secret, Redirect and Directory")
	}
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	if c.Policy.GroupsClaim == "" {
		c.Policy.GroupsClaim = "groups"
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &OpenID{OpenIDConfig: c}, nil
}

// Attempt is what somebody's browser keeps while they are at the provider: whoever comes back without it is refused.
type Attempt struct {
	State    string // that it was this browser which left (RFC 6749, 10.12)
	Nonce    string // that the answer is to this attempt (OpenID Connect Core, 3.1.2.1)
	Verifier string // that nobody else redeems the code (RFC 7636)
	Anew     bool   // that they show who they are even if the provider still knows them
}

// anewLasts is how long ago somebody may have shown who they are to whom we ask to do it anew: as long as the way back takes,
// with clocks that differ a little.
const anewLasts = 5 * time.Minute

// ready returns the provider, asked for its configuration once it answered.
func (o *OpenID) ready(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		// The provider keeps the context for fetching keys later: it must not end with this request.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.Client), o.Policy.Issuer)
		if err != nil {
			return nil, nil, ErrProvider.Because(err)
		}
		o.provider = p
	}
	return o.provider, &oauth2.Config{ClientID: o.Policy.ClientID, ClientSecret: o.Secret, RedirectURL: o.Redirect, Endpoint: o.provider.Endpoint(),
		Scopes: append([]string{oidc.ScopeOpenID, "email", "profile"}, o.Policy.Scopes...)}, nil
}

// Leave returns where somebody goes to sign in, and what their browser keeps until they are back. Anew demands that they
// show who they are even if the provider still knows them.
func (o *OpenID) Leave(ctx context.Context, anew bool) (address string, a Attempt, err error) {
	_, conf, err := o.ready(ctx)
	if err != nil {
		return "", a, err
	}
	a = Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Anew: anew}
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if anew {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return conf.AuthCodeURL(a.State, options...), a, nil
}

// Return takes what the provider sent somebody back with, and returns who they are, and the roles that the provider's groups
// give them.
func (o *OpenID) Return(ctx context.Context, a Attempt, answer url.Values) (Caller, []audit.Role, error) {
	if a.State == "" || subtle.ConstantTimeCompare([]byte(a.State), []byte(answer.Get("state"))) != 1 {
		return Caller{}, nil, ErrOpenID.Withf("Signing in was begun in another window, or too long ago. Begin again.")
	}
	if e := answer.Get("error"); e != "" {
		return Caller{}, nil, ErrOpenID.Because(fmt.Errorf("the provider says %.100q: %.200q", e, answer.Get("error_description")))
	}
	provider, conf, err := o.ready(ctx)
	if err != nil {
		return Caller{}, nil, err
	}
	ctx = oidc.ClientContext(ctx, o.Client)
	token, err := conf.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError {
			return Caller{}, nil, ErrOpenID.Because(fmt.Errorf("code: status %d %s", refused.Response.StatusCode, refused.ErrorCode))
		}
		return Caller{}, nil, ErrProvider.Because(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: o.Policy.ClientID, Now: o.Now}).Verify(ctx, raw)
	if err != nil {
		return Caller{}, nil, ErrOpenID.Because(err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return Caller{}, nil, ErrOpenID.Because(errors.New("the nonce is another"))
	}
	if a.Anew {
		if err := o.isAnew(id); err != nil {
			return Caller{}, nil, err
		}
	}
	claims, err := o.claims(ctx, provider, token, id)
	if err != nil {
		return Caller{}, nil, err
	}
	person, err := personOf(ctx, o.Directory, o.Policy.LoginClaim, claims)
	if err != nil {
		return Caller{}, nil, err
	}
	if person.Disabled {
		return Caller{}, nil, directory.ErrDisabled
	}
	return Caller{Actor: person.Actor(audit.MethodOpenID, audit.StrengthPassword)}, o.roles(claims), nil
}

// isAnew makes sure that somebody has just shown who they are. Providers may ignore that we asked for it, but must say when it
// was (OpenID Connect Core, 2 and 3.1.2.1).
func (o *OpenID) isAnew(id *oidc.IDToken) error {
	var c struct {
		At *int64 `json:"auth_time"`
	}
	if err := id.Claims(&c); err != nil {
		return ErrOpenID.Because(err)
	}
	if c.At == nil {
		return ErrNotAnew.Because(errors.New("there is no auth_time"))
	}
	if ago := o.Now().Sub(time.Unix(*c.At, 0)); ago > anewLasts {
		return ErrNotAnew.Because(fmt.Errorf("they signed in %s ago", ago))
	}
	return nil
}

// claims are those of the token, and what only the provider's userinfo has (OpenID Connect Core, 5.3), of the same subject.
func (o *OpenID) claims(ctx context.Context, p *oidc.Provider, token *oauth2.Token, id *oidc.IDToken) (map[string]any, error) {
	out := map[string]any{}
	if p.UserInfoEndpoint() != "" {
		info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return nil, ErrProvider.Because(err)
		}
		if info.Subject != id.Subject {
			return nil, ErrOpenID.Because(errors.New("userinfo is of another subject"))
		}
		if err := info.Claims(&out); err != nil {
			return nil, ErrOpenID.Because(err)
		}
	}
	signed := map[string]any{}
	if err := id.Claims(&signed); err != nil {
		return nil, ErrOpenID.Because(err)
	}
	for name, value := range signed { // what is signed counts before what is not
		out[name] = value
	}
	return out, nil
}

// personOf finds in the directory whom a provider's claims are about: by a claim with their login, else by their mail address if
// the provider verified it.
func personOf(ctx context.Context, d *directory.Directory, loginClaim string, claims map[string]any) (directory.Person, error) {
	find, by := d.ByMailbox, "email"
	if loginClaim != "" {
		find, by = d.ByLogin, loginClaim
	} else if !isTrue(claims["email_verified"]) {
		return directory.Person{}, ErrUnverified
	}
	value, _ := claims[by].(string)
	if value == "" {
		return directory.Person{}, ErrOpenID.Withf("The service at which you sign in does not say who you are (claim %s). An administrator there must add it.", by)
	}
	person, err := find(ctx, value)
	if errors.Is(err, directory.ErrUnknownPerson) {
		return person, ErrNobodyOfOurs.Because(err)
	}
	return person, err
}

// isTrue reads a claim that some providers write as a string.
func isTrue(claim any) bool {
	if s, ok := claim.(string); ok {
		return strings.EqualFold(s, "true")
	}
	b, _ := claim.(bool)
	return b
}

func (o *OpenID) roles(claims map[string]any) (out []audit.Role) {
	var groups []string
	switch g := claims[o.Policy.GroupsClaim].(type) {
	case string:
		groups = []string{g}
	case []any:
		for _, one := range g {
			if s, ok := one.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	for _, r := range o.Policy.Roles {
		if slices.Contains(groups, r.Group) && !slices.Contains(out, r.Role) {
			out = append(out, r.Role)
		}
	}
	return out
}
