// Package ftp speaks FTP (RFC 959) and FTP over TLS (RFC 4217) to distribution points: it lists, reads, writes, renames
// and deletes files in passive mode, each step in its time.
//
// It owns the connection and the meaning of replies. What is written, and that it is written beside and then renamed, is
// package point's. It is the only door to github.com/jlaffaye/ftp.
package ftp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jlaffaye/ftp"

	"github.com/sealpost/sealpost/crl/wire"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for. Their details say what the server answered.
var (
	ErrUnreachable = fault.New(fault.Unavailable, "ftp-unreachable", "The FTP server does not answer.")
	ErrLogin       = fault.New(fault.Unavailable, "ftp-login", "The FTP server does not accept the login.")
	ErrRefused     = fault.New(fault.Unavailable, "ftp-refuses", "The FTP server does not do this.")
	ErrAbsent      = fault.New(fault.NotFound, "ftp-absent", "The FTP server has no such file, or does not show it.")
)

// Security is how a connection is encrypted.
type Security string

// The three ways. The zero Security is not one of them: callers say what they mean.
const (
	Explicit Security = "explicit" // AUTH TLS, before login
	Implicit Security = "implicit" // TLS from the first byte
	Plain    Security = "none"
)

// Config says where a server is and how to log in.
type Config struct {
	Address  string // host:port
	Security Security
	Trust    *x509.CertPool // nil means the system's
	Login    string
	Password string
	Step     time.Duration // how long the server may be silent; 0 means 10s
	Limit    int64         // bytes that one transfer may bring; 0: any number
}

// maxTalk is how much a server may say besides files and names, in bytes.
const maxTalk = 1 << 20

// Conn is a connection with a login. It is for one goroutine at a time, and ends when the context it was opened with
// does.
type Conn struct {
	c *ftp.ServerConn
}

// Open connects and logs in. The caller closes.
func Open(ctx context.Context, c Config) (*Conn, error) {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, err
	}
	// Servers want the data connection to resume the session of the control connection, as proof that both are of one client.
	config := &tls.Config{RootCAs: c.Trust, ServerName: host, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(2)}
	control := true
	options := []ftp.DialOption{ftp.DialWithDialFunc(func(network, address string) (net.Conn, error) {
		first := control
		control = false
		dial := wire.Dialer{Connect: c.Step, Step: c.Step, Limit: c.Limit}
		if first {
			dial.Limit = maxTalk
		}
		raw, err := dial.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if c.Security == Plain || first && c.Security == Explicit {
			return raw, nil
		}
		secure := tls.Client(raw, config) // shakes hands at the first byte, as servers want it of data connections
		if first {
			return secure, nil
		}
		return &data{Conn: secure}, nil
	})}
	switch c.Security {
	case Explicit:
		options = append(options, ftp.DialWithExplicitTLS(config))
	case Implicit:
		options = append(options, ftp.DialWithTLS(config))
	case Plain:
	default:
		return nil, errors.New("ftp: no security is chosen")
	}
	conn, err := ftp.Dial(c.Address, options...)
	if err != nil {
		return nil, unreachable(ctx, c.Address, err)
	}
	if err := conn.Login(c.Login, c.Password); err != nil {
		_ = conn.Quit() // the error that counts is there
		if lost(err) {
			return nil, unreachable(ctx, c.Address, err)
		}
		return nil, ErrLogin.Withf("The FTP server %s does not accept the login %s: %s.", c.Address, c.Login, saidOf(err)).Because(err)
	}
	return &Conn{conn}, nil
}

// data is an encrypted data connection. Servers of TLS 1.3 send tickets on it that an upload never reads; to close it with
// these unread would reset it, and the server would lose the end of the file with it. So the end is announced, and the
// server's end awaited.
type data struct {
	*tls.Conn
	wrote bool
}

func (d *data) Write(b []byte) (int, error) {
	d.wrote = true
	return d.Conn.Write(b)
}

// farewell is how long a server may take to end its side. It has the whole file by then.
const farewell = 3 * time.Second

func (d *data) Close() error {
	if d.wrote && d.CloseWrite() == nil {
		timer := time.AfterFunc(farewell, func() { _ = d.NetConn().Close() }) // an error here means that it is closed
		_, _ = io.Copy(io.Discard, io.LimitReader(d.Conn, maxTalk))           // the reply tells what became of the file
		timer.Stop()
	}
	return d.Conn.Close()
}

// lost reports whether an error is of the connection, and no reply. The library gives some replies back as mere text.
func lost(err error) bool {
	var network net.Error
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var syntax textproto.ProtocolError
	return errors.As(err, &network) || errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &syntax) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, wire.ErrTooMuch)
}

func unreachable(ctx context.Context, address string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case reply(err) != 0:
		return ErrRefused.Withf("The FTP server %s does not take the connection as configured: %s.", address, saidOf(err)).Because(err)
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return ErrUnreachable.Withf("The certificate of the FTP server %s is not one to trust.", address).Because(err)
	}
	return ErrUnreachable.Withf("The FTP server %s does not answer.", address).Because(err)
}

// Close ends the connection. It waits for no farewell.
func (c *Conn) Close() { _ = c.c.Quit() } // what matters was answered before

// Enter changes to a folder; "" stays.
func (c *Conn) Enter(folder string) error {
	if folder == "" {
		return nil
	}
	err := c.c.ChangeDir(folder)
	if reply(err) == 550 {
		return ErrRefused.Withf("The FTP server has no folder %s, or does not let the login in: %s.", folder, saidOf(err)).Because(err)
	}
	return c.found("enter "+folder, err)
}

// Names returns the names in the folder.
func (c *Conn) Names() ([]string, error) {
	names, err := c.c.NameList("")
	if r := reply(err); r == 550 || r == 450 { // how many servers say that there are none
		return nil, nil
	}
	for i, n := range names {
		names[i] = path.Base(n)
	}
	return names, c.found("list the folder", err)
}

// Get reads a file. Its end is the end of the file only: a transfer that is cut off is an error.
func (c *Conn) Get(name string) (io.ReadCloser, error) {
	r, err := c.c.Retr(name)
	if reply(err) == 550 {
		return nil, ErrAbsent.Withf("The FTP server does not give out %s: %s.", name, saidOf(err)).Because(err)
	}
	if err != nil {
		return nil, c.found("send "+name, err)
	}
	return &transfer{in: r, conn: c, name: name}, nil
}

// transfer is a file on its way. At its end the server's word is waited for that this was all.
type transfer struct {
	in   *ftp.Response
	conn *Conn
	name string
	end  error // once there was one
}

func (t *transfer) Read(b []byte) (n int, err error) {
	if t.end == nil {
		n, t.end = t.read(b)
	}
	return n, t.end
}

func (t *transfer) read(b []byte) (int, error) {
	n, err := t.in.Read(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if err := t.in.Close(); err != nil {
			return n, t.conn.found("send all of "+t.name, err)
		}
		return n, io.EOF
	case errors.Is(err, wire.ErrTooMuch):
		return n, err
	}
	return n, ErrUnreachable.Withf("The FTP server broke off while it sent %s.", t.name).Because(err)
}

// Close gives the file up. If its end was not reached, the connection is of no more use.
func (t *transfer) Close() error {
	if t.end != nil {
		return nil
	}
	_ = t.in.SetDeadline(time.Now()) // for a peer that still sends
	_ = t.in.Close()
	return nil
}

// Put writes a file, over one of the same name.
func (c *Conn) Put(name string, r io.Reader) error {
	return c.found("store "+name, c.c.Stor(name, r))
}

// Size returns a file's size in bytes, or -1 where the server does not tell.
func (c *Conn) Size(name string) (int64, error) {
	n, err := c.c.FileSize(name)
	switch reply(err) {
	case 500, 502, 504:
		return -1, nil
	case 550:
		return 0, ErrAbsent.Withf("The FTP server does not show %s: %s.", name, saidOf(err)).Because(err)
	}
	return n, c.found("tell the size of "+name, err)
}

// Rename gives a file another name, in the place of one that has it: where the server does that.
func (c *Conn) Rename(from, to string) error {
	return c.found("rename "+from+" to "+to, c.c.Rename(from, to))
}

// Delete removes a file.
func (c *Conn) Delete(name string) error { return c.found("delete "+name, c.c.Delete(name)) }

// found turns an error into a fault that says what the server did not do.
func (c *Conn) found(what string, err error) error {
	if err == nil || fault.Of(err) != nil || errors.Is(err, context.Canceled) {
		return err
	}
	if reply(err) != 0 {
		return ErrRefused.Withf("The FTP server does not %s: %s.", what, saidOf(err)).Because(err)
	}
	return ErrUnreachable.Withf("The connection to the FTP server broke off, or it fell silent, when it was to %s.", what).Because(err)
}

// reply returns the code of a server's negative reply, or 0.
func reply(err error) int {
	var r *textproto.Error
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

// saidOf is a server's reply as it may be shown: one line of printable characters.
func saidOf(err error) string {
	text := err.Error()
	var r *textproto.Error
	if errors.As(err, &r) {
		text = strconv.Itoa(r.Code) + " " + r.Msg
	}
	const most = 120
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.TrimRight(text, ". ")
}
