package openid_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent/openid"
	"github.com/sealpost/sealpost/internal/openidtest"
)

// signer is a program that has somebody sign in. The time between questions passes at once, and is noted.
type signer struct {
	openid.Config
	waited []time.Duration
}

func newSigner(issuer string, decide func(openid.Prompt)) *signer {
	s := &signer{}
	s.Config = openid.Config{Issuer: issuer, ClientID: openidtest.Client, Scopes: []string{"openid", "email"}, HTTP: &http.Client{Timeout: 20 * time.Second}, Show: decide,
		Wait: func(ctx context.Context, d time.Duration) error {
			s.waited = append(s.waited, d)
			return ctx.Err()
		}}
	return s
}

// At a real provider somebody agrees, refuses, lets the code end, and the provider is busy.
func TestSignIn(t *testing.T) {
	t.Parallel()
	p := openidtest.New(t)
	says := func(yes bool) func(openid.Prompt) {
		return func(at openid.Prompt) {
			if !strings.HasPrefix(at.URL, p.Issuer) || !at.Until.After(time.Now()) {
				t.Errorf("the person is told %+v", at)
			}
			p.Decide(t, at.Code, "alice", yes)
		}
	}
	s := newSigner(p.Issuer, says(true))
	got, err := openid.SignIn(t.Context(), s.Config)
	if err != nil || openid.Name(got.ID) != p.Issuer+" alice" {
		t.Fatalf("%q, %v", openid.Name(got.ID), err)
	}
	if len(s.waited) != 1 || s.waited[0] != 5*time.Second {
		t.Errorf("waited %v, want what the provider says", s.waited)
	}
	s = newSigner(p.Issuer, says(true))
	p.Busy(2)
	if _, err := openid.SignIn(t.Context(), s.Config); err != nil {
		t.Error(err)
	}
	if len(s.waited) != 3 || s.waited[1] != 10*time.Second || s.waited[2] != 15*time.Second {
		t.Errorf("told twice to slow down: waited %v", s.waited)
	}
	if _, err := openid.SignIn(t.Context(), newSigner(p.Issuer, says(false)).Config); !errors.Is(err, openid.ErrDenied) {
		t.Errorf("refused: %v", err)
	}
	stranger := newSigner(p.Issuer, says(true))
	stranger.ClientID = "nobody"
	if _, err := openid.SignIn(t.Context(), stranger.Config); !errors.Is(err, openid.ErrRefused) && !errors.Is(err, openid.ErrUnreachable) {
		t.Errorf("a program that the provider does not know: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	if _, err := openid.SignIn(ended, newSigner(p.Issuer, func(openid.Prompt) { stop() }).Config); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	p.EndCodes()
	if _, err := openid.SignIn(t.Context(), newSigner(p.Issuer, func(openid.Prompt) {}).Config); !errors.Is(err, openid.ErrExpired) {
		t.Errorf("nobody came: %v", err)
	}
}

// What calls itself a provider and is not the one that the server names, or is none.
func TestProviderIsNotBelieved(t *testing.T) {
	t.Parallel()
	conf := map[string]any{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/device" {
			_ = json.NewEncoder(w).Encode(map[string]any{"device_code": "x", "user_code": "y", "verification_uri": conf["verification_uri"]})
			return
		}
		_ = json.NewEncoder(w).Encode(conf)
	}))
	t.Cleanup(server.Close)
	shown := func(openid.Prompt) { t.Error("the person is sent there") }
	for what, c := range map[string]struct {
		member string
		value  any
	}{
		"another issuer":             {"issuer", "https://elsewhere.test"},
		"the same with a slash":      {"issuer", server.URL + "/"},
		"no device flow":             {"device_authorization_endpoint", nil},
		"endpoints without TLS":      {"token_endpoint", "http://elsewhere.test/token"},
		"a page without TLS":         {"verification_uri", "http://elsewhere.test/device"},
		"a page that is a script":    {"verification_uri", "javascript:alert(1)"},
		"an endpoint that is a word": {"device_authorization_endpoint", "device"},
	} {
		conf = map[string]any{"issuer": server.URL, "device_authorization_endpoint": server.URL + "/device", "token_endpoint": server.URL + "/token", "verification_uri": server.URL + "/page"}
		conf[c.member] = c.value
		if _, err := openid.SignIn(t.Context(), newSigner(server.URL, shown).Config); !errors.Is(err, openid.ErrProvider) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := openid.SignIn(t.Context(), newSigner("http://login.example.test", shown).Config); !errors.Is(err, openid.ErrProvider) {
		t.Errorf("an issuer without TLS: %v", err)
	}
	server.Close()
	if _, err := openid.SignIn(t.Context(), newSigner(server.URL, shown).Config); !errors.Is(err, openid.ErrUnreachable) {
		t.Errorf("away: %v", err)
	}
}
