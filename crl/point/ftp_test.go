package point_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/nettest"
)

func newFTP(t testing.TB, s *ftptest.Server, change ...func(*point.FTPConfig)) *point.FTP {
	t.Helper()
	c := ftpConfig(s)
	for _, f := range change {
		f(&c)
	}
	p, err := point.NewFTP(c)
	must(t, err)
	return p
}

func TestFTPConfig(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		config point.FTPConfig
		word   string
	}{
		"no server":    {point.FTPConfig{Login: "x"}, "server:"},
		"a URL":        {point.FTPConfig{Server: "ftp://ftp.example.com/", Login: "x"}, "server:"},
		"no login":     {point.FTPConfig{Server: "ftp.example.com"}, "login:"},
		"security":     {point.FTPConfig{Server: "ftp.example.com", Login: "x", Security: "tls"}, "security:"},
		"two commands": {point.FTPConfig{Server: "ftp.example.com", Login: "x", Folder: "a\r\nDELE b"}, "folder"},
		"timeout":      {point.FTPConfig{Server: "ftp.example.com", Login: "x", Timeout: -1}, "timeout:"},
	} {
		if _, err := point.NewFTP(c.config); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, server := range []string{"ftp.example.com", "ftp.example.com:2121", "[2001:db8::1]", "[2001:db8::1]:21"} {
		if _, err := point.NewFTP(point.FTPConfig{Server: server, Login: "x"}); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
}

// Who cannot be reached, or does not let us in, is told apart.
func TestFTPIsAway(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{Security: ftptest.Explicit})
	one := newIssuer(t, "Issuing").full(t, 1)
	for what, c := range map[string]struct {
		change func(*point.FTPConfig)
		err    error
		word   string
	}{
		"nobody there": {func(c *point.FTPConfig) { c.Server = nobody(t) }, point.ErrUnreachable, "does not answer"},
		"silence":      {func(c *point.FTPConfig) { c.Server, c.Timeout = nettest.Silent(t), 200*time.Millisecond }, point.ErrUnreachable, "does not answer"},
		"silence, implicit": {func(c *point.FTPConfig) {
			c.Server, c.Security, c.Timeout = nettest.Silent(t), "implicit", 200*time.Millisecond
		}, point.ErrUnreachable, "does not answer"},
		"wrong password":       {func(c *point.FTPConfig) { c.Password = "wrong" }, point.ErrRefused, "does not accept the login"},
		"no TLS":               {func(c *point.FTPConfig) { c.Security = "none" }, point.ErrRefused, "does not accept the login"},
		"a CA of others":       {func(c *point.FTPConfig) { c.Trust = ftptest.New(t, ftptest.Config{Security: ftptest.Explicit}).Trust }, point.ErrUnreachable, "not one to trust"},
		"no such folder":       {func(c *point.FTPConfig) { c.Folder = "none" }, point.ErrRefused, "has no folder none"},
		"no TLS at the server": {func(c *point.FTPConfig) { c.Server = ftptest.New(t, ftptest.Config{}).Address() }, point.ErrRefused, "does not take the connection as configured"},
	} {
		start := time.Now()
		err := newFTP(t, s, c.change).Put(t.Context(), one)
		is(t, what, err, c.err)
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(fmt.Sprint(err), s.Password) {
			t.Errorf("%s: the error tells the password", what)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: took %s", what, took)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := newFTP(t, s, func(c *point.FTPConfig) { c.Server = nettest.Silent(t) }).Put(ctx, one); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFTPFolder(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	must(t, os.Mkdir(filepath.Join(s.Root, "crl"), 0o777))
	must(t, os.Chmod(filepath.Join(s.Root, "crl"), 0o777)) // umask
	one := newIssuer(t, "Issuing").full(t, 1)
	p := newFTP(t, s, func(c *point.FTPConfig) { c.Folder = "crl" })
	must(t, p.Put(t.Context(), one))
	shows(t, p, one)
	if _, err := os.Stat(filepath.Join(s.Root, "crl", one.Name)); err != nil {
		t.Error(err)
	}
}

// The connection is lost, or falls silent, in the middle of the upload: the old list stays, and the next try succeeds.
func TestFTPBreaksOff(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	for _, security := range []ftptest.Security{ftptest.Plain, ftptest.Explicit} {
		for what, strike := range map[string]func(*ftptest.Server){"killed": (*ftptest.Server).Kill, "frozen": (*ftptest.Server).Freeze} {
			t.Run(what+string(security), func(t *testing.T) {
				t.Parallel()
				s := ftptest.New(t, ftptest.Config{Security: security})
				p := newFTP(t, s, func(c *point.FTPConfig) { c.Timeout = time.Second })
				old, next := ca.full(t, 1), ca.large(t, 2, 32<<20)
				must(t, p.Put(t.Context(), old))
				struck := false
				half := duringSending(next, 8<<20, func() { strike(s); struck = true })
				err := p.Put(t.Context(), half)
				is(t, what, err, point.ErrUnreachable)
				if !struck {
					t.Fatal("it was not struck")
				}
				s.Thaw()
				if what == "killed" {
					must(t, s.Restart(t.Context()))
				}
				shows(t, p, old)
				must(t, p.Put(t.Context(), next))
				shows(t, p, next)
				later := newFTP(t, s, func(c *point.FTPConfig) { c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } })
				must(t, later.Put(t.Context(), ca.full(t, 3)))
				if left := names(s.Root)(t); len(left) != 1 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// The server is lost while it sends what is there: that must not pass for a list that is cut off, or an older one would
// replace a newer one.
func TestFTPBreaksOffWhileReading(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{Extra: "anon_max_rate=2000000"})
	ca := newIssuer(t, "Issuing")
	newer := ca.large(t, 2, 16<<20)
	must(t, os.WriteFile(filepath.Join(s.Root, newer.Name), content(t, newer), 0o644))
	p := newFTP(t, s, func(c *point.FTPConfig) { c.Timeout = time.Second })
	result := make(chan error, 1)
	older := ca.full(t, 1)
	go func() { result <- p.Put(t.Context(), older) }()
	for log := ""; !strings.Contains(log, "RETR "+newer.Name) && len(result) == 0; time.Sleep(10 * time.Millisecond) {
		var err error
		if log, err = s.Log(); err != nil {
			log = ""
		}
	}
	s.Kill()
	is(t, "killed", <-result, point.ErrUnreachable)
	must(t, s.Restart(t.Context()))
	shows(t, newFTP(t, s), newer)
}

func TestFTPDiskFull(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{MaxFile: 1 << 20})
	ca := newIssuer(t, "Issuing")
	p := newFTP(t, s)
	old := ca.full(t, 1)
	must(t, p.Put(t.Context(), old))
	err := p.Put(t.Context(), ca.large(t, 2, 4<<20))
	is(t, "full", err, point.ErrRefused)
	t.Log(err)
	shows(t, p, old)
	if left := names(s.Root)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A server that does not rename over an existing file gets no new list, unless the operator takes the moment without one.
func TestFTPRefusesToReplace(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	ca := newIssuer(t, "Issuing")
	one, two := ca.full(t, 1), ca.full(t, 2)
	stubborn := between(t, s, func(command string) string {
		if to, ok := strings.CutPrefix(command, "RNTO "); ok {
			if _, err := os.Stat(filepath.Join(s.Root, to)); err == nil {
				return "550 Cannot create a file when that file already exists."
			}
		}
		return ""
	})
	p := newFTP(t, s, func(c *point.FTPConfig) { c.Server = stubborn })
	must(t, p.Put(t.Context(), one))
	err := p.Put(t.Context(), two)
	is(t, "refused", err, point.ErrRefused)
	if err == nil || !strings.Contains(err.Error(), "delete_first") {
		t.Error(err)
	}
	shows(t, p, one)
	if left := names(s.Root)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	p = newFTP(t, s, func(c *point.FTPConfig) { c.Server, c.DeleteFirst = stubborn, true })
	must(t, p.Put(t.Context(), two))
	shows(t, p, two)
	is(t, "an older one", p.Put(t.Context(), one), list.ErrNewer)
}

// A server without SIZE, or one that keeps less than it was sent.
func TestFTPSize(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	ca := newIssuer(t, "Issuing")
	answer := func(with string) *point.FTP {
		address := between(t, s, func(command string) string {
			if strings.HasPrefix(command, "SIZE ") {
				return with
			}
			return ""
		})
		return newFTP(t, s, func(c *point.FTPConfig) { c.Server = address })
	}
	one := ca.full(t, 1)
	must(t, answer("502 Command not implemented.").Put(t.Context(), one))
	shows(t, newFTP(t, s), one)
	is(t, "less", answer("213 17").Put(t.Context(), ca.full(t, 2)), point.ErrRefused)
	shows(t, newFTP(t, s), one)
	if left := names(s.Root)(t); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// An account that may write and not read cannot be told what may be replaced.
func TestFTPBlind(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{Extra: "download_enable=NO"})
	ca := newIssuer(t, "Issuing")
	is(t, "not readable", newFTP(t, s).Put(t.Context(), ca.full(t, 1)), nil)
	err := newFTP(t, s).Put(t.Context(), ca.full(t, 2))
	is(t, "not readable", err, point.ErrRefused)
	if err == nil || !strings.Contains(err.Error(), "may not read") {
		t.Error(err)
	}
}

// What a server says in its replies is shown, in one line of printable characters.
func TestFTPReplies(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	address := between(t, s, func(command string) string {
		if strings.HasPrefix(command, "STOR") {
			return "550 \x1b[31mno\x07 " + strings.Repeat("x", 500)
		}
		return ""
	})
	err := newFTP(t, s, func(c *point.FTPConfig) { c.Server = address }).Put(t.Context(), newIssuer(t, "Issuing").full(t, 1))
	is(t, "refused", err, point.ErrRefused)
	if d := detail(err); strings.ContainsAny(d, "\x1b\x07\n") || len(d) > 400 {
		t.Errorf("%q", detail(err))
	}
}

// between stands between client and server on the control connection: answer gives a reply to a command in the server's
// place, "" lets it through.
func between(t testing.TB, s *ftptest.Server, answer func(command string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.Address())
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { // what the server says
				defer client.Close()
				in := bufio.NewScanner(server)
				for in.Scan() {
					if _, err := fmt.Fprintf(client, "%s\r\n", in.Text()); err != nil {
						return
					}
				}
			}()
			go func() {
				defer server.Close()
				in := bufio.NewScanner(client)
				for in.Scan() {
					to, text := server, in.Text()
					if reply := answer(text); reply != "" {
						to, text = client, reply
					}
					if _, err := fmt.Fprintf(to, "%s\r\n", text); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
