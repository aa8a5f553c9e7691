package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of signing in with an ID token.
var (
	ErrIDToken      = fault.New(fault.Denied, "openid-token", "The identity provider's token is not accepted.")
	ErrIDTokenEnded = fault.New(fault.Denied, "openid-token-ended", "Signing in at the identity provider is too long ago. Sign in again.")
	ErrNoDevices    = fault.New(fault.Denied, "openid-not-taken", "This server takes no tokens of an identity provider. Use login and password, a Kerberos ticket or an enrolment token.")
)

// tokenLasts is for how long after its making an ID token is taken, whatever it says itself: it is tied to nothing, and whoever
// has it is the person. It is long enough for a request to be issued.
const tokenLasts = 10 * time.Minute

// tokenSkew is how far ahead of ours the provider's clock may be.
const tokenSkew = time.Minute

// DeviceConfig is what Device is made of. Every field without "nil" in its comment is required.
type DeviceConfig struct {
	Policy    DevicePolicy // none: every token is refused
	Directory *directory.Directory
	Attempts  *Attempts
	Client    *http.Client     // nil means one with a timeout of ten seconds
	Now       func() time.Time // nil means time.Now
}

// Device knows people by an ID token (OpenID Connect Core, 2) that their program got by the device flow, sent as a bearer token. It is
// safe for concurrent use.
//
// An ID token is tied to no connection, and it may be used more than once while it is fresh: one request of the agent's is not
// the only one.
type Device struct {
	DeviceConfig

	mu       sync.Mutex
	provider *oidc.Provider
}

// NewDevice returns the way.
func NewDevice(c DeviceConfig) (*Device, error) {
	if c.Directory == nil || c.Attempts == nil {
		return nil, errors.New("signin: DeviceConfig needs Directory and Attempts")
	}
	if err := c.Policy.Validate(OpenIDPolicy{}); err != nil {
		return nil, err
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Device{DeviceConfig: c}, nil
}

// isIDToken tells what a provider signed (a JWS of three parts) from our own tokens, which have no dot.
func isIDToken(token string) bool { return strings.Count(token, ".") == 2 }

// Authenticate takes a bearer token that is an ID token.
func (d *Device) Authenticate(ctx context.Context, r *http.Request) (c Caller, err error) {
	token, ok := bearer(r)
	if !ok || !isIDToken(token) {
		return Caller{}, ErrNotOffered
	}
	if !d.Policy.Configured() {
		return Caller{}, ErrNoDevices
	}
	err = d.Attempts.try(ctx, token, r.RemoteAddr, func() error { // each is another login: only the address counts
		c, err = d.take(ctx, token)
		return err
	})
	if err != nil {
		return Caller{}, err
	}
	return c, nil
}

// tokenClaims are what is read of an ID token beside what the library reads.
type tokenClaims struct {
	AuthorizedParty string `json:"azp"`
	AuthTime        *int64 `json:"auth_time"`
}

func (d *Device) take(ctx context.Context, token string) (Caller, error) {
	id, err := d.verify(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	var said tokenClaims
	claims := map[string]any{}
	if err := errors.Join(id.Claims(&said), id.Claims(&claims)); err != nil {
		return Caller{}, ErrIDToken.Because(err)
	}
	if said.AuthorizedParty != d.Policy.ClientID && (said.AuthorizedParty != "" || len(id.Audience) > 1) {
		return Caller{}, ErrIDToken.Because(fmt.Errorf("it was made for %.100q", said.AuthorizedParty))
	}
	now := d.Now()
	if id.IssuedAt.Sub(now) > tokenSkew {
		return Caller{}, ErrIDToken.Withf("The identity provider's clock is ahead of the server's. Try again in a few minutes.")
	}
	if now.Sub(id.IssuedAt) > tokenLasts {
		return Caller{}, ErrIDTokenEnded
	}
	person, err := personOf(ctx, d.Directory, d.Policy.LoginClaim, claims)
	if err != nil {
		return Caller{}, err
	}
	if person.Disabled {
		return Caller{}, directory.ErrDisabled
	}
	c := Caller{Actor: person.Actor(audit.MethodOpenID, audit.StrengthPassword), Stale: said.AuthTime == nil || now.Sub(time.Unix(*said.AuthTime, 0)) > anewLasts}
	if !d.Policy.AllRoles {
		c.Actor.Roles = []audit.Role{audit.Subscriber}
	}
	return c, nil
}

// verify makes sure that our provider signed the token for our programs, and that it has not ended.
func (d *Device) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	if err := isJWT(token); err != nil {
		return nil, ErrIDToken.Because(err)
	}
	provider, err := d.ready(ctx)
	if err != nil {
		return nil, err
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: d.Policy.ClientID, Now: d.Now}).Verify(oidc.ClientContext(ctx, d.Client), token)
	if ended := (*oidc.TokenExpiredError)(nil); errors.As(err, &ended) {
		return nil, ErrIDTokenEnded.Because(err)
	}
	if err != nil {
		return nil, ErrIDToken.Because(err)
	}
	return id, nil
}

// isJWT refuses what a provider signs for other purposes than to say who somebody is: an access token (RFC 9068) says so in its
// header.
func isJWT(token string) error {
	head, _, _ := strings.Cut(token, ".")
	content, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return err
	}
	var h struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(content, &h); err != nil {
		return err
	}
	if h.Type != "" && !strings.EqualFold(h.Type, "JWT") {
		return fmt.Errorf("it is of the type %.40q", h.Type)
	}
	return nil
}

// ready returns the provider, asked for its configuration once it answered.
func (d *Device) ready(ctx context.Context) (*oidc.Provider, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.provider == nil {
		// The provider keeps the context for fetching keys later: it must not end with this request.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), d.Client), d.Policy.Issuer)
		if err != nil {
			return nil, ErrProvider.Because(err)
		}
		d.provider = p
	}
	return d.provider, nil
}
