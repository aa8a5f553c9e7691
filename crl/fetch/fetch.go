// Package fetch reads revocation lists and certificates as an outsider would: by the addresses that certificates carry, over
// HTTP, LDAP and FTP, with no login.
//
// It owns the reading and its limits. What a list says, and whether it is the right one, is for its callers. It writes
// nothing, and asks a directory through package directory.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealpost/sealpost/crl/ftp"
	"github.com/sealpost/sealpost/crl/wire"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for. Their details say what an outsider sees.
var (
	ErrURL         = fault.New(fault.Malformed, "fetch-url", "This address cannot be read.")
	ErrUnreachable = fault.New(fault.Unavailable, "fetch-unreachable", "Nobody answers at this address, or not in time.")
	ErrAbsent      = fault.New(fault.NotFound, "fetch-absent", "There is nothing at this address.")
	ErrRefused     = fault.New(fault.Unavailable, "fetch-refused", "What is at this address is not shown to everybody.")
	ErrTooLarge    = fault.New(fault.Malformed, "fetch-too-large", "What is at this address is larger than a revocation list may be.")
)

// Config bounds what is read. The zero Config will do.
type Config struct {
	Timeout    time.Duration  // of a whole reading; 0 means one minute
	Step       time.Duration  // how long a server may be silent; 0 means 10s
	MaxSize    int64          // bytes; 0 means 128 MiB. Directories: 32 MiB at most
	Trust      *x509.CertPool // for https and ldaps; nil means the system's
	LDAPServer string         // host[:port] for LDAP URLs that name no server
}

// Fetcher reads. It is safe for concurrent use, and keeps no connections.
type Fetcher struct {
	config Config
	http   *http.Client
}

// maxRedirects is how many an HTTP server may send one after the other.
const maxRedirects = 5

// New returns a Fetcher.
func New(c Config) *Fetcher {
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.Step <= 0 {
		c.Step = 10 * time.Second
	}
	if c.MaxSize <= 0 {
		c.MaxSize = 128 << 20
	}
	dialer := wire.Dialer{Connect: c.Step, Step: c.Step}
	return &Fetcher{config: c, http: &http.Client{
		// No proxy of the environment, no kept connections, no compression that a server's answer would not have by itself.
		Transport: &http.Transport{
			DialContext:     dialer.Dial,
			TLSClientConfig: &tls.Config{RootCAs: c.Trust, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: c.Step,
			ResponseHeaderTimeout: c.Step, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return errors.New("too many redirects")
			case r.URL.Scheme != via[0].URL.Scheme:
				return fmt.Errorf("redirected from %s to %s", via[0].URL.Scheme, r.URL.Scheme)
			}
			return nil
		},
	}}
}

// Open reads what is at an address: http, https, ldap, ldaps (RFC 4516, with one attribute) or ftp. The reader's end is the
// end of the file: what breaks off, takes too long or is too large is an error. The caller closes.
func (f *Fetcher) Open(ctx context.Context, address string) (io.ReadCloser, error) {
	scheme, _, _ := strings.Cut(address, ":")
	open := map[string]func(context.Context, string) (io.ReadCloser, error){
		"http": f.openHTTP, "https": f.openHTTP, "ldap": f.openLDAP, "ldaps": f.openLDAP, "ftp": f.openFTP,
	}[strings.ToLower(scheme)]
	if open == nil {
		return nil, ErrURL.Withf("The address does not begin with http, https, ldap, ldaps or ftp.")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, ErrURL.Withf("The address has spaces or control characters in it.")
	}
	bounded, cancel := context.WithTimeoutCause(ctx, f.config.Timeout, fmt.Errorf("the reading was not done after %s", f.config.Timeout))
	in, err := open(bounded, address)
	if err != nil {
		cancel()
		return nil, gaveUp(ctx, err)
	}
	return &content{in: in, ctx: ctx, cancel: cancel, left: f.config.MaxSize, most: f.config.MaxSize}, nil
}

// gaveUp gives back the caller's own cancellation as such.
func gaveUp(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return err
}

// content is what is read, up to its limits.
type content struct {
	in         io.ReadCloser
	ctx        context.Context // the caller's
	cancel     context.CancelFunc
	left, most int64
}

func (c *content) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.left -= int64(n)
	switch {
	case c.left < 0, errors.Is(err, wire.ErrTooMuch):
		return 0, ErrTooLarge.Withf("There are more than %d bytes at this address.", c.most)
	case err == nil, err == io.EOF: // exactly the end
		return n, err
	case fault.Of(err) == nil:
		err = ErrUnreachable.Withf("The server broke off, or fell silent.").Because(err)
	}
	return n, gaveUp(c.ctx, err)
}

func (c *content) Close() error {
	defer c.cancel()
	return c.in.Close()
}

func (f *Fetcher) openHTTP(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, ErrURL.Withf("The address names no server, or a login.")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, ErrURL.Because(err)
	}
	response, err := f.http.Do(request)
	if err != nil {
		return nil, unreachable(u.Host, err)
	}
	switch status := response.StatusCode; {
	case status == http.StatusOK:
		return response.Body, nil
	case status == http.StatusNotFound, status == http.StatusGone:
		err = ErrAbsent.Withf("The server %s has nothing at this address: status %d.", u.Host, status)
	case status >= 500, status == http.StatusTooManyRequests:
		err = ErrUnreachable.Withf("The server %s cannot answer now: status %d.", u.Host, status)
	default:
		err = ErrRefused.Withf("The server %s does not give out what is at this address: status %d.", u.Host, status)
	}
	_ = response.Body.Close()
	return nil, err
}

func unreachable(host string, err error) error {
	var bad *tls.CertificateVerificationError
	var redirect *url.Error
	switch {
	case errors.As(err, &bad):
		return ErrUnreachable.Withf("The certificate of the server %s is not one to trust.", host).Because(err)
	case errors.As(err, &redirect) && strings.Contains(redirect.Err.Error(), "redirect"):
		return ErrRefused.Withf("The server %s leads elsewhere: %s.", host, redirect.Err).Because(err)
	}
	return ErrUnreachable.Withf("The server %s does not answer, or not in time.", host).Because(err)
}

func (f *Fetcher) openLDAP(ctx context.Context, address string) (io.ReadCloser, error) {
	world := directory.World{Trust: f.config.Trust, Server: f.config.LDAPServer, Timeout: f.config.Step}
	b, err := world.OneValue(ctx, address)
	for was, is := range map[*fault.Error]*fault.Error{
		directory.ErrValue: ErrURL, directory.ErrUnknownEntry: ErrAbsent, directory.ErrUnavailable: ErrUnreachable,
		directory.ErrRefused: ErrRefused, directory.ErrSeveral: ErrRefused,
	} {
		if errors.Is(err, was) {
			return nil, is.Withf("%s", fault.Of(err).Detail).Because(err)
		}
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (f *Fetcher) openFTP(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, ErrURL.Withf("The address names no server, or a login.")
	}
	// The first slash ends the host (RFC 1738, section 3.2.2); a path from the server's root begins with another, as %2F. What
	// may stand behind a semicolon is the kind of transfer, which is always the same here.
	path, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), ";type=")
	if path == "" || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "\r\n\x00") {
		return nil, ErrURL.Withf("The address names no file.")
	}
	port := u.Port()
	if port == "" {
		port = "21"
	}
	c, err := ftp.Open(ctx, ftp.Config{Address: net.JoinHostPort(u.Hostname(), port), Security: ftp.Plain, Login: "anonymous", Password: "anonymous@",
		Step: f.config.Step, Limit: f.config.MaxSize + 1})
	if err != nil {
		return nil, said(err)
	}
	in, err := c.Get(path)
	if err != nil {
		c.Close()
		return nil, said(err)
	}
	return &transfer{in, c}, nil
}

// said gives faults of the connection the names of this package.
func said(err error) error {
	for was, is := range map[*fault.Error]*fault.Error{ftp.ErrUnreachable: ErrUnreachable, ftp.ErrLogin: ErrRefused, ftp.ErrRefused: ErrRefused, ftp.ErrAbsent: ErrAbsent} {
		if errors.Is(err, was) {
			return is.Withf("%s", fault.Of(err).Detail).Because(err)
		}
	}
	return err
}

// transfer is a file with the connection that it comes over.
type transfer struct {
	io.ReadCloser
	conn *ftp.Conn
}

func (t *transfer) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err != nil && err != io.EOF { // exactly the end
		err = said(err)
	}
	return n, err
}

func (t *transfer) Close() error {
	err := t.ReadCloser.Close()
	t.conn.Close()
	return err
}
