package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/testmail"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/clients"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// Config is what a Server is made of. Every field without "nil" or "empty" in its comment is required.
type Config struct {
	Registry  *enroll.Registry
	Authority *ca.Authority
	Archive   *archive.Archive // nil: there are no receipts
	Recovery  *recovery.Desk   // nil: there is nothing to recover
	Leavers   *leaver.Desk     // nil: nobody looks after people who leave
	Board     *archive.Board   // nil: no ceremonies are held by way of this server
	Directory *directory.Directory
	GAL       *gal.Publisher // nil: nobody's certificate is found or shown in the directory
	Contacts  *contact.Desk  // nil: there are no contacts
	TestMail  *testmail.Desk // nil: people send themselves no test mails
	Fleet     *fleet.Fleet   // nil: nothing is known of people's machines
	Audit     *audit.Log

	Finding Finding // to whom certificates are shown that are found without the directory

	CRL Lists // nil: there are no revocation lists
	// OCSP answers GET and POST for the issuer r.PathValue("issuer"). The request of a GET is r.PathValue("request"): base64
	// as it was sent, with any percent signs and slashes. Nil: there is no responder.
	OCSP http.Handler
	// Publications are further addresses of the public listener, such as the root's certificate and revocation list.
	Publications []Publication

	// Sessions are of people who use the portal; nil: there is no portal.
	Sessions     *session.Sessions
	Organisation string              // whose portal it is
	Mail         clients.Policy      // what people's mail programs are told
	OpenID       *signin.OpenID      // the portal's identity provider; nil: there is none
	PortalURL    string              // by which people reach the portal; needed for Certificates
	Certificates string              // the API's listener as browsers reach it, to sign in with a certificate; empty: nobody does that
	Requests     allowance.Allowance // for pages, of a person or a network; zero means 200 at once, and one more per 100ms
	// OfficersApprove lets officers answer cases in the portal, with their PKCS#12.
	OfficersApprove bool

	// Standing tells operators in the portal what this package does not know. Health and Serving need not be set.
	Standing portal.Standing

	// Kerberos says whose tickets are taken, by the API and by the portal; Keytab is its keytab's content.
	Kerberos signin.KerberosPolicy
	Keytab   []byte
	// Dialect is the kind of Directory, for what Kerberos leaves to it.
	Dialect string

	// Device says whose ID tokens are taken from programs.
	Device signin.DevicePolicy

	// Parts are what the health of the server consists of: database, directory, archive, audit, crl.
	Parts   []Part
	Version string // of the program

	// Certificate is the API's TLS certificate: a function, so that it can be renewed while the server runs.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Limits      Limits
	Metrics     *prometheus.Registry // nil: one of the server's own
	Gauges      []Gauge              // what other rooms tell monitoring
	Tables      []Table              // the same, of things of which there are several

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Lists has the issuers' newest revocation lists: *crl.Publisher.
type Lists interface {
	// Serve answers GET and HEAD with an issuer's list in DER and its caching headers. An error means that nothing was
	// answered yet.
	Serve(w http.ResponseWriter, r *http.Request, issuer string, k crl.Kind) error
	// Status tells those who may know how lists and distribution points stand.
	Status(ctx context.Context, by audit.Actor) (*crl.Status, error)
}

// Server is Sealpost's HTTP side. It is safe for concurrent use.
type Server struct {
	Config
	authenticators []signin.Authenticator
	kerberos       *signin.Kerberos // nil: no tickets are taken
	lookups        lookups
	failures       *failureCount
	turns          chan struct{} // see Limits.Turns
	metrics        *metrics
	health         *health

	portal   *portal.Portal
	router   *chi.Mux
	api      huma.API
	document []byte // OpenAPI
}

// New returns a server that does not listen yet.
func New(c Config) (*Server, error) {
	if c.Registry == nil || c.Authority == nil || c.Directory == nil || c.Audit == nil || c.Certificate == nil {
		return nil, errors.New("web: Config needs Registry, Authority, Directory, Audit and Certificate")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Limits = c.Limits.orDefaults()
	s := &Server{Config: c, turns: make(chan struct{}, c.Limits.Turns), lookups: newLookups(c.Finding.Lookups, c.Now), health: newHealth(c.Parts, c.Version, c.Log)}
	var err error
	if s.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, err
	}
	for _, g := range c.Gauges {
		if err := s.metrics.registry.Register(newGauge(g, c.Log)); err != nil {
			return nil, fmt.Errorf("web: metric %s: %w", g.Name, err)
		}
	}
	for _, t := range c.Tables {
		if err := s.metrics.registry.Register(newTable(t, c.Log)); err != nil {
			return nil, fmt.Errorf("web: metric %s: %w", t.Columns[0].Name, err)
		}
	}
	s.failures = &failureCount{metrics: s.metrics}
	password, err := s.openWays()
	if err != nil {
		return nil, err
	}
	if c.Sessions != nil {
		s.authenticators = append(s.authenticators, signin.Session{Sessions: c.Sessions, Directory: c.Directory})
		s.portal, err = portal.New(portal.Config{Organisation: c.Organisation, Mail: c.Mail, Sessions: c.Sessions, Password: password, OpenID: c.OpenID, Kerberos: s.kerberos, Certificates: c.Certificates, Requests: c.Requests, OfficersApprove: c.OfficersApprove, Directory: c.Directory, Authority: c.Authority,
			Registry: c.Registry, Audit: c.Audit, Archive: c.Archive, Recovery: c.Recovery, Board: c.Board, Leavers: c.Leavers, GAL: c.GAL, Contacts: c.Contacts, TestMail: c.TestMail, Fleet: c.Fleet, Lists: c.CRL, Standing: s.standing(),
			Problem: func(ctx context.Context, err error) api.Problem { return problemOf(ctx, err).Problem }, Called: called, Now: c.Now, Log: c.Log})
		if err != nil {
			return nil, err
		}
	}
	if err := s.route(); err != nil {
		return nil, err
	}
	if c.Certificates != "" && s.portal != nil {
		s.router.Get(portal.CertificatePath, s.handOver)
	}
	return s, nil
}

// openWays opens the ways to show who one is, but for the portal's sessions. The password is the portal's way, too.
func (s *Server) openWays() (password signin.Password, err error) {
	c, attempts := s.Config, signin.NewAttempts(s.Limits.Failures, s.Now)
	password = signin.Password{Directory: c.Directory, Attempts: attempts}
	s.authenticators = []signin.Authenticator{
		signin.NewCertificate(c.Authority, c.Directory, c.Now),
		signin.Token{Registry: c.Registry, Attempts: attempts},
		password,
	}
	device, err := signin.NewDevice(signin.DeviceConfig{Policy: c.Device, Directory: c.Directory, Attempts: attempts, Now: c.Now})
	if err != nil {
		return password, fmt.Errorf("web: device_login: %w", err)
	}
	s.authenticators = append(s.authenticators, device)
	if c.Kerberos.Configured() {
		s.kerberos, err = signin.NewKerberos(signin.KerberosConfig{Policy: c.Kerberos, Keytab: c.Keytab, Dialect: c.Dialect, Directory: c.Directory,
			Attempts: attempts, Certificate: c.Certificate, Now: c.Now})
		if err != nil {
			return password, fmt.Errorf("web: kerberos: %w", err)
		}
		s.authenticators = append(s.authenticators, s.kerberos)
	}
	return password, nil
}

// standing is what operators are told in the portal, with what is known here.
func (s *Server) standing() portal.Standing {
	out := s.Standing
	out.Health = s.health.ask
	out.Serving = func() (*x509.Certificate, error) {
		c, err := s.Certificate(&tls.ClientHelloInfo{})
		if err != nil || c == nil || len(c.Certificate) == 0 {
			return nil, err
		}
		return x509.ParseCertificate(c.Certificate[0])
	}
	return out
}

// API returns the handler of the API's listener.
func (s *Server) API() http.Handler { return s.entry(s.router, slog.LevelInfo) }

// Portal returns the handler of the portal's listener: its pages, and the REST interface for the scripts in them. There must
// be Sessions.
func (s *Server) Portal() http.Handler {
	return s.entry(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, api.Base+"/") {
			s.router.ServeHTTP(w, r)
			return
		}
		s.portal.ServeHTTP(w, r)
	}), slog.LevelInfo)
}

// called is told by the portal which page a request is for.
func called(ctx context.Context, page string, by signin.Caller) {
	c := callOf(ctx)
	c.operation, c.caller = "page "+page, by
}

// Public returns the handler of the public listener.
func (s *Server) Public() http.Handler { return newPublic(s) }

// TLS returns the TLS configuration of the API's listener. Every client certificate is let in, because one that is not
// good must get an answer that says why; the signin.Authenticator verifies it.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, GetCertificate: s.Certificate,
		NextProtos: []string{"h2", "http/1.1"}}
}

// Listeners are where a server listens. Those that are nil are left out.
type Listeners struct {
	Portal  net.Listener // HTTPS, without client certificates, which would have browsers ask people which; plain connections, as for the API
	API     net.Listener // HTTPS; plain connections, which the server wraps
	Public  net.Listener // HTTP
	Metrics net.Listener // HTTP, for the operator's monitoring alone
}

// shutdownTimeout is how long requests that are being answered may still take when the server stops.
const shutdownTimeout = 15 * time.Second

// Run serves until the context ends, then finishes the requests it has and returns nil; or it returns why it could not.
func (s *Server) Run(ctx context.Context, l Listeners) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", s.metrics.handler())
	var servers []*http.Server
	ended := make(chan error)
	serve := func(l net.Listener, h http.Handler, secure *tls.Config) {
		if l == nil {
			return
		}
		server := s.server(h)
		servers = append(servers, server)
		go func() {
			if secure != nil {
				server.TLSConfig = secure
				ended <- server.ServeTLS(l, "", "")
			} else {
				ended <- server.Serve(l)
			}
		}()
	}
	serve(l.API, s.API(), patient(s.TLS(), s.Limits.Handshake))
	if s.portal != nil {
		pages := s.TLS()
		pages.ClientAuth = tls.NoClientCert
		serve(l.Portal, s.Portal(), pages)
	}
	serve(l.Public, s.Public(), nil)
	serve(l.Metrics, metrics, nil)
	watched := make(chan struct{})
	go func() {
		s.watchFailures(ctx)
		close(watched)
	}()
	var err error
	running := len(servers)
	select {
	case err = <-ended: // before anybody asked for it
		running--
	case <-ctx.Done():
	}
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancelLast()
	for _, server := range servers {
		if stop := server.Shutdown(last); stop != nil {
			s.Log.Warn("requests were cut off", "error", stop)
			_ = server.Close() // what it could not finish; the reason is logged
		}
	}
	for ; running > 0; running-- {
		<-ended
	}
	cancel()
	<-watched
	return err
}

// patient gives clients more time for the rest of a handshake than net/http does, which is that for the head of a request: a person may
// have to touch a token or type a PIN before theirs goes on. Who does not even begin gets no more.
func patient(c *tls.Config, limit time.Duration) *tls.Config {
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, hello.Conn.SetDeadline(time.Now().Add(limit)) // net/http takes it back after the handshake
	}
	return c
}

func (s *Server) server(h http.Handler) *http.Server {
	l := s.Limits
	return &http.Server{
		Handler: h, ReadHeaderTimeout: l.Header, ReadTimeout: l.Header + l.Body, WriteTimeout: l.Header + l.Body + l.Call,
		IdleTimeout: l.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // about single connections
	}
}
