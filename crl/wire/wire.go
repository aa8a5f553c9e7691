// Package wire makes network connections that do not wait for ever: every read and every write must get somewhere in its
// time, what may be read has a limit, and the end of the caller's context cuts them.
//
// It owns no protocol. Distribution points that hang are the rule, not the exception: what speaks FTP and HTTP to them in
// package crl's folders does so over these connections.
package wire

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// ErrTooMuch is what a read beyond Dialer.Limit returns.
var ErrTooMuch = errors.New("the server sends more than it may")

// Dialer makes connections. The zero Dialer waits ten seconds for each step and reads any amount.
type Dialer struct {
	Connect time.Duration // bounds connecting; 0 means 10s
	Step    time.Duration // bounds each read and write: how long the other side may say and take nothing; 0 means 10s
	Limit   int64         // bytes that may be read from each connection; 0: any number
}

const patience = 10 * time.Second

// Dial connects. When ctx ends, also later, the connection is cut.
func (d Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: or(d.Connect, patience)}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &conn{Conn: c, ctx: ctx, step: or(d.Step, patience), limited: d.Limit > 0}
	w.left.Store(d.Limit)
	w.stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // an error here means that it is closed
	return w, nil
}

func or(v, otherwise time.Duration) time.Duration {
	if v <= 0 {
		return otherwise
	}
	return v
}

type conn struct {
	net.Conn
	ctx     context.Context // of whoever dialled: why a connection was cut
	step    time.Duration
	limited bool
	left    atomic.Int64
	stop    func() bool
}

// maxPiece is how much is written in one step, so that a slow line is not taken for a dead one.
const maxPiece = 64 << 10

func (c *conn) Read(b []byte) (int, error) {
	if c.limited && c.left.Load() <= 0 {
		return 0, ErrTooMuch
	}
	if err := c.SetReadDeadline(time.Now().Add(c.step)); err != nil {
		return 0, c.reason(err)
	}
	n, err := c.Conn.Read(b)
	c.left.Add(-int64(n))
	return n, c.reason(err)
}

func (c *conn) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		if err = c.SetWriteDeadline(time.Now().Add(c.step)); err != nil {
			break
		}
		var m int
		m, err = c.Conn.Write(b[n:min(len(b), n+maxPiece)])
		n += m
	}
	return n, c.reason(err)
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// reason says more of an error than the connection does.
func (c *conn) reason(err error) error {
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return errors.Join(context.Cause(c.ctx), err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(errors.New("the other side said nothing for "+c.step.String()), err)
	}
	return err
}
