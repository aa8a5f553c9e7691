// Package openid has a person sign in at their organisation's identity provider from a program without a browser, by the device
// flow (RFC 8628): it shows an address and a code, waits until the person has signed in there on any device, and gets an ID token.
//
// It believes nothing of the token: that it is good is for the server to decide. It keeps nothing on disk.
package openid

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that a person can do something about.
var (
	ErrUnreachable = fault.New(fault.Unavailable, "openid-unreachable", "The service at which you sign in does not answer. Check the network, then try again.")
	ErrProvider    = fault.New(fault.Denied, "openid-provider", "The service at which you sign in is not what the server says it is. Tell an administrator.")
	ErrDenied      = fault.New(fault.Denied, "openid-denied", "Signing in was refused in the browser.")
	ErrExpired     = fault.New(fault.Denied, "openid-expired", "Nobody signed in with the code in time. Run the same command again for a new code.")
	ErrRefused     = fault.New(fault.Denied, "openid-refused", "The service at which you sign in refuses this program. Tell an administrator.")
)

const (
	maxAnswer   = 1 << 20
	usualPause  = 5 * time.Second // RFC 8628, 3.2
	longestLife = time.Hour       // of a code, whatever the provider says
	grantType   = "urn:ietf:params:oauth:grant-type:device_code"
)

// Prompt is what a person is to do.
type Prompt struct {
	URL   string // where to go, on any device
	Code  string // what to type there
	Until time.Time
}

// Config says where to sign in. Every field without "nil" in its comment is required.
type Config struct {
	Issuer, ClientID string
	Scopes           []string
	HTTP             *http.Client // without a jar; it should have a timeout
	Show             func(Prompt)
	Now              func() time.Time                           // nil means time.Now
	Wait             func(context.Context, time.Duration) error // between questions; nil means to let the time pass
}

// Token is what the provider says of somebody. It is a secret: whoever has it is the person, for some minutes.
type Token struct{ ID string }

// endpoints are what is needed of a provider's configuration.
type endpoints struct {
	Issuer string `json:"issuer"`
	Device string `json:"device_authorization_endpoint"`
	Token  string `json:"token_endpoint"`
}

// SignIn has the person sign in. It returns when they have, or have refused, or when the code has ended.
func SignIn(ctx context.Context, c Config) (Token, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = pass
	}
	at, err := c.discover(ctx)
	if err != nil {
		return Token{}, err
	}
	var d struct {
		Code      string `json:"device_code"`
		UserCode  string `json:"user_code"`
		URL       string `json:"verification_uri"`
		ExpiresIn int64  `json:"expires_in"`
		Interval  int64  `json:"interval"`
	}
	refused, err := c.post(ctx, at.Device, url.Values{"client_id": {c.ClientID}, "scope": {strings.Join(c.Scopes, " ")}}, &d)
	switch {
	case err != nil:
		return Token{}, err
	case refused != "":
		return Token{}, ErrRefused.Because(fmt.Errorf("device authorization: %s", refused))
	case d.Code == "" || d.UserCode == "" || !secure(d.URL):
		return Token{}, ErrProvider.Because(errors.New("device authorization: the answer is not whole"))
	}
	life := time.Duration(min(max(d.ExpiresIn, 1), int64(longestLife/time.Second))) * time.Second
	until := c.Now().Add(life)
	c.Show(Prompt{URL: d.URL, Code: d.UserCode, Until: until})
	pause := usualPause
	if d.Interval > 0 {
		pause = time.Duration(min(d.Interval, 60)) * time.Second
	}
	return c.await(ctx, at.Token, d.Code, pause, until)
}

// await asks until the person has decided (RFC 8628, 3.4 and 3.5).
func (c Config) await(ctx context.Context, endpoint, code string, pause time.Duration, until time.Time) (Token, error) {
	for {
		if err := c.Wait(ctx, pause); err != nil {
			return Token{}, err
		}
		var got struct {
			ID string `json:"id_token"`
		}
		refused, err := c.post(ctx, endpoint, url.Values{"grant_type": {grantType}, "device_code": {code}, "client_id": {c.ClientID}}, &got)
		switch {
		case err != nil && (!errors.Is(err, ErrUnreachable) || ctx.Err() != nil):
			return Token{}, err
		case refused == "slow_down":
			pause += usualPause
		case err != nil: // it may be back: the person may be typing the code meanwhile
			pause = min(2*pause, time.Minute)
		case refused == "authorization_pending":
		case refused == "access_denied":
			return Token{}, ErrDenied
		case refused == "expired_token":
			return Token{}, ErrExpired
		case refused != "":
			return Token{}, ErrRefused.Because(fmt.Errorf("token: %s", refused))
		case strings.Count(got.ID, ".") != 2:
			return Token{}, ErrProvider.Because(errors.New("token: there is no id_token"))
		default:
			return Token{ID: got.ID}, nil
		}
		if c.Now().After(until) {
			return Token{}, ErrExpired
		}
	}
}

func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// discover asks the provider for its configuration, which must be that of the issuer (OpenID Connect Discovery, 4.3).
func (c Config) discover(ctx context.Context) (at endpoints, err error) {
	if !secure(c.Issuer) {
		return at, ErrProvider.Withf("The server names a service to sign in at whose address is not https://. Nobody should sign in there.")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return at, ErrProvider.Because(err)
	}
	status, body, err := c.do(req)
	switch {
	case err != nil:
		return at, err
	case status != http.StatusOK:
		return at, ErrProvider.Because(fmt.Errorf("configuration: status %d", status))
	}
	if err := json.Unmarshal(body, &at); err != nil {
		return at, ErrProvider.Because(err)
	}
	switch {
	case at.Issuer != c.Issuer:
		return at, ErrProvider.Because(fmt.Errorf("it calls itself %.200q, the server calls it %.200q", at.Issuer, c.Issuer))
	case at.Device == "":
		return at, ErrProvider.Withf("The service at which you sign in has no way for programs without a browser (device flow). Tell an administrator, and use another way.")
	case !secure(at.Device) || !secure(at.Token):
		return at, ErrProvider.Because(errors.New("an endpoint is not https"))
	}
	return at, nil
}

// secure reports whether what goes there is encrypted, or does not leave this machine.
func secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// post sends a form. It returns the error code of an answer that is a refusal (RFC 6749, 5.2).
func (c Config) post(ctx context.Context, address string, form url.Values, into any) (refused string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", ErrProvider.Because(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := c.do(req)
	if err != nil {
		return "", err
	}
	if status/100 == 2 {
		if err := json.Unmarshal(body, into); err != nil {
			return "", ErrProvider.Because(err)
		}
		return "", nil
	}
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		return "", ErrProvider.Because(fmt.Errorf("status %d without an error code", status))
	}
	return fmt.Sprintf("%.60s", e.Error), nil
}

func (c Config) do(req *http.Request) (status int, body []byte, err error) {
	req.Header.Set("Accept", "application/json")
	client := *c.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it would pass on the code
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, ErrUnreachable.Because(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, ErrUnreachable.Because(err)
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return 0, nil, ErrUnreachable.Because(fmt.Errorf("status %d", resp.StatusCode))
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return 0, nil, ErrProvider.Because(fmt.Errorf("status %d, and no JSON", resp.StatusCode))
	}
	return resp.StatusCode, body, nil
}

// Name is whose token it says it is, for telling apart who signed in here: the issuer and their name there. It is not verified.
func Name(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var said struct{ Iss, Sub string }
	content, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(content, &said) != nil {
		return ""
	}
	return said.Iss + " " + said.Sub
}
