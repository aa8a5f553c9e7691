package mail_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
)

func newSender(t *testing.T, c mail.Config) *mail.Sender {
	t.Helper()
	s, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var letter = mail.Message{ID: "0123abcd.case", Name: "Alice Anders", Address: "alice@example.test", Subject: "Grüße", Text: "Zoë, guten Tag.\n\n.\nA line with a dot alone came before this one.\n"}

func TestSend(t *testing.T) {
	for _, security := range []mail.Security{mail.StartTLS, mail.Implicit, mail.None} {
		t.Run(string(security), func(t *testing.T) {
			t.Parallel()
			server := mailtest.New(t, security)
			s := newSender(t, server.Config())
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(server.Mails(t)); n != 0 {
				t.Fatalf("the check sent %d mails", n)
			}
			if err := s.Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			m := server.Mails(t)[0]
			secured := security != mail.None
			if m.Login != secured || m.TLS != secured {
				t.Errorf("login %t, TLS %t", m.Login, m.TLS)
			}
			if m.Text != letter.Text || m.Header("Subject") != letter.Subject || m.Header("Message-ID") != "<0123abcd.case@example.test>" ||
				m.Header("To") != "Alice Anders <alice@example.test>" || m.Header("From") != "Example CA <ca@example.test>" ||
				m.Header("Auto-Submitted") != "auto-generated" || m.From != "ca@example.test" || !slices.Equal(m.To, []string{"alice@example.test"}) {
				t.Errorf("arrived: %+v", m)
			}
			if at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 -0700", m.Header("Date")); err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("date: %v, %v", at, err)
			}
			if m.Parts != 1 || len(m.Defects) != 0 {
				t.Errorf("%d parts, defects %q", m.Parts, m.Defects)
			}
		})
	}
}

// Whatever somebody is called, their name adds no header, recipient or line.
func TestHostileNamesStayInTheirHeader(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mail.StartTLS)
	s := newSender(t, server.Config())
	names := []string{"Alice\r\nBcc: mallory@example.test", "Alice\nSubject: x\n\nHello", "\r\n.\r\nMAIL FROM:<x@example.test>", `"Alice" <mallory@example.test>, Bob`, `\"`, "a@b.test, c@d.test;",
		"=?utf-8?Q?=0D=0ABcc:_m@example.test?=", "=?utf-8?B?DQpCY2M6IG1AZXhhbXBsZS50ZXN0?=", "Alice\u202etset.elpmaxe\u2028Bcc: x", "\x00\xff\xfe", "\u0085Bcc: y", strings.Repeat("Ärger ", 2000), "Łukasz 王小明 🙂", ""}
	for _, name := range names {
		m := letter
		m.Name, m.Subject = name, "A case of "+name
		if err := s.Send(t.Context(), m); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	mails := server.Mails(t)
	if len(mails) != len(names) {
		t.Fatalf("%d mails arrived, want %d", len(mails), len(names))
	}
	want := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"}
	for i, m := range mails {
		var have []string
		for _, h := range m.Headers {
			have = append(have, h[0])
		}
		if slices.Sort(have); !slices.Equal(have, want) {
			t.Errorf("%q: headers %q", names[i], have)
		}
		if len(m.HeaderTo) != 1 || m.HeaderTo[0][1] != "alice@example.test" || !slices.Equal(m.To, []string{"alice@example.test"}) {
			t.Errorf("%q: to %q, envelope %q", names[i], m.HeaderTo, m.To)
		}
		if m.Text != letter.Text || len(m.Defects) != 0 {
			t.Errorf("%.60q: text %q, defects %q", names[i], m.Text, m.Defects)
		}
	}
	if got := mails[12].HeaderTo[0][0]; got != names[12] {
		t.Errorf("a good name arrived as %q", got)
	}
	for _, address := range []string{"", "alice", "alice@example.test\r\nRCPT TO:<m@example.test>", "a@b.test,c@d.test", "<a@b.test>", "a b@c.test", "a@b.test\x00"} {
		m := letter
		m.Address = address
		if err := s.Send(t.Context(), m); !errors.Is(err, mail.ErrRefused) {
			t.Errorf("address %q: %v", address, err)
		}
	}
	for _, id := range []string{"", "a b", "x>\r\nBcc: m@example.test", "ä", "a@b"} {
		m := letter
		m.ID = id
		if err := s.Send(t.Context(), m); err == nil {
			t.Errorf("id %q was accepted", id)
		}
	}
	if n := len(server.Mails(t)); n != len(names) {
		t.Errorf("%d mails arrived", n)
	}
}

func TestWhatTheServerSays(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mail.StartTLS)
	s := newSender(t, server.Config())
	to := func(address string) error {
		m := letter
		m.Address = address
		return s.Send(t.Context(), m)
	}
	expect := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if f := fault.Of(err); f != nil && strings.Contains(f.Detail, "example") {
			t.Errorf("%s: the detail names an address: %s", what, f.Detail)
		}
	}
	expect("no such mailbox", to("refused@example.test"), mail.ErrRefused)
	expect("not now", to("later@example.test"), mail.ErrUnavailable)
	server.Full(t, true)
	expect("no room", to("alice@example.test"), mail.ErrUnavailable)
	server.Full(t, false)
	server.Mute(t, true)
	expect("no answer", to("alice@example.test"), mail.ErrUnanswered)
	server.Mute(t, false)
	if n := len(server.Mails(t)); n != 1 {
		t.Errorf("%d mails arrived, want the one without an answer", n)
	}
	server.Stop()
	expect("no server", to("alice@example.test"), mail.ErrUnavailable)
	server.Start(t)
	if err := to("alice@example.test"); err != nil {
		t.Errorf("the server is back: %v", err)
	}
}

func TestOnlyTheRightServer(t *testing.T) {
	t.Parallel()
	starttls, implicit, none := mailtest.New(t, mail.StartTLS), mailtest.New(t, mail.Implicit), mailtest.New(t, mail.None)
	with := func(s *mailtest.Server, change func(*mail.Config)) mail.Config {
		c := s.Config()
		c.Timeout = 3 * time.Second
		change(&c)
		return c
	}
	for what, c := range map[string]mail.Config{
		"an unknown certificate":         with(starttls, func(c *mail.Config) { c.Trust = x509.NewCertPool() }),
		"an unknown one, implicit":       with(implicit, func(c *mail.Config) { c.Trust = x509.NewCertPool() }),
		"a wrong password":               with(starttls, func(c *mail.Config) { c.Password = "wrong" }),
		"a server without STARTTLS":      with(none, func(c *mail.Config) { c.Security, c.User, c.Password = mail.StartTLS, "x", "y" }),
		"TLS where there is none":        with(none, func(c *mail.Config) { c.Security = mail.Implicit }),
		"no TLS where there is":          with(implicit, func(c *mail.Config) { c.Security, c.User, c.Password = mail.None, "", "" }),
		"a login that nobody asked for":  with(none, func(c *mail.Config) { c.Security, c.User, c.Password = mail.Implicit, "x", "y" }),
		"nobody is there":                with(none, func(c *mail.Config) { c.Port = 1 }),
		"no login where one is demanded": with(starttls, func(c *mail.Config) { c.User, c.Password = "", "" }),
	} {
		t.Run(what, func(t *testing.T) {
			s := newSender(t, c)
			err := s.Send(t.Context(), letter)
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), mailtest.Password) || strings.Contains(err.Error(), "wrong\"") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// A server that says nothing, or never stops, holds nobody for long.
func TestServersThatMisbehave(t *testing.T) {
	t.Parallel()
	for what, serve := range map[string]func(net.Conn){
		"silence": func(net.Conn) {},
		"endless": func(c net.Conn) {
			line := []byte("220-" + strings.Repeat("x", 1000) + "\r\n")
			for {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		},
		"no line end": func(c net.Conn) {
			for {
				if _, err := c.Write([]byte(strings.Repeat("x", 4096))); err != nil {
					return
				}
			}
		},
		"nonsense": func(c net.Conn) { _, _ = c.Write([]byte("\x00\x01\r\n\r\n")) },
		"closes":   func(c net.Conn) { _ = c.Close() },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
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
					go serve(c)
				}
			}()
			s := newSender(t, mail.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "ca@example.test", Timeout: 500 * time.Millisecond})
			begin := time.Now()
			if err := s.Send(t.Context(), letter); !errors.Is(err, mail.ErrUnavailable) {
				t.Error(err)
			}
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newSender(t, mail.Config{Host: "127.0.0.1", From: "ca@example.test"}).Check(gone); !errors.Is(err, mail.ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := mail.Config{Host: "mail.example.test", User: "x", Password: "y", From: "Example CA <ca@example.test>"}
	if _, err := mail.New(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*mail.Config){
		"host":                 func(c *mail.Config) { c.Host = "" },
		"host: must":           func(c *mail.Config) { c.Host = "mail.example.test:25" },
		"port":                 func(c *mail.Config) { c.Port = 70000 },
		"tls: must be startt":  func(c *mail.Config) { c.Security = "ssl" },
		"on another machine":   func(c *mail.Config) { c.Security, c.User = mail.None, "" },
		"in the clear":         func(c *mail.Config) { c.Security, c.Host = mail.None, "localhost" },
		"from":                 func(c *mail.Config) { c.From = "nobody" },
		"from: must":           func(c *mail.Config) { c.From = "a@b.test, c@d.test" },
		"from: must be a mail": func(c *mail.Config) { c.From = "\"a\\\u0007\" <a@b.test>" },
		"password_file":        func(c *mail.Config) { c.Password = "" },
	} {
		c := good
		change(&c)
		if _, err := mail.New(c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
