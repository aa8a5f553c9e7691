package signin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/web/allowance"
)

const (
	home  = "192.0.2.1:1000"
	away  = "198.51.100.7:1000"
	right = true
	wrong = false
)

// guesser makes attempts at a time of its own.
type guesser struct {
	*Attempts
	time time.Time
}

func newGuesser(l Failures) *guesser {
	g := &guesser{time: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	g.Attempts = NewAttempts(l, func() time.Time { return g.time })
	return g
}

// guess returns how long the attempt was told to wait, 0 if it was made.
func (g *guesser) guess(t *testing.T, login, from string, ok bool) time.Duration {
	t.Helper()
	err := g.try(t.Context(), login, from, func() error {
		if ok {
			return nil
		}
		return directory.ErrCredentials
	})
	if l := (allowance.Later{}); errors.As(err, &l) {
		if !errors.Is(err, ErrFailures) || l.After <= 0 {
			t.Fatalf("refused with %v", err)
		}
		return l.After
	}
	return 0
}

func TestFailuresOfOneLoginFromOneAddressMustWait(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{})
	for i := range 5 {
		if w := g.guess(t, "alice", home, wrong); w != 0 {
			t.Fatalf("failure %d has to wait %v", i+1, w)
		}
	}
	if w := g.guess(t, "alice", home, right); w != 30*time.Second {
		t.Errorf("after 5 failures even the right password waits: %v, want 30s", w)
	}
	if w := g.guess(t, " ALICE ", home, wrong); w == 0 {
		t.Error("another spelling is another login")
	}
	for what, at := range map[string][2]string{"her from elsewhere": {"alice", away}, "another login": {"bob", home}} {
		if w := g.guess(t, at[0], at[1], right); w != 0 {
			t.Errorf("%s has to wait %v", what, w)
		}
	}
	g.time = g.time.Add(30 * time.Second)
	if w := g.guess(t, "alice", home, right); w != 0 {
		t.Errorf("half a minute later: %v", w)
	}
	for range 5 {
		if w := g.guess(t, "alice", home, wrong); w != 0 {
			t.Errorf("after the right password the count begins anew: %v", w)
		}
	}
}

func TestSuccessesCostNothing(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{})
	for range 10_000 {
		if w := g.guess(t, "alice", home, right); w != 0 {
			t.Fatalf("has to wait %v", w)
		}
	}
}

// An own account does not buy guesses at others': success forgives its own login's failures alone.
func TestOneAddressMustWaitWhateverTheLogin(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{})
	for i := range 50 {
		if w := g.guess(t, fmt.Sprint("login", i), home, wrong); w != 0 {
			t.Fatalf("failure %d has to wait %v", i+1, w)
		}
		g.guess(t, "mallory", home, right)
	}
	if w := g.guess(t, "login51", home, wrong); w != 5*time.Second {
		t.Errorf("the 51st login has to wait %v, want 5s", w)
	}
	if w := g.guess(t, "login51", away, wrong); w != 0 {
		t.Errorf("from another address: %v", w)
	}
}

func TestIPv6ClientsCountByTheirNetwork(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{})
	for i := range 5 {
		g.guess(t, "alice", fmt.Sprintf("[2001:db8::%x]:443", i+1), wrong)
	}
	if w := g.guess(t, "alice", "[2001:db8::ffff]:443", wrong); w == 0 {
		t.Error("another address of the same /64 need not wait")
	}
	if w := g.guess(t, "alice", "[2001:db8:0:1::1]:443", wrong); w != 0 {
		t.Errorf("another /64 has to wait %v", w)
	}
	if a, b := allowance.Network("[::ffff:192.0.2.1]:1"), allowance.Network("192.0.2.1:2"); a != b {
		t.Errorf("%v and %v are one address", a, b)
	}
	if a := allowance.Network("@"); a.IsValid() {
		t.Errorf("no address is %v", a)
	}
}

// Many attackers use up the server's allowance; who logged in from where they are now is not kept out.
func TestServersAllowanceSparesAddressesThatSucceeded(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{Server: allowance.Allowance{Burst: 20, Every: time.Second}})
	g.guess(t, "alice", home, right)
	for i := range 20 {
		g.guess(t, "alice", fmt.Sprintf("203.0.113.%d:1", i), wrong)
	}
	if w := g.guess(t, "bob", away, right); w != time.Second {
		t.Errorf("a stranger waits %v, want 1s", w)
	}
	if w := g.guess(t, "alice", home, right); w != 0 {
		t.Errorf("somebody known there waits %v", w)
	}
	g.time = g.time.Add(time.Second)
	if w := g.guess(t, "bob", away, right); w != 0 {
		t.Errorf("a second later: %v", w)
	}
}

// Attempts at the same time can all fail; the debt is waited off, but has a bound.
func TestDebtHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(Failures{AtOnce: 100}, time.Now)
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				_ = a.try(t.Context(), "alice", home, func() error { time.Sleep(time.Second); return directory.ErrCredentials })
			})
		}
		wait.Wait()
		begun := time.Now()
		for {
			err := a.try(t.Context(), "alice", home, func() error { return nil })
			l := allowance.Later{}
			if !errors.As(err, &l) {
				break
			}
			time.Sleep(l.After)
		}
		// 100 failures at once are 10 for the login (6 × 30s), and 100 for the address (51 × 5s).
		if waited := time.Since(begun); waited != 51*5*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestAttemptsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAttempts(Failures{AtOnce: 2}, time.Now)
		var at, most int
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				_ = a.try(t.Context(), "alice", home, func() error {
					mu.Lock()
					at++
					most = max(most, at)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					at--
					mu.Unlock()
					return nil
				})
			})
		}
		wait.Wait()
		if most != 2 {
			t.Errorf("%d at once, want 2", most)
		}
		a.slots <- struct{}{}
		a.slots <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.try(ctx, "alice", home, func() error { t.Error("tried"); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no turn: %v", err)
		}
	})
}

func TestWhatIsNoFailureCostsNothing(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{})
	for _, err := range []error{directory.ErrUnavailable, directory.ErrDisabled, context.Canceled, errors.New("x")} {
		for range 100 {
			if got := g.try(t.Context(), "alice", home, func() error { return err }); !errors.Is(got, err) {
				t.Fatalf("%v became %v", err, got)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	g := newGuesser(Failures{Address: allowance.Allowance{Burst: 1 << 30, Every: time.Second}, Server: allowance.Allowance{Burst: 1 << 30, Every: time.Second}})
	for range 5 {
		g.guess(t, "alice", home, wrong)
	}
	for i := range 3 * allowance.RecentSize {
		g.guess(t, fmt.Sprint(i), fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), wrong)
		if i == allowance.RecentSize {
			if w := g.guess(t, "alice", home, right); w == 0 {
				t.Error("what was heard of lately is forgotten")
			}
		}
	}
	if n := g.logins.Len(); n > 2*allowance.RecentSize {
		t.Errorf("%d logins are remembered, more than %d", n, 2*allowance.RecentSize)
	}
	if n := g.addresses.Len(); n > 2*allowance.RecentSize {
		t.Errorf("%d addresses are remembered, more than %d", n, 2*allowance.RecentSize)
	}
}
