// Package s3test runs a private S3-compatible store (Versity S3 Gateway over a folder) as a child of this process, on a free
// loopback port. It is imported by tests and by cmd/sealpost's bench only.
//
// It owns the program's version and where it is kept: Debian has no package, so whoever needs it first builds it
// through the Go module proxy, once for each machine and user. It is no dependency of Sealpost's module, because it brings
// some two hundred of its own. It does not speak S3.
package s3test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

const (
	program = "github.com/versity/versitygw/cmd/versitygw"
	version = "v1.8.0"
)

// What a store has.
const (
	Bucket = "crl"
	Region = "us-east-1"
)

// Config says what a store offers.
type Config struct {
	TLS     bool
	MaxFile int // bytes that a file may have, in steps of 512: for when the disk is full. 0: no limit
}

// Server is a running store with one empty bucket.
type Server struct {
	AccessKey string
	SecretKey string
	Trust     *x509.CertPool // what clients must trust; nil without TLS
	Folder    string         // of the bucket: an object is a file in it

	conf    Config
	dir     string
	path    string
	port    int
	command *exec.Cmd
	done    <-chan struct{}
}

// New returns a store of the test's own; it is gone when the test ends. With -short the test is skipped.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an S3-compatible store; not run with -short")
	}
	s, err := Start(t.Context(), t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start starts a store in a folder that is there and empty. The caller stops it.
func Start(ctx context.Context, dir string, c Config) (s *Server, failed error) {
	path, err := build(ctx)
	if err != nil {
		return nil, err
	}
	s = &Server{AccessKey: "sealpost", SecretKey: rand.Text(), conf: c, dir: dir, path: path}
	s.Folder = filepath.Join(s.dir, "data", Bucket)
	for _, d := range []string{s.Folder, filepath.Join(s.dir, "metadata")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if c.TLS {
		if err := s.certify(); err != nil {
			return nil, err
		}
	}
	for range 10 { // another process may take the port between our look and the store's
		ports, err := child.FreePorts(1)
		if err != nil {
			return nil, err
		}
		s.port = ports[0]
		if err = s.start(); err == nil {
			return s, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, fmt.Errorf("the store does not start: %w", failed)
}

// build returns the path of the program, and makes it if it is not there.
func build(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "sealpost", "versitygw-"+version)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // tests of several packages run at once
		return "", err
	}
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	half := filepath.Join(dir, "half")
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-s -w", program+"@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+half, "GOFLAGS=", "CGO_ENABLED=0", "GOOS=", "GOARCH=", "GOEXPERIMENT=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s@%s: %w: %s", program, version, err, out)
	}
	return path, os.Rename(filepath.Join(half, "versitygw"), path)
}

func (s *Server) certify() error {
	cert, trust, err := child.Loopback("Private store")
	if err != nil {
		return err
	}
	chain, key, err := child.PEM(cert)
	if err != nil {
		return err
	}
	s.Trust = x509.NewCertPool()
	s.Trust.AppendCertsFromPEM(trust)
	return errors.Join(os.WriteFile(filepath.Join(s.dir, "server.pem"), chain, 0o600), os.WriteFile(filepath.Join(s.dir, "server.key"), key, 0o600))
}

// Restart starts the store again after Stop or Kill, on the same port, with the same objects.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start() error {
	args := []string{"--port", s.address(), "--region", Region, "--quiet"}
	if s.conf.TLS {
		args = append(args, "--cert", filepath.Join(s.dir, "server.pem"), "--key", filepath.Join(s.dir, "server.key"))
	}
	args = append(args, "posix", filepath.Dir(s.Folder))
	s.command = exec.Command(s.path, args...)
	if s.conf.MaxFile > 0 {
		// Without the signal a write beyond the limit fails, as on a disk that is full.
		s.command = exec.Command("/bin/sh", append([]string{"-c", fmt.Sprintf(`trap "" XFSZ; ulimit -f %d; exec "$0" "$@"`, s.conf.MaxFile/512), s.path}, args...)...)
	}
	s.command.Dir = s.dir
	s.command.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "ROOT_ACCESS_KEY_ID=" + s.AccessKey, "ROOT_SECRET_ACCESS_KEY=" + s.SecretKey}
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output := new(strings.Builder)
	s.command.Stdout, s.command.Stderr = output, output
	var err error
	if s.done, err = child.StartBound(s.command, syscall.SIGKILL); err != nil {
		return err
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", s.address())
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("the store ended at start: %s", output)
		default:
		}
		if time.Since(begin) > 30*time.Second {
			s.Kill()
			return errors.New("the store does not answer")
		}
	}
}

// URL is where the store answers: http://127.0.0.1:port, or https.
func (s *Server) URL() string {
	if s.conf.TLS {
		return "https://" + s.address()
	}
	return "http://" + s.address()
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Stop ends the store.
func (s *Server) Stop() { s.Kill() }

// Kill ends the store without its leave.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.done
}

// Freeze stops the store where it is: it keeps its connections and says nothing. Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) { _ = syscall.Kill(-s.command.Process.Pid, sig) } // it may have ended
