package web

import (
	"context"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrFailures refuses somebody who failed too often to show who they are.
var ErrFailures = fault.New(fault.Unavailable, "too-many-failures", "There were too many failed attempts. Wait before the next one.")

// Allowance is how many failures are forgiven: Burst at once, and one more per Every.
type Allowance struct {
	Burst int           `yaml:"burst"`
	Every time.Duration `yaml:"every"`
}

// Failures bounds failed attempts to log in. Successes cost nothing. Nothing is counted per login alone: that would let
// anybody lock a person out from afar.
type Failures struct {
	// Login is for one login from one address; zero means 5, and one more per 30s.
	Login Allowance `yaml:"login"`
	// Address is for all logins and tokens from one address (for IPv6, one /64); zero means 50, and one more per 5s.
	Address Allowance `yaml:"address"`
	// Server is for everybody together, as a guard of the directory. When it is used up, addresses from which nobody
	// logged in lately must wait; others go on. Zero means 500, and one more per 50ms.
	Server Allowance `yaml:"server"`
	// AtOnce is how many passwords are tried at the directory at the same time; zero means 32. Others wait their turn.
	AtOnce int `yaml:"at_once"`
}

func (l Failures) orDefaults() Failures {
	or := func(a, otherwise Allowance) Allowance {
		if a.Burst <= 0 || a.Every <= 0 {
			return otherwise
		}
		return a
	}
	l.Login = or(l.Login, Allowance{5, 30 * time.Second})
	l.Address = or(l.Address, Allowance{50, 5 * time.Second})
	l.Server = or(l.Server, Allowance{500, 50 * time.Millisecond})
	if l.AtOnce <= 0 {
		l.AtOnce = 32
	}
	return l
}

// provenFor is how long an address from which somebody logged in is preferred to strangers.
const provenFor = 24 * time.Hour

// attempts remembers failures. Its memory is bounded: what was not heard of for longest is forgotten first.
type attempts struct {
	limits Failures
	now    func() time.Time
	slots  chan struct{}
	seed   maphash.Seed

	mu        sync.Mutex
	logins    recent[loginFrom]
	addresses recent[netip.Prefix]
	server    tally
}

// loginFrom is one login tried from one address. The login is a hash: who it was does not matter here.
type loginFrom struct {
	login   uint64
	address netip.Prefix
}

func newAttempts(l Failures, now func() time.Time) *attempts {
	return &attempts{limits: l, now: now, slots: make(chan struct{}, l.AtOnce), seed: maphash.MakeSeed()}
}

// try runs an attempt to log in unless there were too many failures before. It fails when its credentials are wrong; that
// the directory is away, or the account disabled, is no failure. Several may run at once, each of which can fail: failures beyond the allowance are a debt that is waited off.
func (a *attempts) try(ctx context.Context, login, remote string, attempt func() error) error {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.slots }()
	who := loginFrom{maphash.String(a.seed, normalLogin(login)), addressOf(remote)}
	if wait := a.wait(who); wait > 0 {
		return later{ErrFailures, wait}
	}
	err := attempt()
	switch {
	case err == nil:
		a.succeeded(who)
	case isWrong(err):
		a.failed(who)
	}
	return err
}

// wait returns how long the next attempt must wait.
func (a *attempts) wait(who loginFrom) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	address := a.addresses.get(who.address)
	wait := max(a.logins.get(who).wait(a.limits.Login, now), address.wait(a.limits.Address, now))
	if address == nil || now.Sub(address.proven) > provenFor {
		wait = max(wait, a.server.wait(a.limits.Server, now))
	}
	return wait
}

func (a *attempts) failed(who loginFrom) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.logins.touch(who).add(a.limits.Login, now)
	a.addresses.touch(who.address).add(a.limits.Address, now)
	a.server.add(a.limits.Server, now)
}

// succeeded forgives the login's failures from this address, and only those: an own account must not buy guesses at
// others'.
func (a *attempts) succeeded(who loginFrom) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins.forget(who)
	a.addresses.touch(who.address).proven = a.now()
}

// tally is a debt of failures that shrinks with time. The zero tally has none.
type tally struct {
	debt   float64
	at     time.Time
	proven time.Time // when an attempt succeeded last
}

func (t *tally) left(l Allowance, now time.Time) float64 {
	if t == nil || t.at.IsZero() {
		return 0
	}
	return max(0, t.debt-float64(now.Sub(t.at))/float64(l.Every))
}

// wait returns how long it takes until one more failure is forgiven.
func (t *tally) wait(l Allowance, now time.Time) time.Duration {
	over := t.left(l, now) - float64(l.Burst-1)
	if over <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(over * float64(l.Every)))
}

// add adds a failure. The debt has a bound, so that nobody who shares an address is shut out for long.
func (t *tally) add(l Allowance, now time.Time) {
	t.debt, t.at = min(t.left(l, now)+1, float64(2*l.Burst)), now
}

// recentSize is how many entries recent keeps at least; twice that at most. An entry takes some 150 bytes.
const recentSize = 1 << 14

// recent is a map that keeps what was touched last: two generations, of which the older is dropped when the younger is
// full.
type recent[K comparable] struct {
	young, old map[K]*tally
}

// get returns the entry of k, or nil.
func (r *recent[K]) get(k K) *tally {
	if t := r.young[k]; t != nil {
		return t
	}
	return r.old[k]
}

// touch returns the entry of k, a new one if there is none, as the youngest.
func (r *recent[K]) touch(k K) *tally {
	if t := r.young[k]; t != nil {
		return t
	}
	if len(r.young) >= recentSize || r.young == nil {
		r.young, r.old = make(map[K]*tally), r.young
	}
	t := r.old[k]
	if t == nil {
		t = new(tally)
	}
	delete(r.old, k)
	r.young[k] = t
	return t
}

func (r *recent[K]) forget(k K) {
	delete(r.young, k)
	delete(r.old, k)
}

// normalLogin makes one of the spellings that a directory takes for the same login.
func normalLogin(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// addressOf returns what failures are counted for: an IPv4 address, or the /64 that an IPv6 client may choose from. What
// is no address counts as one.
func addressOf(remote string) netip.Prefix {
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

// isWrong reports whether an error says that credentials are wrong.
func isWrong(err error) bool {
	f := fault.Of(err)
	return f != nil && statusOf(f) == http.StatusUnauthorized
}
