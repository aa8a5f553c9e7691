// Package allowance counts what somebody may do only so often: fail to sign in, ask for other people's certificates. It
// owns the arithmetic (Tally), a memory of bounded size (Recent), both together (Counter) and what of an address counts (Network). What is
// counted, and of whom, is its callers' business; so is locking, but for Counter.
package allowance

import (
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// Allowance is how much is allowed: Burst at once, and one more per Every.
type Allowance struct {
	Burst int           `yaml:"burst"` // at once
	Every time.Duration `yaml:"every"` // until one more is allowed
}

// Or returns the allowance, or another one if it allows nothing.
func (a Allowance) Or(otherwise Allowance) Allowance {
	if a.Burst <= 0 || a.Every <= 0 {
		return otherwise
	}
	return a
}

// Later is a fault that passes after a while.
type Later struct {
	Fault *fault.Error
	After time.Duration
}

func (l Later) Error() string { return l.Fault.Error() }

// RetryAfter is the value of an answer's header of that name (RFC 9110, 10.2.3).
func (l Later) RetryAfter() string { return strconv.Itoa(int(math.Ceil(l.After.Seconds()))) }

// Unwrap returns the fault.
func (l Later) Unwrap() error { return l.Fault }

// Tally is a debt that shrinks with time. The zero Tally has none.
type Tally struct {
	debt   float64
	at     time.Time
	Proven time.Time // when whom it is counted for proved to be trusted; the tally itself does not use it
}

func (t *Tally) left(l Allowance, now time.Time) float64 {
	if t == nil || t.at.IsZero() {
		return 0
	}
	return max(0, t.debt-float64(now.Sub(t.at))/float64(l.Every))
}

// Wait returns how long it takes until one more is allowed.
func (t *Tally) Wait(l Allowance, now time.Time) time.Duration {
	over := t.left(l, now) - float64(l.Burst-1)
	if over <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(over * float64(l.Every)))
}

// Add adds one. The debt has a bound, so that nobody who shares an address is shut out for long.
func (t *Tally) Add(l Allowance, now time.Time) {
	t.debt, t.at = min(t.left(l, now)+1, float64(2*l.Burst)), now
}

// RecentSize is how many entries Recent keeps at least; twice that at most. An entry takes some 150 bytes.
const RecentSize = 1 << 14

// Recent is a map that keeps what was touched last: two generations, of which the older is dropped when the younger is
// full.
type Recent[K comparable] struct {
	young, old map[K]*Tally
}

// Get returns the entry of k, or nil.
func (r *Recent[K]) Get(k K) *Tally {
	if t := r.young[k]; t != nil {
		return t
	}
	return r.old[k]
}

// Touch returns the entry of k, a new one if there is none, as the youngest.
func (r *Recent[K]) Touch(k K) *Tally {
	if t := r.young[k]; t != nil {
		return t
	}
	if len(r.young) >= RecentSize || r.young == nil {
		r.young, r.old = make(map[K]*Tally), r.young
	}
	t := r.old[k]
	if t == nil {
		t = new(Tally)
	}
	delete(r.old, k)
	r.young[k] = t
	return t
}

// Len returns how many entries there are.
func (r *Recent[K]) Len() int { return len(r.young) + len(r.old) }

// Forget drops the entry of k.
func (r *Recent[K]) Forget(k K) {
	delete(r.young, k)
	delete(r.old, k)
}

// Counter counts what each of many does against one allowance. It is safe for concurrent use.
type Counter[K comparable] struct {
	limit Allowance
	now   func() time.Time

	mu    sync.Mutex
	tally Recent[K]
}

// NewCounter returns a counter.
func NewCounter[K comparable](l Allowance, now func() time.Time) *Counter[K] {
	return &Counter[K]{limit: l, now: now}
}

// Take counts one more of k and returns 0; or it returns how long to wait until one is allowed, and counts nothing.
func (c *Counter[K]) Take(k K) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, t := c.now(), c.tally.Touch(k)
	if wait := t.Wait(c.limit, now); wait > 0 {
		return wait
	}
	t.Add(c.limit, now)
	return 0
}

// Network returns what a remote address (host:port) is counted for: an IPv4 address, or the /64 that an IPv6 client may choose from. What
// is no address counts as one.
func Network(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
