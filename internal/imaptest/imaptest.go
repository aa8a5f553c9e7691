// Package imaptest runs a real mailbox server (Dovecot) for tests: people's mailboxes, read by IMAP over TLS. It is imported by
// tests only.
//
// It knows nothing of what is in mails. What brings them there is for others: internal/mailtest's server can (Deliver).
package imaptest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// Password is that of every mailbox. A user's name is the part of the address before the @.
const Password = "mailbox-of-a-test"

// Server has a mailbox for whoever logs in, on ports of the loopback address.
type Server struct {
	Port      int // TLS from the first byte
	StartTLS  int
	Trust     *x509.CertPool
	TrustFile string

	dir     string
	process *child.Process
}

// New starts a server, which ends with the test. With -short the test is skipped; a missing Dovecot fails it.
func New(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Dovecot; not run with -short")
	}
	ports, err := child.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Port: ports[0], StartTLS: ports[1]}
	if s.dir, err = child.TempDir("sp-imap-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	if err := child.MakeDir(s.Mailboxes()); err != nil {
		t.Fatal(err)
	}
	s.certify(t)
	s.write(t, "dovecot.conf", []byte(s.conf(t)))
	s.Start(t)
	return s
}

// conf is Dovecot's configuration: as one unprivileged user, without any other folder than ours.
func (s *Server) conf(t testing.TB) string {
	t.Helper()
	name, group := owner(t, s.dir)
	return fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <%[1]s/server.pem
ssl_key = <%[1]s/server.key
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain
mail_location = maildir:%[1]s/mail/%%n
default_login_user = %[2]s
default_internal_user = %[2]s
default_internal_group = %[3]s
first_valid_uid = 1
mail_max_userip_connections = 100
passdb {
  driver = static
  args = password=%[6]s
}
userdb {
  driver = static
  args = uid=%[2]s gid=%[3]s home=%[1]s/mail/%%n allow_all_users=yes
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = %[4]d
    ssl = yes
  }
}
namespace inbox {
  inbox = yes
}
`, s.dir, name, group, s.Port, s.StartTLS, Password)
}

// owner names the user and group that a folder belongs to.
func owner(t testing.TB, dir string) (name, group string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner is known")
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(st.Uid), 10))
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return u.Username, g.Name
}

// Start starts the server, after Stop on the same ports.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	program, err := child.FindProgram("dovecot")
	if err != nil {
		t.Fatal(err)
	}
	if s.process, err = child.Start(child.Config{Path: program, Args: []string{"-F", "-c", s.path("dovecot.conf")}, Dir: s.dir, Log: t.Output()}); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), &tls.Config{RootCAs: s.Trust})
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-s.process.Done():
			t.Fatal("Dovecot ended at once")
		default:
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("Dovecot does not start: %v", err)
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

// Mailboxes is the folder that all mailboxes are in, for a delivery (Maildir).
func (s *Server) Mailboxes() string { return s.path("mail") }

// Put puts a mail into a mailbox, as a delivery does.
func (s *Server) Put(t testing.TB, login string, content []byte) {
	t.Helper()
	box := s.path(filepath.Join("mail", login))
	for _, dir := range []string{box, filepath.Join(box, "tmp"), filepath.Join(box, "new"), filepath.Join(box, "cur")} {
		if err := child.MakeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("%d.%d.test", time.Now().UnixNano(), os.Getpid())
	file := filepath.Join(box, "tmp", name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := child.Own(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(box, "new", name)); err != nil {
		t.Fatal(err)
	}
}

// Mails returns what is in a mailbox, in the order of arrival, whether it was looked at or not.
func (s *Server) Mails(t testing.TB, login string) []string {
	t.Helper()
	var out []string
	for _, folder := range []string{"cur", "new"} {
		files, err := filepath.Glob(s.path(filepath.Join("mail", login, folder, "*")))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(b))
		}
	}
	return out
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
	certificate, trust, err := child.Loopback("Private mailbox server")
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
