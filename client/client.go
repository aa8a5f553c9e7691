// Package client speaks Sealpost's REST interface (package api) for programs that run elsewhere: the agent on a
// workstation, an officer's tool, a script. It owns the HTTP side: TLS, authentication, limits on what is read, patience
// with a server that is busy or away, and the translation of problem documents (RFC 9457) into faults.
//
// It makes no keys, stores nothing, and believes nothing: that a certificate or a receipt is what it should be is for
// the caller to check.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// Limits on what is read from the server, in bytes.
const (
	maxAnswer   = 8 << 20   // a page of certificates with their chains
	maxDrafts   = 64 << 20  // what 65536 keys are called, or a case of as many
	maxCeremony = 256 << 20 // all messages of 255 officers
	maxSealed   = 1 << 30   // what 255 officers seal for 65536 keys
	maxCRL      = 64 << 20  // a million revocations
	maxProblem  = 16 << 10
	maxPolicy   = 1 << 20 // what internal/jws opens
)

const (
	defaultTimeout = 30 * time.Second
	defaultRetries = 4
	defaultBackoff = 500 * time.Millisecond
	maxWait        = time.Minute // longest pause a server may ask for before an attempt is given up

	handshake = 10 * time.Second // that the network may take for TLS
	signing   = 2 * time.Minute  // and a person, who has to touch a token or type a PIN for the client certificate
)

// ErrConfig means that New was given something it cannot work with.
var ErrConfig = fault.New(fault.Malformed, "client-config", "The client is not configured correctly.")

// Config says which server to speak to and as whom. At most one way to authenticate may be given; with none, only what
// is public can be asked for.
type Config struct {
	// BaseURL is the server's address, https only, without api.Base: "https://ca.example.test:8443".
	BaseURL string
	// Roots that the server's certificate must chain to; nil means the system's.
	Roots *x509.CertPool

	// Login and Password are the person's at the directory, sent as HTTP Basic (RFC 7617) over TLS.
	Login, Password string
	// Token is an enrolment token, sent as a bearer token (RFC 6750).
	Token string
	// IDToken is an identity provider's, got a few minutes ago, sent as a bearer token.
	IDToken string
	// Kerberos shows a ticket with each request; nil: none.
	Kerberos Negotiator
	// ClientCertificate authenticates the TLS connection. It is presented whenever the server asks for one, whatever
	// issuers the server names.
	ClientCertificate *tls.Certificate

	// Machine is sent as api.MachineHeader; the nil id is not.
	Machine uuid.UUID

	// Heard is told the server's time with every answer that has it, in whole seconds; nil for nobody.
	Heard func(serverTime time.Time)
	// Timeout of one attempt, from connecting to the last byte, but for the time that the client certificate's key takes to sign; zero means
	// 30 seconds.
	Timeout time.Duration
	// Retries after the first attempt, of calls that may be repeated; zero means 4, negative none.
	Retries int
	// Backoff is the first pause between attempts, doubled each time; zero means half a second.
	Backoff time.Duration
	// UserAgent names the calling program to the server; empty means "sealpost-client".
	UserAgent string
	// Now is the time by which the server's TLS certificate is judged; nil means time.Now.
	Now func() time.Time
	// Log hears of repeated attempts; nil discards.
	Log *slog.Logger
}

// Client is a connection to one server as one person. It is safe for concurrent use.
type Client struct {
	cfg   Config
	base  *url.URL
	http  *http.Client
	signs *witness // the client certificate's key; nil if there is none

	mu     sync.Mutex
	server *x509.Certificate // that was met, where tickets are shown
}

// New checks the configuration. It does not connect.
func New(cfg Config) (*Client, error) {
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkCredentials(); err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Retries == 0 {
		cfg.Retries = defaultRetries
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = defaultBackoff
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "sealpost-client"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var signs *witness
	cfg.ClientCertificate, signs = witnessed(cfg.ClientCertificate)
	return &Client{cfg: cfg, base: base, signs: signs, http: &http.Client{
		Transport: transport(cfg, signs),
		// The interface has no redirects. Following one would hand the password or the token to whoever sent it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, ErrConfig.Withf("The server's address is not a URL.").Because(err)
	case u.Scheme != "https":
		return nil, ErrConfig.Withf("The server's address must begin with https://.")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, ErrConfig.Withf("The server's address must be https://HOST[:PORT] and nothing more.")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), api.Base)
	u.RawPath = ""
	return u, nil
}

func (c Config) checkCredentials() error {
	ways := 0
	for _, given := range []bool{c.Login != "" || c.Password != "", c.Token != "", c.IDToken != "", c.ClientCertificate != nil, c.Kerberos != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return ErrConfig.Withf("Give a login, a token, a Kerberos ticket, an identity provider's token or a client certificate: one of them.")
	case strings.Contains(c.Login, ":"):
		return ErrConfig.Withf("A login cannot contain a colon.")
	case c.Login == "" && c.Password != "", c.Login != "" && c.Password == "":
		return ErrConfig.Withf("A login needs a password, and a password a login.")
	case strings.ContainsFunc(c.Token+c.IDToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return ErrConfig.Withf("The token has characters that no token has. Was it copied whole?")
	case c.ClientCertificate != nil && (len(c.ClientCertificate.Certificate) == 0 || c.ClientCertificate.PrivateKey == nil):
		return ErrConfig.Withf("The client certificate has no certificate or no key.")
	}
	return nil
}

func transport(cfg Config, signs *witness) *http.Transport {
	limit := handshake
	if signs != nil && waitsForPeople(signs.Signer) {
		limit += signing // that of the attempt stands still meanwhile; this one cannot
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots, Time: cfg.Now}
	if cert := cfg.ClientCertificate; cert != nil {
		// A callback, because tls.Config.Certificates are kept back when the server's list of issuers lacks theirs.
		tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        tlsConfig,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    limit,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Close closes idle connections. The client stays usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// wait pauses for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
