package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxAnswer bounds what a server may send in one operation, in bytes: entries with dozens of certificates are far
// smaller, and a server gone wild fills no memory.
const maxAnswer = 32 << 20

// errTooLarge is what reading more than maxAnswer fails with.
var errTooLarge = errors.New("the server's answer is too large")

// conn is a connection to a server.
type conn struct {
	*ldap.Conn
	wire    *wire
	address string // of the server, as configured
}

// wire is a network connection that breaks when more arrives than an operation may yield.
type wire struct {
	net.Conn
	left atomic.Int64
}

func (w *wire) Read(b []byte) (int, error) {
	if w.left.Load() <= 0 {
		return 0, errTooLarge
	}
	n, err := w.Conn.Read(b)
	w.left.Add(-int64(n))
	return n, err
}

// run runs fn with a deadline: the end of timeout or of ctx, whichever is first. When it passes, or ctx is cancelled,
// the connection is cut, which ends whatever waits on it.
func (c *conn) run(ctx context.Context, timeout time.Duration, fn func(*ldap.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("the server did not answer in time"))
	defer cancel()
	c.wire.left.Store(maxAnswer)
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() }) // an error here means that it is closed
	err := fn(c.Conn)
	if !stop() && broken(err) {
		return errors.Join(context.Cause(ctx), err)
	}
	if broken(err) && c.wire.left.Load() <= 0 {
		return errors.Join(errTooLarge, err)
	}
	return err
}

// close cuts the connection. It says no goodbye, which would wait for a server that hangs.
func (c *conn) close() {
	_ = c.wire.Close() // an error here means that it is closed
	_ = c.Conn.Close()
}

// dialer makes connections.
type dialer struct {
	endpoints   []endpoint
	trust       *x509.CertPool
	timeout     time.Duration    // for one endpoint
	good        *atomic.Int64    // index of the endpoint that answered last
	certificate *tls.Certificate // of the client; nil: none
	bind        func(*ldap.Conn, endpoint) error
	plain       bool // ldap without StartTLS: for what the world may read and is signed
}

// dial connects to the first endpoint that answers, beginning with the one that did last, and binds.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	var errs []error
	first := int(d.good.Load())
	for i := range d.endpoints {
		n := (first + i) % len(d.endpoints)
		c, err := d.connect(ctx, d.endpoints[n])
		if err == nil {
			d.good.Store(int64(n))
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s://%s: %w", d.endpoints[n].scheme, d.endpoints[n].address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (d *dialer) connect(ctx context.Context, e endpoint) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	network := "tcp"
	if e.scheme == "ldapi" {
		network = "unix"
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, network, e.address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: raw}
	w.left.Store(maxAnswer)
	config := &tls.Config{RootCAs: d.trust, ServerName: e.host, MinVersion: tls.VersionTLS12}
	if d.certificate != nil { // shown whatever authorities the server says that it trusts: its refusal tells more than silence
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.certificate, nil }
	}
	stream := net.Conn(w)
	if e.scheme == "ldaps" {
		secure := tls.Client(w, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		stream = secure
	}
	c := &conn{Conn: ldap.NewConn(stream, e.scheme == "ldaps"), wire: w, address: e.scheme + "://" + e.address}
	c.Start()
	err = c.run(ctx, d.timeout, func(l *ldap.Conn) error {
		if e.scheme == "ldap" && !d.plain {
			if err := startTLS(l, config); err != nil {
				return err
			}
		}
		if d.bind == nil {
			return nil
		}
		return d.bind(l, e)
	})
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// startTLS encrypts the connection, or fails: nothing is sent in the clear before or after.
func startTLS(l *ldap.Conn, config *tls.Config) error {
	if err := l.StartTLS(config); err != nil {
		return ldap.NewError(ldap.ErrorNetwork, fmt.Errorf("StartTLS: %w", err))
	}
	if state, ok := l.TLSConnectionState(); !ok || !state.HandshakeComplete {
		return ldap.NewError(ldap.ErrorNetwork, errors.New("StartTLS: the connection is not encrypted"))
	}
	return nil
}
