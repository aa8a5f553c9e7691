// Package sambatest runs a private Active Directory domain controller (Samba's), one per test binary, which the tests
// share: each gets organizational units of its own. It is imported by tests only.
//
// The controller is an unprivileged child of this process, in a network of its own where Active Directory's ports are
// free; free loopback ports outside lead to LDAP, LDAPS, the global catalog and Kerberos. It owns the domain AD.TEST, its
// accounts, and the processes. It does not speak LDAP: tests look at the controller with ldapsearch and ldapmodify of
// OpenLDAP, and with Samba's own tools.
package sambatest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// The domain's tree.
const (
	Base          = "DC=ad,DC=test"
	Domain        = "ADT"                      // its short name, as in ADT\alice
	Tests         = "OU=Tests," + Base         // what is below, Publisher may publish in
	Configuration = "CN=Configuration," + Base // of the whole forest
	PKI           = "CN=Public Key Services,CN=Services," + Configuration
	CDP           = "CN=CDP," + PKI // lists of certificate authorities
	AIA           = "CN=AIA," + PKI // their certificates
)

// Account is an account that binds to the directory.
type Account struct {
	Name         string // sAMAccountName
	DN           string
	Password     string
	PasswordFile string // holds the password alone, without a line end
}

// Server is a running domain controller.
type Server struct {
	Admin     Account        // may do everything
	Lookup    Account        // a user like others: may read
	Publisher Account        // may write certificates of people below Tests, and nothing else
	Trust     *x509.CertPool // what clients must trust
	TrustFile string         // the same as a PEM file
	Krb5Conf  string         // KRB5_CONFIG of programs that use Kerberos

	dir       string
	listeners []*net.TCPListener // as ports; closed when the controller runs
	addresses []string
	process   *child.Process
	units     atomic.Int64
	rights    sync.Mutex
}

// ports are those of Active Directory that can be reached from outside its network.
var ports = []string{"389", "636", "3268", "3269", "88"}

// program makes the domain and runs the controller, within its network.
//
//go:embed domain.py
var program []byte

// patience is how long a controller may take to be made and to answer, on a machine that has much else to do.
const patience = 10 * time.Minute

// start makes a domain in a new folder, and waits until its controller answers.
func start(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dir, err := child.TempDir("sp-ad-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, Krb5Conf: filepath.Join(dir, "krb5.conf")}
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if _, err := child.FindProgram("samba"); err != nil {
		return err
	}
	files, err := s.listen()
	if err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if s.Admin, err = s.account("Administrator", "CN=Users,"+Base); err != nil {
		return err
	}
	if err := s.run(files); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	return s.furnish(ctx)
}

// listen takes free ports. Whoever connects before the controller is there waits.
func (s *Server) listen() (files []*os.File, err error) {
	for range ports {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		s.listeners, s.addresses = append(s.listeners, l), append(s.addresses, l.Addr().String())
		f, err := l.File()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// run starts the controller. The listeners are then its alone.
func (s *Server) run(files []*os.File) error {
	log, err := os.Create(s.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	password, err := os.Open(s.Admin.PasswordFile)
	if err != nil {
		return err
	}
	defer password.Close()
	s.process, err = child.Start(child.Config{Path: "/usr/bin/python3", Args: append([]string{"-I", s.path("domain.py"), s.dir}, ports...),
		Dir: s.dir, Log: log, Input: password, Apart: true, Files: files})
	for i, f := range files {
		_, _ = f.Close(), s.listeners[i].Close() // our copies
	}
	if err != nil {
		return fmt.Errorf("%w: a domain controller needs a user, network and process namespace of its own. Linux lets root have them, and others where "+
			"kernel.unprivileged_userns_clone, user.max_user_namespaces and AppArmor allow it", err)
	}
	return nil
}

// anonymous is an anonymous bind request, message 1 (RFC 4511 §4.2): the smallest question that the controller answers.
var anonymous = []byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00}

func (s *Server) await(ctx context.Context) error {
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("samba ended at start: %s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("samba does not answer: %w: %s", err, s.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: s.Trust, ServerName: "127.0.0.1"}}
	conn, err := d.DialContext(ctx, "tcp", s.addresses[1])
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

// stop ends the controller and removes its folder.
func (s *Server) stop() {
	if s.process != nil {
		s.process.Stop(syscall.SIGKILL) // what it wrote goes with it
	}
	for _, l := range s.listeners {
		_ = l.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// PID returns the process id of the first of its processes; the others end with it.
func (s *Server) PID() int { return s.process.PID() }

// TLSURL is where the controller speaks LDAP over TLS: ldaps://127.0.0.1:port
func (s *Server) TLSURL() string { return "ldaps://" + s.addresses[1] }

// StartTLSURL is where it speaks plain LDAP until StartTLS. It refuses passwords before.
func (s *Server) StartTLSURL() string { return "ldap://" + s.addresses[0] }

// CatalogURL is the forest's global catalog, over TLS.
func (s *Server) CatalogURL() string { return "ldaps://" + s.addresses[3] }

// KDC is where it speaks Kerberos, over TCP alone: 127.0.0.1:port
func (s *Server) KDC() string { return s.addresses[4] }

// Log is the end of what the controller said.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.path("log")) // none yet
	return strings.ToValidUTF8(string(b[max(0, len(b)-4000):]), "?")
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// write writes a file that only the controller's user can read, and root.
func (s *Server) write(name string, content []byte) error {
	p := s.path(name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		return err
	}
	return child.Own(p)
}

// account returns an account with a new password.
func (s *Server) account(name, container string) (Account, error) {
	a := Account{Name: name, DN: "CN=" + name + "," + container, PasswordFile: s.path(name + ".password")}
	a.Password = "aA1-" + rand.Text() // of as many kinds of characters as Windows wants
	return a, os.WriteFile(a.PasswordFile, []byte(a.Password), 0o600)
}
