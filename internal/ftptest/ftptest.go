// Package ftptest runs a private FTP server (vsftpd) as an unprivileged child of this process, on free loopback ports:
// one door for who publishes, with a password and TLS where asked for, and one for the world, which reads the same folder
// anonymously. It is imported by tests and by cmd/sealpost's demo and bench only.
//
// It owns the server's configuration and its processes. It does not speak FTP beyond the greeting.
//
// vsftpd checks the passwords of accounts as root only. Without root it knows but one kind of visitor, the anonymous one,
// and can ask that one for a password: so the publisher's login is "anonymous" here. And it cannot lock visitors into the
// folder with chroot: names that lead out of it are refused by pattern instead.
package ftptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// Login is the publisher's name.
const Login = "anonymous"

// Security is how the publisher's door is encrypted.
type Security string

// The three ways of FTP.
const (
	Plain    Security = ""
	Explicit Security = "explicit" // AUTH TLS (RFC 4217); without, nobody is let in
	Implicit Security = "implicit" // TLS from the first byte
)

// Config says where a server lives and what it offers.
type Config struct {
	Dir      string // its folder; a former server's is taken up again with its files
	Security Security
	MaxFile  int       // bytes that a file may have, in steps of 512: for when the disk is full. 0: no limit
	Extra    string    // more lines for the publisher's vsftpd.conf
	Log      io.Writer // what the servers print; nil discards
}

// Server is a running vsftpd with two doors.
type Server struct {
	Root         string // the folder that both show
	Password     string // of Login
	PasswordFile string
	Trust        *x509.CertPool // what publishers must trust; nil with Plain
	TrustFile    string

	conf      Config
	program   string
	ports     []int // the publisher's, the world's
	processes []*child.Process
}

var conf = template.Must(template.New("vsftpd.conf").Parse(`
listen=YES
listen_address=127.0.0.1
listen_port={{.Port}}
pasv_address=127.0.0.1
background=NO
run_as_launching_user=YES
one_process_model=YES
seccomp_sandbox=NO
session_support=NO
delay_failed_login=0
use_localtime=NO
local_enable=NO
anonymous_enable=YES
ftp_username={{.User}}
anon_root={{.Dir}}/files
anon_umask=022
secure_chroot_dir={{.Dir}}/empty
deny_file={{.Deny}}
xferlog_enable=YES
xferlog_std_format=NO
log_ftp_protocol=YES
vsftpd_log_file={{.Dir}}/{{.Name}}.log
{{if eq .Name "publisher"}}
secure_email_list_enable=YES
email_password_file={{.Dir}}/passwords
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_mkdir_write_enable=YES
{{if .Security}}
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
rsa_cert_file={{.Dir}}/server.pem
rsa_private_key_file={{.Dir}}/server.key
ssl_ciphers=HIGH
{{if eq .Security "implicit"}}implicit_ssl=YES{{end}}
{{end}}
{{.Extra}}
{{else}}
no_anon_password=YES
write_enable=NO
{{end}}`))

// doors are the two processes, by the names of their files.
var doors = [...]string{"publisher", "world"}

// Start starts a server and waits until it answers.
func Start(ctx context.Context, c Config) (*Server, error) {
	s := &Server{conf: c}
	var err error
	if s.conf.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if s.program, err = child.FindProgram("vsftpd"); err != nil {
		return nil, err
	}
	s.Root = s.path("files")
	for _, d := range []string{s.conf.Dir, s.Root, s.path("empty")} {
		if err := child.MakeDir(d); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(os.Chmod(s.Root, 0o755), s.prepareLogin(), s.prepareTLS()); err != nil { // it lists only what everybody may list
		return nil, err
	}
	for range 10 { // another process may take a port between our look and vsftpd's
		if s.ports, err = child.FreePorts(len(doors)); err != nil {
			return nil, err
		}
		if err = s.startAll(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return s, err
}

// prepareLogin takes up the password that the folder has, or makes one.
func (s *Server) prepareLogin() error {
	s.PasswordFile = s.path("publisher.password")
	b, err := os.ReadFile(s.PasswordFile)
	if errors.Is(err, os.ErrNotExist) {
		b = []byte(rand.Text())
		err = os.WriteFile(s.PasswordFile, b, 0o600)
	}
	if err != nil {
		return err
	}
	s.Password = strings.TrimSpace(string(b))
	return s.write("passwords", []byte(s.Password+"\n"))
}

func (s *Server) prepareTLS() error {
	if s.conf.Security == Plain {
		return nil
	}
	cert, trust, err := child.Loopback("Private FTP server")
	if err != nil {
		return err
	}
	chain, key, err := child.PEM(cert)
	if err != nil {
		return err
	}
	s.Trust, s.TrustFile = x509.NewCertPool(), s.path("ca.pem")
	s.Trust.AppendCertsFromPEM(trust)
	return errors.Join(s.write("ca.pem", trust), s.write("server.pem", chain), s.write("server.key", key))
}

// Restart starts the server again after Stop or Kill, on the same ports, with the same files. Somebody's connection may use a
// port for a moment.
func (s *Server) Restart(ctx context.Context) (err error) {
	for range 20 {
		if err = s.startAll(ctx); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func (s *Server) startAll(ctx context.Context) error {
	s.processes = nil
	for i, name := range doors {
		if err := s.start(ctx, name, s.ports[i]); err != nil {
			s.Stop()
			return err
		}
	}
	return nil
}

func (s *Server) start(ctx context.Context, name string, port int) error {
	who, err := runner(s.Root)
	if err != nil {
		return err
	}
	deny, err := beside(s.Root)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := conf.Execute(&b, map[string]any{"Name": name, "Port": port, "Dir": s.conf.Dir, "Deny": deny, "User": who, "Security": s.conf.Security, "Extra": s.conf.Extra}); err != nil {
		return err
	}
	if err := s.write(name+".conf", b.Bytes()); err != nil {
		return err
	}
	run := child.Config{Path: s.program, Args: []string{s.path(name + ".conf")}, Dir: s.conf.Dir, Log: s.conf.Log}
	if s.conf.MaxFile > 0 && name == "publisher" {
		// Without the signal a write beyond the limit fails, as on a disk that is full.
		run.Path, run.Args = "/bin/sh", append([]string{"-c", fmt.Sprintf(`trap "" XFSZ; ulimit -f %d; exec "$0" "$@"`, s.conf.MaxFile/512), s.program}, run.Args...)
	}
	p, err := child.Start(run)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return s.await(ctx, p, port)
}

// beside returns a pattern of all folders at the root of the file system but the one that dir lies in. vsftpd gives up
// comparing after a thousand steps, so that deeper ones cannot be listed.
func beside(dir string) (string, error) {
	first, _, _ := strings.Cut(strings.TrimPrefix(dir, "/"), "/")
	entries, err := os.ReadDir("/")
	if err != nil {
		return "", err
	}
	var patterns []string
	for _, e := range entries {
		if e.Name() != first && !strings.ContainsAny(e.Name(), "{},*?\n") {
			patterns = append(patterns, "/"+e.Name(), "/"+e.Name()+"/*")
		}
	}
	return "{" + strings.Join(patterns, ",") + "}", nil
}

// runner is the user whom the server runs as: the one whom its folder belongs to.
func runner(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("this system does not tell whom a folder belongs to")
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(stat.Uid), 10))
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

func (s *Server) await(ctx context.Context, p *child.Process, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address(port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.Done():
			return fmt.Errorf("vsftpd ended at start (see its output): %w", err)
		case <-ctx.Done():
			return fmt.Errorf("vsftpd does not answer: %w", err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// Address is the publisher's door: 127.0.0.1:port
func (s *Server) Address() string { return address(s.ports[0]) }

// URL is the world's door: ftp://127.0.0.1:port
func (s *Server) URL() string { return "ftp://" + address(s.ports[1]) }

// Stop ends the server and every session.
func (s *Server) Stop() {
	for _, p := range s.processes {
		for _, session := range sessions(p) {
			signal(session, syscall.SIGKILL)
		}
		signal(p.PID(), syscall.SIGCONT) // if it is frozen
		p.Stop(syscall.SIGINT)
	}
}

// Kill ends the server without its leave, in the middle of whatever it does.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	for _, p := range s.processes {
		<-p.Done()
	}
}

// Freeze stops the server where it is: it keeps its connections and says nothing. Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal reaches the processes that listen and those of the sessions.
func (s *Server) signal(sig syscall.Signal) {
	for _, p := range s.processes {
		for _, session := range sessions(p) { // first, as long as they are children
			signal(session, sig)
		}
		signal(p.PID(), sig)
	}
}

func signal(pid int, sig syscall.Signal) { _ = syscall.Kill(pid, sig) } // it may have ended

// sessions returns the process ids of a server's sessions. Each has a process group of its own.
func sessions(p *child.Process) (pids []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything.
		rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(rest) > 1 && rest[1] == strconv.Itoa(p.PID()) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Log returns what the publisher's door has recorded: commands, replies, transfers.
func (s *Server) Log() (string, error) {
	b, err := os.ReadFile(s.path("publisher.log"))
	return string(b), err
}

func (s *Server) path(name string) string { return filepath.Join(s.conf.Dir, name) }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// write writes a file that only the server's user can read, and root.
func (s *Server) write(name string, content []byte) error {
	p := s.path(name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		return err
	}
	return child.Own(p)
}
