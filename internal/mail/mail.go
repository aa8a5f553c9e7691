// Package mail is the one door to SMTP: it hands short plain texts to the organisation's mail server. It owns the
// connection (TLS, login, time limits), what a header may hold, and what the server's answer means for whoever wants to
// try again.
//
// It does not own who is told what (package notice), keeps no queue, and never gives up: that is for its callers, who
// know what they have sent before.
package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that Send and Check return.
var (
	ErrUnavailable = fault.New(fault.Unavailable, "mail-unavailable", "The mail server does not take messages at the moment.")
	ErrRefused     = fault.New(fault.Denied, "mail-refused", "The mail server refuses this recipient or message for good.")
	// ErrUnanswered: the message went out and no answer came back. Nobody knows whether it was taken.
	ErrUnanswered = fault.New(fault.Unavailable, "mail-unanswered", "The mail server was sent the message and did not say whether it took it.")
)

// Security says how the connection is protected.
type Security string

// The ways. A login is only ever sent over TLS.
const (
	StartTLS Security = "starttls" // TLS after the greeting; a server that does not offer it is refused
	Implicit Security = "implicit" // TLS from the first byte
	None     Security = "none"     // in the clear; Validate takes it only on the same machine and without a login
)

// Default ports.
const (
	submissionPort  = 587 // RFC 6409
	submissionsPort = 465 // RFC 8314
	plainPort       = 25
)

// defaultTimeout is how long one conversation may take.
const defaultTimeout = 30 * time.Second

// Config is what a Sender is made of.
type Config struct {
	Host     string
	Port     int            // 0 means the usual one of Security
	Security Security       // "" means StartTLS
	Trust    *x509.CertPool // nil means the system's
	User     string         // "" means no login
	Password string
	From     string // mailbox, with a name or without: "Example CA <ca@example.com>"
	Timeout  time.Duration
	Now      func() time.Time // nil means time.Now
}

// Sender hands messages to one server, each in a connection of its own. It is safe for concurrent use.
type Sender struct {
	config Config
	from   netmail.Address
	domain string // of from
}

// Validate returns every fault, each with the setting's name, joined.
func (c Config) Validate() error {
	var errs []error
	say := func(setting, what string) { errs = append(errs, fmt.Errorf("%s: %s", setting, what)) }
	if c.Host == "" || strings.ContainsAny(c.Host, "/: \r\n") && net.ParseIP(c.Host) == nil {
		say("host", "must be a host's name or address, without a port")
	}
	if c.Port < 0 || c.Port > 65535 {
		say("port", "must lie between 1 and 65535")
	}
	switch c.Security {
	case "", StartTLS, Implicit:
	case None:
		if !loopback(c.Host) {
			say("tls", "must be starttls or implicit for a server on another machine")
		}
		if c.User != "" {
			say("tls", "must be starttls or implicit where there is a user: a password does not travel in the clear")
		}
	default:
		say("tls", "must be starttls, implicit or none")
	}
	if a, err := netmail.ParseAddress(c.From); err != nil || clean(a.Name) != a.Name || strings.ContainsFunc(a.Address, unprintable) {
		say("from", "must be a mail address, such as Example CA <ca@example.com>")
	}
	return errors.Join(errs...)
}

// loopback reports whether a host is the machine itself.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// New checks the configuration as Validate does. It does not connect.
func New(c Config) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.User != "" && c.Password == "" {
		return nil, errors.New("password_file: holds no password")
	}
	if c.Security == "" {
		c.Security = StartTLS
	}
	if c.Port == 0 {
		c.Port = map[Security]int{StartTLS: submissionPort, Implicit: submissionsPort, None: plainPort}[c.Security]
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, err
	}
	return &Sender{config: c, from: *from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:]}, nil
}

// client returns a client for one conversation on a connection that is there already.
func (s *Sender) client(conn net.Conn) (*mail.Client, error) {
	c := s.config
	options := []mail.Option{mail.WithPort(c.Port), mail.WithTimeout(c.Timeout), mail.WithTLSConfig(s.tls()), mail.WithoutRset(), mail.WithoutNoop(),
		mail.WithDialContextFunc(handOver(conn))}
	switch c.Security {
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default: // the connection is as it should be
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if c.User != "" {
		options = append(options, mail.WithSMTPAuthCustom(login(c.User, c.Password)))
	}
	return mail.NewClient(c.Host, options...)
}

func (s *Sender) tls() *tls.Config {
	return &tls.Config{RootCAs: s.config.Trust, ServerName: s.config.Host, MinVersion: tls.VersionTLS12}
}
