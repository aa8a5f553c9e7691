package directory_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestWaysIn(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	for _, c := range []struct {
		what, url string
		trust     *x509.CertPool
		want      error
		cause     string
	}{
		{"ldaps", s.TLSURL(), s.Trust, nil, ""},
		{"StartTLS", s.StartTLSURL(), s.Trust, nil, ""},
		{"Unix socket", s.SocketURL(), nil, nil, ""},
		{"ldaps, by name", strings.Replace(s.TLSURL(), "127.0.0.1", "localhost", 1), s.Trust, nil, ""},
		{"ldaps, untrusted", s.TLSURL(), x509.NewCertPool(), directory.ErrUnavailable, "unknown authority"},
		{"StartTLS, untrusted", s.StartTLSURL(), x509.NewCertPool(), directory.ErrUnavailable, "unknown authority"},
		{"ldaps, system's trust", s.TLSURL(), nil, directory.ErrUnavailable, "unknown authority"},
		{"ldaps, another host's certificate", strings.Replace(s.TLSURL(), "127.0.0.1", "127.0.0.2", 1), s.Trust, directory.ErrUnavailable, "127.0.0.2"},
		{"TLS where none is spoken", "ldaps" + strings.TrimPrefix(s.StartTLSURL(), "ldap"), s.Trust, directory.ErrUnavailable, ""},
		{"no TLS where it is spoken", "ldap" + strings.TrimPrefix(s.TLSURL(), "ldaps"), s.Trust, directory.ErrUnavailable, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			b := with(t, s, func(k *directory.Config) { k.URLs, k.Trust = []string{c.url}, c.trust })
			err := b.Ping(t.Context())
			is(t, "ping", err, c.want)
			if err != nil && !strings.Contains(err.Error(), c.cause) {
				t.Errorf("the cause is not told: %v", err)
			}
			_, err = b.Authenticate(t.Context(), "alice", slapdtest.Password("alice"))
			is(t, "authenticate", err, c.want)
		})
	}
}

// A server without TLS is refused before anything is sent to it; its log shows no bind.
func TestPlainIsRefused(t *testing.T) {
	t.Parallel()
	log := new(buffer)
	s := slapdtest.NewWith(t, slapdtest.Config{NoTLS: true, Stats: true, Log: log})
	b := with(t, s, func(c *directory.Config) { c.URLs = []string{s.StartTLSURL()} })
	is(t, "ping", b.Ping(t.Context()), directory.ErrUnavailable)
	_, err := b.Authenticate(t.Context(), "alice", slapdtest.Password("alice"))
	is(t, "authenticate", err, directory.ErrUnavailable)
	if l := log.String(); !strings.Contains(l, "EXT oid=1.3.6.1.4.1.1466.20037") || strings.Contains(l, "BIND dn=\"cn=lookup") {
		t.Errorf("server's log:\n%s", l)
	}
}

func TestOwnAccounts(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	b := with(t, s, func(c *directory.Config) { c.LookupPassword, c.PublisherPassword = "wrong", "wrong" })
	err := b.Check(t.Context())
	is(t, "check", err, directory.ErrRefused)
	for _, want := range []string{"people.base: ", "publisher: ", s.Lookup.DN, s.Publisher.DN} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("check does not tell %q: %v", want, err)
		}
	}
	_, err = b.ByLogin(t.Context(), "alice")
	is(t, "lookup", err, directory.ErrRefused)
	_, err = b.Authenticate(t.Context(), "alice", slapdtest.Password("alice"))
	is(t, "authenticate", err, directory.ErrRefused)
	if errors.Is(err, directory.ErrCredentials) {
		t.Error("our account's fault is told as the person's")
	}
	for _, change := range []func(*directory.Config){
		func(c *directory.Config) { c.LookupPassword = "" },
		func(c *directory.Config) { c.PublisherPassword = "" },
		func(c *directory.Config) { c.DB = nil },
	} {
		c := b.config
		change(&c)
		if _, err := directory.New(c); err == nil {
			t.Error("a directory without a password or a database was made")
		}
	}
	if strings.Contains(fmt.Sprintf("%+v", with(t, s).Directory), s.Lookup.Password) {
		t.Error("a directory prints its password")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	is(t, "good", with(t, s).Check(t.Context()), nil)
	b := with(t, s, func(c *directory.Config) {
		c.URLs = append(c.URLs, "ldaps://127.0.0.1:1")
		c.People.Base = "ou=nobody," + slapdtest.Base
		c.Roles[1].Group = slapdtest.GroupDN("nobody")
		c.Authorities.Base = "ou=nothing," + slapdtest.Base
	})
	err := b.Check(t.Context())
	for _, want := range []string{"urls[1]: ", "people.base: ", "roles[1].group: ", "authorities.base: "} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("check does not tell %q: %v", want, err)
		}
	}
	_, err = b.ByLogin(t.Context(), "alice")
	is(t, "lookup below nothing", err, directory.ErrRefused)
}

// A server that is away at start, comes, is killed and comes again; connections that died are replaced unseen.
func TestServerComesAndGoes(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	s.Stop()
	b := with(t, s)
	_, err := b.ByLogin(t.Context(), "alice")
	is(t, "before start", err, directory.ErrUnavailable)
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice := b.login(t, "alice")
	cert := newIssuer(t, "CA").certificate(t, 7)
	for range 3 {
		is(t, "write", b.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{cert}), nil)
		if _, err := b.Authenticate(t.Context(), "alice", slapdtest.Password("alice")); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := b.login(t, "alice"); p.ID != alice.ID {
			t.Error("alice is somebody else after the server's restart")
		}
		is(t, "remove", b.RemoveValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{cert}), nil)
	}
	s.Kill()
	_, err = b.Authenticate(t.Context(), "alice", slapdtest.Password("alice"))
	is(t, "killed: authenticate", err, directory.ErrUnavailable)
	is(t, "killed: write", b.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{cert}), directory.ErrUnavailable)
	_, err = b.Person(t.Context(), alice.ID)
	is(t, "killed: person", err, directory.ErrUnavailable)
}

// Many callers and a server that is killed under them: every call either succeeds or says that the directory is away.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.login(t, "alice")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				p, err := b.Person(t.Context(), alice.ID)
				if err != nil && !errors.Is(err, directory.ErrUnavailable) || err == nil && p.Login != "alice" {
					t.Errorf("got %v, %v", p.Login, err)
				}
			}
		})
	}
	for ctx.Err() == nil {
		b.ldap.Kill()
		if err := b.ldap.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	wg.Wait()
	b.login(t, "alice")
}

// A server that accepts connections and never answers, and one that stops answering in the middle.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const timeout = 300 * time.Millisecond
	short := func(c *directory.Config) { c.ConnectTimeout, c.Timeout = timeout, timeout }
	s := slapdtest.New(t)
	for _, scheme := range []string{"ldap", "ldaps"} {
		b := with(t, s, short, func(c *directory.Config) { c.URLs = []string{scheme + "://" + l.Addr().String()} })
		within(t, 2*timeout, func() { is(t, scheme, b.Ping(t.Context()), directory.ErrUnavailable) })
	}

	b := with(t, s, short)
	alice := b.login(t, "alice")
	stop(t, s)
	within(t, 3*timeout, func() {
		_, err := b.Person(t.Context(), alice.ID)
		is(t, "stopped: lookup", err, directory.ErrUnavailable)
	})
	within(t, 3*timeout, func() {
		err := b.AddValues(t.Context(), alice.ID, directory.UserSMIMECertificate, [][]byte{{1}})
		is(t, "stopped: write", err, directory.ErrUnavailable)
	})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	within(t, timeout, func() { is(t, "cancelled", b.Ping(ctx), context.Canceled) })
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, timeout, func() { is(t, "caller's deadline", b.Ping(ctx), directory.ErrUnavailable) })
	if err := syscall.Kill(s.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.login(t, "alice")
}

func stop(t *testing.T, s *slapdtest.Server) {
	t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(s.PID(), syscall.SIGCONT) }) // or it could not end
}

// within fails the test when f takes longer, with room for a busy machine.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > limit+2*time.Second {
		t.Errorf("took %v, want at most %v", took, limit)
	}
}

// The second server is used while the first is away, and then first.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	b := with(t, s, func(c *directory.Config) { c.URLs = []string{"ldaps://127.0.0.1:1", s.TLSURL(), s.StartTLSURL()} })
	b.login(t, "alice")
	b.login(t, "bob")
}

// A server that sends without end fills no memory and ends in a fault.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	dir := t.TempDir() // its path is too long for some sockets
	path := dir[:min(len(dir), 80)]
	l, err := net.Listen("unix", path+".s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				// A bind answer to message 1 that holds an octet string of 2 GB.
				if _, err := c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xf0}); err != nil {
					return
				}
				_, _ = io.Copy(c, zeros{}) // ends when the client hangs up
			}()
		}
	}()
	b := with(t, s, func(c *directory.Config) { c.URLs = []string{"ldapi://" + strings.ReplaceAll(path+".s", "/", "%2F")} })
	err = b.Ping(t.Context())
	is(t, "endless", err, directory.ErrUnavailable)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAfterClose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	b.Close()
	b.login(t, "alice") // on a connection that is not kept
}
