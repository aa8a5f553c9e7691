package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Limits.
const (
	maxHeld    = 200     // characters of a subject or name
	maxText    = 1 << 16 // bytes of a text
	maxAnswers = 1 << 18 // bytes that a server may say in one conversation
)

// Message is a plain text to one person.
type Message struct {
	// ID is the part of the Message-ID before the @, the same at every attempt: by it the recipient's system, which may
	// have taken an attempt whose answer was lost, knows a repetition.
	ID      string
	Name    string // the recipient's, as people read it; "" is none
	Address string
	Subject string
	Text    string // lines end with \n

	// From is the sender's mailbox, without a name, in place of the configured one; the server must let its user write as that.
	From string
	// Sealed is CMS EnvelopedData in DER, in place of Text: the mail is encrypted (RFC 8551 §3.3).
	Sealed []byte
}

// Send hands a message over. Whatever a name or the subject holds, it stays inside its own header: control characters,
// line ends among them, become spaces, and what looks like an encoded header is broken.
//
// It returns ErrRefused, ErrUnanswered or ErrUnavailable. After the first a repetition is hardly of use; after the second
// the recipient may have the message.
func (s *Sender) Send(ctx context.Context, m Message) error {
	message, err := s.compose(m)
	if err != nil {
		return err
	}
	return s.converse(ctx, func(c *mail.Client, server *smtp.Client) error {
		err := c.SendWithSMTPClient(server, message)
		if message.IsDelivered() {
			return nil
		}
		return verdict(err)
	})
}

// Check connects, greets and logs in, and sends nothing.
func (s *Sender) Check(ctx context.Context) error {
	return s.converse(ctx, func(*mail.Client, *smtp.Client) error { return nil })
}

func (s *Sender) compose(m Message) (*mail.Msg, error) {
	if m.ID == "" || strings.ContainsFunc(m.ID, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-'
	}) {
		return nil, fmt.Errorf("mail: %q cannot be a message's id", m.ID)
	}
	if strings.ContainsFunc(m.Address, unprintable) || strings.ContainsAny(m.Address, "<> ,;\"") || strings.Count(m.Address, "@") != 1 {
		return nil, ErrRefused.Withf("There is no mail address to send to.")
	}
	from, domain := s.from, s.domain
	if m.From != "" {
		a, err := netmail.ParseAddress(m.From)
		if err != nil || a.Address != m.From {
			return nil, fmt.Errorf("mail: %q cannot be a sender", m.From)
		}
		from, domain = *a, a.Address[strings.LastIndexByte(a.Address, '@')+1:]
	}
	if len(m.Sealed) > maxText || len(m.Text) > maxText || !utf8.ValidString(m.Text) {
		return nil, errors.New("mail: the text is too long or no UTF-8")
	}
	out := mail.NewMsg(mail.WithNoDefaultUserAgent())
	out.FromMailAddress(&from)
	out.ToMailAddress(&netmail.Address{Name: clean(m.Name), Address: m.Address})
	out.Subject(clean(m.Subject))
	out.SetMessageIDWithValue(m.ID + "@" + domain)
	out.SetDateWithValue(s.config.Now())
	out.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes come back
	if m.Sealed == nil {
		out.SetBodyString(mail.TypeTextPlain, m.Text)
		return out, nil
	}
	// One attachment and no text: the attachment is the mail itself.
	return out, out.AttachReader("smime.p7m", bytes.NewReader(m.Sealed), mail.WithFileContentType("application/pkcs7-mime; smime-type=enveloped-data"))
}

// clean makes one line of a text that may come from anybody. What looks like an encoded word (RFC 2047) is broken: many
// programs decode it even within quotation marks, where it stands for itself.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	s = strings.ReplaceAll(s, "=?", "= ?")
	if r := []rune(s); len(r) > maxHeld {
		s = string(r[:maxHeld])
	}
	return strings.TrimSpace(s)
}

// unprintable are control characters, line separators, and what is invisible or reorders text around it.
func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// converse connects, greets, logs in, does something and says goodbye.
func (s *Sender) converse(ctx context.Context, do func(*mail.Client, *smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return ErrUnavailable.Withf("The mail server cannot be reached.").Because(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c, err := s.client(conn)
	if err != nil {
		return err
	}
	server, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return ErrUnavailable.Withf("The mail server does not let Sealpost in.").Because(err)
	}
	if err := do(c, server); err != nil {
		return err
	}
	_ = server.Quit() // what was to be done is done
	return nil
}

// dial opens the connection, with TLS if that is from the first byte.
func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.config.Host, strconv.Itoa(s.config.Port)))
	if err != nil {
		return nil, err
	}
	conn := Bound(raw, maxAnswers)
	if s.config.Security != Implicit {
		return conn, nil
	}
	over := tls.Client(conn, s.tls())
	if err := over.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return over, nil
}

func handOver(conn net.Conn) mail.DialContextFunc {
	return func(context.Context, string, string) (net.Conn, error) { return conn, nil }
}

// Bound returns the connection as one that brings at most so many bytes, and then an error.
func Bound(c net.Conn, most int) net.Conn { return &bounded{Conn: c, left: most} }

// bounded is a connection that brings a limited number of bytes: a server that talks without end is left.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server says too much")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// verdict says what a failed delivery means.
func verdict(err error) error {
	var failed *mail.SendError
	if !errors.As(err, &failed) {
		return ErrUnavailable.Because(err)
	}
	code := failed.ErrorCode()
	switch {
	case failed.Reason == mail.ErrSMTPDataClose && code == 0:
		return ErrUnanswered.Because(err)
	case failed.Reason == mail.ErrSMTPMailFrom:
		return ErrUnavailable.Withf("The mail server does not accept the sender's address.").Because(err)
	case code >= 500 && (failed.Reason == mail.ErrSMTPRcptTo || failed.Reason == mail.ErrSMTPData || failed.Reason == mail.ErrSMTPDataClose):
		return ErrRefused.Because(err)
	}
	return ErrUnavailable.Because(err)
}

// login returns the best way to log in that the server offers, over TLS only.
func login(user, password string) smtp.Auth { return &anyLogin{user: user, password: password} }

type anyLogin struct {
	user, password string
	smtp.Auth
}

func (a *anyLogin) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, smtp.ErrUnencrypted
	}
	for _, way := range server.Auth {
		switch strings.ToUpper(way) {
		case "SCRAM-SHA-256":
			a.Auth = smtp.ScramSHA256Auth(a.user, a.password)
			return a.Auth.Start(server)
		case "PLAIN":
			a.Auth = smtp.PlainAuth("", a.user, a.password, server.Name, false)
		case "LOGIN":
			if a.Auth == nil {
				a.Auth = smtp.LoginAuth(a.user, a.password, server.Name, false)
			}
		}
	}
	if a.Auth == nil {
		return "", nil, errors.New("the server offers no way to log in that Sealpost knows (SCRAM-SHA-256, PLAIN, LOGIN)")
	}
	return a.Auth.Start(server)
}

// Said is what the mail server answered in words when it did not take a message, as one line; "" if it did not get that far.
// It may name the recipient, so it is for them and for operators alone.
func Said(err error) string {
	var failed *mail.SendError
	if !errors.As(err, &failed) || failed.ErrorCode() == 0 {
		return ""
	}
	text, _, _ := strings.Cut(failed.Error(), ", affected")
	if i := strings.Index(text, strconv.Itoa(failed.ErrorCode())+" "); i >= 0 {
		return clean(strings.ReplaceAll(text[i:], `"`, ""))
	}
	return strconv.Itoa(failed.ErrorCode())
}
