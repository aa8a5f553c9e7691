// Package slapdtest runs a private OpenLDAP server (slapd) that holds a small sample company, as an unprivileged child
// of this process: LDAPS and StartTLS on free loopback ports, and a Unix socket. Tests start one each (New), the demo
// keeps one in its folder (Start). It is imported by tests and by cmd/sealpost's demo and bench only.
//
// It owns the sample company (company.ldif), the server's configuration with the least rights that Sealpost needs, and
// the processes. It does not speak LDAP: tests look at the server with Debian's ldapsearch and ldapmodify.
package slapdtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// The sample company's tree.
const (
	Base     = "dc=example,dc=test"
	People   = "ou=people," + Base
	Groups   = "ou=groups," + Base
	PKI      = "ou=pki," + Base      // issuers' entries, which the publisher may create
	Contacts = "ou=contacts," + Base // of people outside, if a test adds it
	Decoy    = "cn=decoy,ou=services," + Base
)

// Company is the sample company as LDIF. The service accounts are not in it: Start makes them with passwords of their
// own.
//
//go:embed company.ldif
var Company string

// Password returns a sample person's password.
func Password(login string) string { return login + "-sample" }

// PersonDN returns the name of a sample person's entry.
func PersonDN(login string) string { return "uid=" + login + "," + People }

// GroupDN returns the name of a sample group's entry: registrars, recovery-requesters, recovery-agents, operators, auditors.
func GroupDN(name string) string { return "cn=" + name + "," + Groups }

// Config says where a server lives and what it offers.
type Config struct {
	Dir     string // its folder; a former server's is taken up again with its data
	Sockets string // folder of the Unix socket, if not Dir: for when Dir's path is long
	Durable bool   // false trades safety at a power cut for speed, as tests may

	// Certificate is the server's TLS certificate, for the address 127.0.0.1, and Trust the PEM certificates that its
	// clients trust. Nil: both are made, by a CA of this server's own.
	Certificate *tls.Certificate
	Trust       []byte

	NoTLS bool      // neither LDAPS nor StartTLS, as a badly run directory
	Stats bool      // log every operation
	First string    // access rules before all others
	Extra string    // more lines for slapd.conf, within its database
	More  string    // more entries (LDIF) beside the sample company's, if the folder is new
	Log   io.Writer // the server's log; nil discards
}

// Account is a service account.
type Account struct {
	DN           string
	Password     string
	PasswordFile string // holds the password alone, without a line end
}

// Server is a running slapd.
type Server struct {
	Lookup    Account        // may read people and groups, and nothing else
	Publisher Account        // may write certificates of people, and issuers' entries
	Admin     Account        // may do everything
	Trust     *x509.CertPool // what clients must trust
	TrustFile string         // the same as a PEM file

	conf    Config
	program string
	ports   []int // StartTLS, LDAPS
	process *child.Process
}

// maxSocket is how long the path of a Unix socket may be, in bytes (Linux, without the final NUL).
const maxSocket = 107

// Start starts a server, with the sample company if its folder is new, and waits until it answers.
func Start(ctx context.Context, c Config) (*Server, error) {
	s := &Server{conf: c}
	var err error
	if s.conf.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if s.conf.Sockets == "" {
		s.conf.Sockets = s.conf.Dir
	}
	if n := len(s.socket()); n > maxSocket {
		return nil, fmt.Errorf("the path of slapd's socket, %s, has %d bytes; at most %d are possible", s.socket(), n, maxSocket)
	}
	if s.program, err = child.FindProgram("slapd"); err != nil {
		return nil, err
	}
	for _, d := range []string{s.conf.Dir, s.conf.Sockets, s.path("data"), s.path("tls")} {
		if err := child.MakeDir(d); err != nil {
			return nil, err
		}
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.conf.More = "" // it may be large, and is in the database now
	// Another process may take a port between our look and slapd's bind.
	for range 10 {
		if s.ports, err = child.FreePorts(2); err != nil {
			return nil, err
		}
		if err = s.Restart(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return s, err
}

// Restart starts the server again after Stop or Kill, on the same ports, with the same data.
func (s *Server) Restart(ctx context.Context) error {
	level := "none"
	if s.conf.Stats {
		level = "stats"
	}
	urls := "ldap://" + s.address(0) + "/ " + s.SocketURL()
	if !s.conf.NoTLS {
		urls += " " + s.TLSURL() + "/"
	}
	// With -d slapd stays in the foreground, and says there what stops it at start.
	p, err := child.Start(child.Config{Path: s.program, Args: []string{"-f", s.path("slapd.conf"), "-h", urls, "-d", level},
		Dir: s.conf.Dir, Log: s.conf.Log})
	if err != nil {
		return err
	}
	s.process = p
	if err := s.await(ctx); err != nil {
		s.Stop()
		return err
	}
	return nil
}

// anonymous is an anonymous bind request, message 1 (RFC 4511 §4.2): the smallest question that slapd answers.
var anonymous = []byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("slapd ended at start (%s; see: slaptest -u -f %s)", err, s.path("slapd.conf"))
		case <-ctx.Done():
			return fmt.Errorf("slapd does not answer: %w", err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// ask asks on the socket whether the server answers. The ports are bound by then too.
func (s *Server) ask(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.socket())
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write(anonymous); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 64))
	return err
}

// Stop shuts the server down.
func (s *Server) Stop() { s.process.Stop(syscall.SIGINT) }

// Kill ends the server without its leave, for tests of crashes.
func (s *Server) Kill() { s.process.Stop(syscall.SIGKILL) }

// PID returns the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// TLSURL is where the server speaks LDAP over TLS: ldaps://127.0.0.1:port
func (s *Server) TLSURL() string { return "ldaps://" + s.address(1) }

// StartTLSURL is where it speaks plain LDAP until StartTLS. It refuses passwords before.
func (s *Server) StartTLSURL() string { return "ldap://" + s.address(0) }

// SocketURL is its Unix socket.
func (s *Server) SocketURL() string { return "ldapi://" + url.PathEscape(s.socket()) }

func (s *Server) socket() string          { return filepath.Join(s.conf.Sockets, "ldapi") }
func (s *Server) path(name string) string { return filepath.Join(s.conf.Dir, name) }
func (s *Server) address(i int) string    { return fmt.Sprintf("127.0.0.1:%d", s.ports[i]) }

// write writes a file that only the server's user can read, and root.
func (s *Server) write(name string, content []byte) error {
	p := s.path(name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		return err
	}
	return child.Own(p)
}

// account returns the account of that name, with the password that it had in this folder or a new one.
func (s *Server) account(dn, name string) (Account, error) {
	a := Account{DN: dn, PasswordFile: s.path(name + ".password")}
	b, err := os.ReadFile(a.PasswordFile)
	if os.IsNotExist(err) {
		b = []byte(newPassword())
		err = os.WriteFile(a.PasswordFile, b, 0o600)
	}
	a.Password = strings.TrimSpace(string(b))
	return a, err
}
