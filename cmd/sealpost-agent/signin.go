package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/openid"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

var errNoOpenID = fault.New(fault.Denied, "openid-not-taken", "This server names no service to sign in at. Use --login, --kerberos or --token-file.")

// ways asks the server which ways there are to say who is asking.
func (s *session) ways(settings agent.Settings) (api.SignIn, error) {
	roots, err := settings.TLSRoots()
	if err != nil {
		return api.SignIn{}, err
	}
	c, err := client.New(client.Config{BaseURL: settings.Server, Roots: roots, UserAgent: userAgent()})
	if err != nil {
		return api.SignIn{}, err
	}
	defer c.Close()
	return c.SignIn(s.ctx)
}

// identify has the person sign in at the organisation's identity provider, where this run says so. The token is in memory alone.
func (s *session) identify(settings agent.Settings) (c client.Config, err error) {
	if s.login != "" || s.tokenFile != "" || s.passwordFile != "" || s.kerberos {
		return c, errSecret.Withf("Give --openid, --kerberos, --login or --token-file: one of them.")
	}
	ways, err := s.ways(settings)
	if err != nil {
		return c, err
	}
	if ways.OpenID == nil {
		return c, errNoOpenID
	}
	return s.signIn(s.ctx, settings, *ways.OpenID)
}

func (s *session) signIn(ctx context.Context, settings agent.Settings, at api.OpenIDSignIn) (c client.Config, err error) {
	settings.SystemRoots = true // the provider need not be under our root
	roots, err := settings.TLSRoots()
	if err != nil {
		return c, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10}
	defer transport.CloseIdleConnections()
	token, err := openid.SignIn(ctx, openid.Config{Issuer: at.Issuer, ClientID: at.ClientID, Scopes: at.Scopes, HTTP: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		Show: func(p openid.Prompt) {
			fmt.Fprintf(s.stderr, "To sign in, open %s on any device, and type the code %s there. It serves until %s.\nIf you did not start this yourself, do not type it.\n",
				plain(p.URL), plain(p.Code), p.Until.Local().Format("15:04"))
		}})
	c.IDToken = token.ID
	return c, err
}

// choose finds a way to say who is asking where this run names none: the ticket of the computer's login, or, with somebody at the
// terminal, the identity provider. Else it says which there are.
func (s *session) choose(settings agent.Settings) (c client.Config, err error) {
	ways, err := s.ways(settings)
	if err != nil {
		return c, errSecret.Withf("Say who is enrolling: --login NAME, --kerberos, --openid, or --token-file FILE.").Because(err)
	}
	offered := []string{"--login NAME", "--token-file FILE"}
	if ways.Kerberos != nil {
		offered = append(offered, "--kerberos")
		if login, err := s.loginTicket(); err == nil { // else there is another way
			s.progress("ticket", "showing the Kerberos ticket of "+login.Principal())
			return client.Config{Kerberos: login}, nil
		}
	}
	if ways.OpenID != nil {
		offered = append(offered, "--openid")
		if term.IsTerminal(int(s.stdin.Fd())) {
			return s.signIn(s.ctx, settings, *ways.OpenID)
		}
	}
	return c, errSecret.Withf("Say who is enrolling. This server takes: %s.", strings.Join(offered, ", "))
}
