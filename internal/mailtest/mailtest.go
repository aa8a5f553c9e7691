// Package mailtest runs a real mail server (aiosmtpd) for tests and shows what arrived there, as Python's parser of mail
// reads it. It is imported by tests only.
//
// It knows nothing of Sealpost's mails, and its server delivers nothing to anybody.
package mailtest

import (
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/mail"
)

// What the server's only user logs in with.
const (
	User     = "sealpost"
	Password = "sealpost-sample"
)

// python is Debian's: python3-aiosmtpd is a package of it, and not of another that may come first in PATH.
const python = "/usr/bin/python3"

//go:embed server.py
var program []byte

// Server is a mail server on a port of the loopback address.
type Server struct {
	Port      int
	Security  mail.Security
	Trust     *x509.CertPool
	TrustFile string

	dir     string
	user    string
	process *child.Process
}

// Mail is a message that arrived.
type Mail struct {
	From     string   // of the envelope
	To       []string // of the envelope
	Login    bool
	TLS      bool
	Headers  [][2]string // in their order, decoded
	HeaderTo [][2]string // names and addresses
	Defects  []string    // what the parser did not like
	Parts    int
	Text     string
	Raw      string
}

// Header returns the value of a header, or every value if there is not exactly one.
func (m Mail) Header(name string) string {
	var values []string
	for _, h := range m.Headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	if len(values) != 1 {
		return fmt.Sprintf("%d %s: %q", len(values), name, values)
	}
	return values[0]
}

// New starts a server with a login, which ends with the test. With -short the test is skipped; a missing aiosmtpd fails it.
func New(t testing.TB, security mail.Security) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs aiosmtpd; not run with -short")
	}
	s := &Server{Security: security}
	if security != mail.None {
		s.user = User
	}
	var err error
	if s.dir, err = child.TempDir("sp-mail-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.certify(t)
	s.write(t, "server.py", program)
	s.Start(t)
	return s
}

// Config returns the configuration of a Sender to this server.
func (s *Server) Config() mail.Config {
	c := mail.Config{Host: "127.0.0.1", Port: s.Port, Security: s.Security, Trust: s.Trust, User: s.user, From: "Example CA <ca@example.test>", Timeout: 10 * time.Second}
	if s.user != "" {
		c.Password = Password
	}
	return c
}

// Start starts the server, after Stop on the same port.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	var err error
	s.process, err = child.Start(child.Config{Path: python, Args: []string{"-I", s.path("server.py"), s.dir, strconv.Itoa(s.Port), string(s.Security), s.user, Password}, Dir: s.dir, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-s.process.Done():
			t.Fatal("the mail server ended; is python3-aiosmtpd installed? Run scripts/install test")
		default:
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the mail server does not start")
		}
	}
}

// Stop stops the server, if it runs.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop(syscall.SIGTERM)
		s.process = nil
	}
}

// Mute makes the server take messages without answering.
func (s *Server) Mute(t testing.TB, on bool) { t.Helper(); s.flag(t, "mute", on) }

// Full makes the server take no messages for the moment.
func (s *Server) Full(t testing.TB, on bool) { t.Helper(); s.flag(t, "full", on) }

// Deliver makes the server put what it takes into mailboxes, too: a folder of imaptest's.
func (s *Server) Deliver(t testing.TB, mailboxes string) {
	t.Helper()
	s.write(t, "deliver", []byte(mailboxes))
}

func (s *Server) flag(t testing.TB, name string, on bool) {
	t.Helper()
	if on {
		s.write(t, name, nil)
	} else if err := os.Remove(s.path(name)); err != nil {
		t.Fatal(err)
	}
}

// Mails returns what has arrived, in order.
func (s *Server) Mails(t testing.TB) []Mail {
	t.Helper()
	files, err := filepath.Glob(s.path("*.json"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int { return modified(t, a).Compare(modified(t, b)) })
	var out []Mail
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var m Mail
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// Wait returns what has arrived as soon as there are n.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if m := s.Mails(t); len(m) >= n {
			return m
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatalf("%d mails arrived, want %d", len(s.Mails(t)), n)
		}
	}
}

func modified(t testing.TB, file string) time.Time {
	t.Helper()
	i, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return i.ModTime()
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(t testing.TB, name string, content []byte) {
	t.Helper()
	err := os.WriteFile(s.path(name), content, 0o600)
	if err == nil {
		err = child.Own(s.path(name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// certify makes the server's certificate, and the trust in what issued it.
func (s *Server) certify(t testing.TB) {
	t.Helper()
	certificate, trust, err := child.Loopback("Private mail server")
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := child.PEM(certificate)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "server.pem", chain)
	s.write(t, "server.key", key)
	s.write(t, "trust.pem", trust)
	s.TrustFile = s.path("trust.pem")
	s.Trust = x509.NewCertPool()
	s.Trust.AppendCertsFromPEM(trust)
}
