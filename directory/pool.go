package directory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxIdle is how long an unused connection is kept. Servers and firewalls drop idle ones, often without a word.
const maxIdle = 2 * time.Minute

// pool is a few connections that are bound as one account. It is safe for concurrent use.
type pool struct {
	dial    func(context.Context) (*conn, error)
	dialer  *dialer       // what dial dials
	timeout time.Duration // of one operation
	slots   chan struct{} // one for each connection in use

	mu     sync.Mutex
	idle   []idle // the most recently used last
	closed bool
}

type idle struct {
	*conn
	since time.Time
}

func newPool(size int, timeout time.Duration, d *dialer) *pool {
	return &pool{dial: d.dial, dialer: d, timeout: timeout, slots: make(chan struct{}, size)}
}

// do runs fn on a connection. fn must bear being run again from its start: when a connection that was kept from
// before turns out to be dead, it is run once more on a new one. Errors are faults.
func (p *pool) do(ctx context.Context, fn func(*ldap.Conn) error) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	start := time.Now()
	c, kept := p.take()
	for {
		if c == nil {
			var err error
			if c, err = p.dial(ctx); err != nil {
				return gaveUp(ctx, err)
			}
		}
		err := c.run(ctx, p.timeout, fn)
		if !broken(err) {
			p.put(c)
			return found(err)
		}
		c.close()
		if !kept || ctx.Err() != nil || time.Since(start) >= p.timeout {
			return gaveUp(ctx, err)
		}
		p.drain() // what killed this one killed the others
		c, kept = nil, false
	}
}

// hold is do for a row of operations that need the same connection, as the pages of a search do. Each step has the time
// and the bytes of one operation. Nothing is run again: after an error the caller begins anew, if at all.
func (p *pool) hold(ctx context.Context, fn func(step func(func(*ldap.Conn) error) error) error) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	c, err := p.dial(ctx)
	if err != nil {
		return gaveUp(ctx, err)
	}
	defer c.close()
	return fn(func(op func(*ldap.Conn) error) error {
		err := c.run(ctx, p.timeout, op)
		if broken(err) {
			return gaveUp(ctx, err)
		}
		return found(err)
	})
}

// enter waits for a slot, not longer than an operation may take: when a server hangs, callers must not queue up for ever.
func (p *pool) enter(ctx context.Context) error {
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx, ctx.Err())
	case <-timer.C:
		return ErrUnavailable.Because(errors.New("all connections to the directory are in use"))
	}
}

// gaveUp is the fault of an operation that was not answered, for its cause or because its caller left.
func gaveUp(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if broken(err) {
		return ErrUnavailable.Because(err)
	}
	return found(err)
}

// take returns a connection that was kept, or nil.
func (p *pool) take() (c *conn, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !last.IsClosing() && time.Since(last.since) < maxIdle {
			return last.conn, true
		}
		last.close()
	}
	return nil, false
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.IsClosing() {
		c.close()
		return
	}
	p.idle = append(p.idle, idle{c, time.Now()})
}

// drain closes the connections that are not in use.
func (p *pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

// close closes the pool: connections in use when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drain()
}
