// Package agent is what a workstation does to have secure mail: it makes the keys, asks for the certificates, checks what
// comes back, keeps it, and puts it where mail programs look; later it renews in time, and keeps every encryption key
// that old mail needs.
//
// It owns the folder on the workstation in which this is kept, the private keys made here, and the judgement whether an
// answer of the server's is to be believed: every certificate must hold our key, our addresses and the right usages and
// chain to a root that the user named; a private encryption key leaves this machine only sealed to an exchange
// certificate under that root. The signing key never leaves it.
//
// It does not speak HTTP (package client) and decides no policy: the server says what a person should have.
//
// # Crashes
//
// A request, with its keys, is on disk before the server sees it, under a name that makes repeating it safe. Whatever
// stops the agent, the next run finds the request and goes on with it: there is never a certificate whose key is lost,
// and never a second pair. The order is: request kept → sent → issued → verified → identity kept → files written →
// request forgotten. What comes after it can wait for the next run: to have the directory show what the person signs.
package agent

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"os"
	"time"

	"github.com/sealpost/sealpost/agent/openid"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for. Those that begin with Answer mean that the server, or somebody in its place, sent what
// must not be believed; nothing of it is kept.
var (
	ErrConfig       = fault.New(fault.Malformed, "agent-config", "The agent is not configured correctly.")
	ErrState        = fault.New(fault.Malformed, "state-damaged", "A file of the agent's cannot be read.")
	ErrOpenToOthers = fault.New(fault.Denied, "state-open-to-others", "The agent's folder is open to other users.")
	ErrBusy         = fault.New(fault.Conflict, "agent-busy", "Another agent is at work in the same folder. Wait until it has ended.")
	ErrDisk         = disk.ErrDisk
	ErrFull         = disk.ErrFull

	ErrRestricted  = fault.New(fault.Denied, "restricted", "The server does not let this person enrol.")
	ErrNoEnrolment = fault.New(fault.NotFound, "no-such-enrolment", "The server offers no such enrolment.")
	ErrAlgorithm   = fault.New(fault.Malformed, "key-algorithm", "The server accepts no kind of key that this agent can make. A newer agent may.")
	ErrEnrolled    = fault.New(fault.Conflict, "already-enrolled", "There are valid certificates already.")
	ErrBegun       = fault.New(fault.Conflict, "request-begun", "Another request was begun and has not ended.")
	ErrWaiting     = fault.New(fault.Unavailable, "not-yet-issued", "The certificates are not issued yet. Run the same command again later.")
	ErrRejected    = fault.New(fault.Denied, "request-rejected", "A registrar rejected the request.")
	ErrFailed      = fault.New(fault.Unavailable, "request-failed", "The server could not issue the certificates. Run the same command again to make a new request.")
	ErrNoIdentity  = fault.New(fault.NotFound, "no-identity", "There is no identity here. Run enroll first.")
	ErrExpired     = fault.New(fault.Denied, "signing-certificate-expired", "The signing certificate has ended and cannot be renewed with. Enrol again with a login or a token.")
	ErrRevoked     = fault.New(fault.Denied, "signing-certificate-revoked", "The signing certificate is revoked and cannot be renewed with. Enrol again with a login or a token.")
	ErrClock       = fault.New(fault.Conflict, "clock-wrong", "This computer's clock and the server's are too far apart. Set the clock and try again.")
	ErrPassword    = fault.New(fault.Malformed, "identity-password", "The password of identity.p12 is needed.")

	ErrExchange         = fault.New(fault.Denied, "exchange-not-trusted", "The server's exchange certificate is not one to send a private key to. Nothing was sent.")
	ErrPolicyTrust      = fault.New(fault.Denied, "policy-not-trusted", "What the server tells this agent to do is not signed by the mail authority. It is not followed.")
	ErrPolicyEnded      = fault.New(fault.Denied, "policy-ended", "What the server tells this agent to do has ended. It is not followed.")
	ErrPolicyOlder      = fault.New(fault.Denied, "policy-older", "What the server tells this agent to do is older than what it told before. It is not followed.")
	ErrAnswerPerson     = fault.New(fault.Denied, "answer-person", "The server answered about another person or request.")
	ErrAnswerIncomplete = fault.New(fault.Denied, "answer-incomplete", "The server says that the certificates are issued, but not all of them came.")
	ErrAnswerKey        = fault.New(fault.Denied, "answer-wrong-key", "A certificate that came is not for the key made here.")
	ErrAnswerTrust      = fault.New(fault.Denied, "answer-not-trusted", "A certificate that came does not chain to the trusted roots.")
	ErrAnswerUsage      = fault.New(fault.Denied, "answer-usage", "A certificate that came is not for its purpose.")
	ErrAnswerMailboxes  = fault.New(fault.Denied, "answer-mailboxes", "A certificate that came names other mail addresses.")
	ErrAnswerReceipt    = fault.New(fault.Denied, "answer-receipt", "The archive's receipt for the encryption key does not hold.")
)

// Config is what an Agent is made of.
type Config struct {
	Dir    string        // the agent's folder; made when missing, mode 0700
	Server client.Config // whom to ask and as whom; without credentials the current signing certificate is used
	// Unattended says that the credentials are there for when no certificate will do: the current signing certificate goes first.
	Unattended bool
	Anchors    []*x509.Certificate // roots that certificates must chain to; at least one
	Places     []Place             // where signing keys can be kept beside software; none: nowhere
	// Passphrase asks for the one that keys are kept under; nil for nobody to ask. It is called when it is first needed.
	Passphrase func() (string, error)

	// Schedule is what starts the program by itself, for the server's view of machines: timer, daemon or none; "" where it is not known.
	Schedule string
	// Home is the person's home folder, in which mail programs' profiles are looked for; empty means the usual one.
	Home string

	Poll     time.Duration             // first pause between questions whether a request is issued; 0 means a second
	Progress func(step, detail string) // hears what happens, for people; nil for nobody
	Now      func() time.Time          // nil means time.Now
	Log      *slog.Logger              // nil discards
}

// Agent works in one folder, for whoever's identities are in it. Only one call at a time succeeds; others get ErrBusy.
type Agent struct {
	cfg     Config
	anchors *x509.CertPool
	ring    *keyring
	memory  *memory
	clock   *serverClock
	// handover says that the folder is filled for somebody else, to be handed over.
	handover bool
	after    func(step string) error // test hook: called after every step that leaves a trace; an error is a crash there
}

// New checks the configuration. It does not connect and writes nothing.
func New(cfg Config) (*Agent, error) {
	if cfg.Dir == "" {
		return nil, ErrConfig.Withf("The agent needs a folder to keep its keys in.")
	}
	if len(cfg.Anchors) == 0 {
		return nil, ErrConfig.Withf("The agent needs the root certificate of the mail authority.")
	}
	a := &Agent{cfg: cfg, anchors: x509.NewCertPool(), ring: &keyring{places: cfg.Places, pass: passphrase{ask: cfg.Passphrase}}, memory: &memory{},
		after: func(string) error { return nil }}
	for _, cert := range cfg.Anchors {
		if !cert.IsCA {
			return nil, ErrConfig.Withf("%q is not the certificate of an authority.", cert.Subject)
		}
		a.anchors.AddCert(cert)
	}
	if a.cfg.Home == "" {
		if home, err := os.UserHomeDir(); err == nil { // who has none has no profiles
			a.cfg.Home = home
		}
	}
	if a.cfg.Poll <= 0 {
		a.cfg.Poll = time.Second
	}
	if a.cfg.Progress == nil {
		a.cfg.Progress = func(string, string) {}
	}
	if a.cfg.Now == nil {
		a.cfg.Now = time.Now
	}
	if a.cfg.Server.Now == nil {
		a.cfg.Server.Now = a.cfg.Now
	}
	a.clock = &serverClock{now: a.cfg.Now}
	if a.cfg.Log == nil {
		a.cfg.Log = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// hasCredentials reports whether the configuration itself says who is asking.
func (a *Agent) hasCredentials() bool {
	s := a.cfg.Server
	return s.Login != "" || s.Token != "" || s.IDToken != "" || s.Kerberos != nil || s.ClientCertificate != nil
}

// as names whose credentials are used, so that a request that was begun is found again before the server is asked
// anything: a token is of no use for that any more once it is spent. It gives away nothing of a token.
func (a *Agent) as() string {
	s := a.cfg.Server
	switch {
	case s.Token != "":
		sum := sha256.Sum256([]byte("sealpost token name\x00" + s.Token))
		return "token " + hex.EncodeToString(sum[:8])
	case s.IDToken != "":
		return "openid " + openid.Name(s.IDToken)
	case s.Login != "":
		return "login " + s.Login
	case s.Kerberos != nil:
		return "kerberos " + s.Kerberos.Principal()
	}
	return "certificate"
}

// dial returns a client with the configured credentials, or else with the identity's signing certificate.
func (a *Agent) dial(id *Identity) (*client.Client, error) {
	cfg := a.cfg.Server
	var err error
	if cfg.Machine, err = a.Machine(); err != nil {
		return nil, err
	}
	a.clock.forget()
	cfg.Heard = a.clock.heard
	if id != nil && (a.cfg.Unattended || !a.hasCredentials()) {
		cert, err := id.clientCertificate(a.cfg.Now())
		switch {
		case err == nil:
			cfg.Login, cfg.Password, cfg.Token, cfg.IDToken, cfg.Kerberos, cfg.ClientCertificate = "", "", "", "", nil, cert
		case !a.hasCredentials():
			return nil, err
		}
	}
	return client.New(cfg)
}

// clientCertificate returns the current signing certificate and key as TLS wants them.
func (id *Identity) clientCertificate(now time.Time) (*tls.Certificate, error) {
	held := id.Signing()
	if held == nil || held.Key.IsZero() {
		return nil, ErrNoIdentity.Withf("There is no signing certificate here to show to the server. Give a login or a token.")
	}
	leaf, err := x509.ParseCertificate(held.Certificate)
	if err != nil {
		return nil, ErrState.Because(err)
	}
	if now.After(leaf.NotAfter) {
		return nil, ErrExpired
	}
	key, err := held.Key.Signer()
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: [][]byte{held.Certificate}, PrivateKey: key, Leaf: leaf}
	cert.Certificate = append(cert.Certificate, held.Chain...)
	return cert, nil
}
