package signin

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/session"
)

// ErrFailures refuses somebody who failed too often to show who they are.
var ErrFailures = fault.New(fault.Unavailable, "too-many-failures", "There were too many failed attempts. Wait before the next one.")

// Failures bounds failed attempts to log in. Successes cost nothing. Nothing is counted per login alone: that would let
// anybody lock a person out from afar.
type Failures struct {
	// Login is for one login from one address; zero means 5, and one more per 30s.
	Login allowance.Allowance `yaml:"login"`
	// Address is for all logins and tokens from one address (for IPv6, one /64); zero means 50, and one more per 5s.
	Address allowance.Allowance `yaml:"address"`
	// Server is for everybody together, as a guard of the directory. When it is used up, addresses from which nobody
	// logged in lately must wait; others go on. Zero means 500, and one more per 50ms.
	Server allowance.Allowance `yaml:"server"`
	// AtOnce is how many passwords are tried at the directory at the same time; zero means 32. Others wait their turn.
	AtOnce int `yaml:"at_once"`
}

// OrDefaults returns the bounds with what is zero replaced.
func (l Failures) OrDefaults() Failures {
	l.Login = l.Login.Or(allowance.Allowance{Burst: 5, Every: 30 * time.Second})
	l.Address = l.Address.Or(allowance.Allowance{Burst: 50, Every: 5 * time.Second})
	l.Server = l.Server.Or(allowance.Allowance{Burst: 500, Every: 50 * time.Millisecond})
	if l.AtOnce <= 0 {
		l.AtOnce = 32
	}
	return l
}

// provenFor is how long an address from which somebody logged in is preferred to strangers.
const provenFor = 24 * time.Hour

// Attempts remembers failures. Its memory is bounded: what was not heard of for longest is forgotten first.
type Attempts struct {
	limits Failures
	now    func() time.Time
	slots  chan struct{}
	seed   maphash.Seed

	mu        sync.Mutex
	logins    allowance.Recent[loginFrom]
	addresses allowance.Recent[netip.Prefix]
	server    allowance.Tally
}

// loginFrom is one login tried from one address. The login is a hash: who it was does not matter here.
type loginFrom struct {
	login   uint64
	address netip.Prefix
}

// NewAttempts returns a memory without failures.
func NewAttempts(l Failures, now func() time.Time) *Attempts {
	l = l.OrDefaults()
	return &Attempts{limits: l, now: now, slots: make(chan struct{}, l.AtOnce), seed: maphash.MakeSeed()}
}

// try runs an attempt to log in unless there were too many failures before. It fails when its credentials are wrong; that
// the directory is away, or the account disabled, is no failure. Several may run at once, each of which can fail: failures beyond the allowance are a debt that is waited off.
func (a *Attempts) try(ctx context.Context, login, remote string, attempt func() error) error {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.slots }()
	who := loginFrom{maphash.String(a.seed, normalLogin(login)), allowance.Network(remote)}
	if wait := a.wait(who); wait > 0 {
		return allowance.Later{Fault: ErrFailures, After: wait}
	}
	err := attempt()
	switch {
	case err == nil:
		a.succeeded(who)
	case Unproven(err):
		a.failed(who)
	}
	return err
}

// wait returns how long the next attempt must wait.
func (a *Attempts) wait(who loginFrom) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	address := a.addresses.Get(who.address)
	wait := max(a.logins.Get(who).Wait(a.limits.Login, now), address.Wait(a.limits.Address, now))
	if address == nil || now.Sub(address.Proven) > provenFor {
		wait = max(wait, a.server.Wait(a.limits.Server, now))
	}
	return wait
}

func (a *Attempts) failed(who loginFrom) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.logins.Touch(who).Add(a.limits.Login, now)
	a.addresses.Touch(who.address).Add(a.limits.Address, now)
	a.server.Add(a.limits.Server, now)
}

// succeeded forgives the login's failures from this address, and only those: an own account must not buy guesses at
// others'.
func (a *Attempts) succeeded(who loginFrom) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins.Forget(who)
	a.addresses.Touch(who.address).Proven = a.now()
}

// normalLogin makes one of the spellings that a directory takes for the same login.
func normalLogin(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// unproven are the faults of those who did not show who they are: with what they offered, or because they offered nothing.
var unproven = []*fault.Error{ErrMissing, ErrCertificate, ErrRevoked, ErrHeld, directory.ErrCredentials, enroll.ErrToken, session.ErrEnded,
	ErrTicket, ErrTicketEnded, ErrClock, ErrReplay, ErrNTLM, ErrIDToken, ErrIDTokenEnded}

// Unproven reports whether an error says that somebody did not show who they are.
func Unproven(err error) bool {
	return slices.ContainsFunc(unproven, func(f *fault.Error) bool { return errors.Is(err, f) })
}
