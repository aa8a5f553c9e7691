// Package openidtest runs an OpenID provider in this process, for programs (the device flow) or for a server's pages, for tests: zitadel's
// example of one, with accounts of its own. It is imported by tests only.
//
// It owns the provider, its accounts and its clients, and it plays the person who signs in there. It knows nothing of who takes
// the tokens.
package openidtest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Clients of the provider: the agents', and another that has the same rights there.
const (
	Client  = "sealpost-agent"
	Another = "another-program"
)

// Provider is one that runs until the test ends.
type Provider struct {
	Issuer string

	mu     sync.Mutex
	faults faults
}

// faults are what the provider is to do wrong.
type faults struct {
	ended    bool          // codes have ended when they are made
	busy     int           // how many more questions are answered with slow_down
	authTime time.Duration // how long ago people signed in; negative: it is not said
}

// account is one in the provider's file.
type account struct {
	ID, Username, Password, FirstName, LastName, Email, PreferredLanguage string
	EmailVerified                                                         bool
}

// New runs a provider for programs, by the device flow.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{faults: faults{authTime: -1}}
	clients := map[string]*storage.Client{Client: storage.DeviceClient(Client, ""), Another: storage.DeviceClient(Another, "")}
	users := accounts(t)
	p.Issuer, _ = serve(t, "", func(issuer string) http.Handler {
		return exampleop.SetupServer(issuer, &store{storage.NewStorageWithClients(users, clients), p}, slog.New(slog.DiscardHandler), false)
	})
	return p
}

// ForWeb runs a provider for one server's pages, whose client is "sealpost" with the secret "secret": it sends people back to one address.
func ForWeb(t testing.TB, back string) (issuer string, stop func()) {
	t.Helper()
	clients := map[string]*storage.Client{"sealpost": storage.WebClient("sealpost", "secret", back)}
	users := accounts(t)
	return serve(t, "/", func(issuer string) http.Handler {
		return exampleop.SetupServer(issuer, storage.NewStorageWithClients(users, clients), slog.New(slog.DiscardHandler), false)
	})
}

// serve runs a provider whose issuer is its address with an ending, until the test ends.
func serve(t testing.TB, ending string, handler func(issuer string) http.Handler) (issuer string, stop func()) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer = "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1) + ending
	server.Config.Handler = handler(issuer)
	server.Start()
	t.Cleanup(server.Close)
	return issuer, server.Close
}

// accounts are those of alice, dave and rita, of bob, whose address is not verified, and of mallory, whose is elsewhere.
func accounts(t testing.TB) storage.UserStore {
	t.Helper()
	all := map[string]account{}
	for name, a := range map[string]account{
		"alice":   {Email: "alice@example.test", EmailVerified: true},
		"bob":     {Email: "bob@example.test"},
		"dave":    {Email: "dave@example.test", EmailVerified: true},
		"rita":    {Email: "rita@example.test", EmailVerified: true},
		"mallory": {Email: "mallory@elsewhere.test", EmailVerified: true},
	} {
		a.ID, a.Username, a.Password, a.FirstName, a.PreferredLanguage = name, name, Password(name), name, "en"
		all[name] = a
	}
	content, err := json.Marshal(all)
	must(t, err)
	file := filepath.Join(t.TempDir(), "users.json")
	must(t, os.WriteFile(file, content, 0o600))
	users, err := storage.StoreFromFile(file)
	must(t, err)
	return users
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Password is that of an account.
func Password(name string) string { return "pw-" + name }

// EndCodes has the provider make codes that have ended.
func (p *Provider) EndCodes() { p.change(func(f *faults) { f.ended = true }) }

// Busy has the provider answer slow_down to the next n questions.
func (p *Provider) Busy(n int) { p.change(func(f *faults) { f.busy = n }) }

// SignedIn has the provider say that people signed in so long ago.
func (p *Provider) SignedIn(ago time.Duration) { p.change(func(f *faults) { f.authTime = ago }) }

func (p *Provider) change(f func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.faults)
}

// store is the example's, with public clients, and the faults.
type store struct {
	*storage.Storage
	p *Provider
}

// public is a client without a secret whose ID tokens have people's addresses.
type public struct{ op.Client }

func (public) ApplicationType() op.ApplicationType  { return op.ApplicationTypeNative }
func (public) AuthMethod() oidc.AuthMethod          { return oidc.AuthMethodNone }
func (public) IDTokenUserinfoClaimsAssertion() bool { return true }

// GetClientByClientID makes the example's clients public.
func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return public{c}, err
}

// StoreDeviceAuthorization keeps a code.
func (s *store) StoreDeviceAuthorization(ctx context.Context, client, device, user string, expires time.Time, scopes []string) error {
	s.p.mu.Lock()
	if s.p.faults.ended {
		expires = time.Now().Add(-time.Second)
	}
	s.p.mu.Unlock()
	return s.Storage.StoreDeviceAuthorization(ctx, client, device, user, expires, scopes)
}

// GetDeviceAuthorizatonState is spelt so by the library.
func (s *store) GetDeviceAuthorizatonState(ctx context.Context, client, device string) (*op.DeviceAuthorizationState, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.faults.busy > 0 {
		s.p.faults.busy--
		return nil, context.DeadlineExceeded
	}
	state, err := s.Storage.GetDeviceAuthorizatonState(ctx, client, device)
	if err != nil {
		return nil, err
	}
	out := *state
	if s.p.faults.authTime >= 0 {
		out.AuthTime = time.Now().Add(-s.p.faults.authTime)
	}
	return &out, nil
}

// Decide plays the person: it signs in with a code in a browser, and agrees or refuses.
func (p *Provider) Decide(t testing.TB, code, name string, yes bool) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	resp, err := browser.PostForm(p.Issuer+"/device/login", url.Values{"user_code": {code}, "username": {name}, "password": {Password(name)}})
	must(t, err)
	page := read(t, resp)
	if !strings.Contains(page, "Welcome back "+name) {
		t.Fatalf("%s cannot sign in with the code %q: %s", name, code, page)
	}
	action := map[bool]string{true: "allowed", false: "denied"}[yes]
	resp, err = browser.Get(p.Issuer + "/device/confirm?action=" + action)
	must(t, err)
	if page := read(t, resp); !strings.Contains(page, "Device authorization "+action) {
		t.Fatalf("%s cannot decide: %s", name, page)
	}
}

// Token returns an ID token of somebody's, which the provider made for a client.
func (p *Provider) Token(t testing.TB, name, client string) string {
	t.Helper()
	var d struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	p.form(t, "/device_authorization", url.Values{"client_id": {client}, "scope": {"openid email profile"}}, &d)
	p.Decide(t, d.UserCode, name, true)
	var got struct {
		ID string `json:"id_token"`
	}
	p.form(t, "/oauth/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.DeviceCode}, "client_id": {client}}, &got)
	if got.ID == "" {
		t.Fatalf("%s gets no ID token", name)
	}
	return got.ID
}

func (p *Provider) form(t testing.TB, path string, form url.Values, into any) {
	t.Helper()
	resp, err := http.PostForm(p.Issuer+path, form)
	must(t, err)
	if body := read(t, resp); resp.StatusCode != http.StatusOK || json.Unmarshal([]byte(body), into) != nil {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
}

func read(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(body)
}
