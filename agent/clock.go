package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// clockTolerance is how far this machine's clock and the server's may be apart. Certificates are backdated by less than that by nobody who is
// asked here, and a policy is good for much longer.
const clockTolerance = 10 * time.Minute

// serverClock knows how far the server's clock is from ours, from the last answer that told.
type serverClock struct {
	mu    sync.Mutex
	now   func() time.Time // ours
	known bool
	off   time.Duration // ours minus theirs
}

func (c *serverClock) heard(server time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.off = true, c.now().Sub(server)
}

// forget is for before a question: what was heard earlier says nothing of a clock that was set since.
func (c *serverClock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = false
}

// fault returns ErrClock if the clocks are too far apart, nil if they are not or nobody knows.
func (c *serverClock) fault(now time.Time) *fault.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || c.off.Abs() <= clockTolerance {
		return nil
	}
	return clockFault(now, now.Add(-c.off))
}

// clockFault says how far the clocks are apart, and what to do.
func clockFault(ours, theirs time.Time) *fault.Error {
	const minute = "2006-01-02 15:04"
	way := "behind"
	if ours.After(theirs) {
		way = "ahead of"
	}
	return ErrClock.Withf("This computer's clock is %s %s the server's: here it is %s UTC, there %s UTC. Set the clock, or switch on that the network sets it, and try again. "+
		"Until then nothing is asked for and nothing is taken for expired.", inWords(ours.Sub(theirs).Abs()), way, ours.UTC().Format(minute), theirs.UTC().Format(minute))
}

// inWords tells a length of time as people do.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		name string
		long time.Duration
	}{{"year", 365 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := (d + u.long/20) / u.long; n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		} else if n == 1 {
			return "1 " + u.name
		}
	}
	return "less than a minute"
}

// dialNow is dial for what is done by a certificate. Before it says that the certificate has ended, it asks the server what time it is: perhaps
// only the clock is wrong.
func (a *Agent) dialNow(ctx context.Context, id *Identity) (*client.Client, error) {
	c, err := a.dial(id)
	if !errors.Is(err, ErrExpired) {
		return c, err
	}
	cfg := a.cfg.Server
	cfg.Heard = a.clock.heard
	anybody, dialErr := client.New(cfg)
	if dialErr != nil {
		return nil, dialErr
	}
	defer anybody.Close()
	a.clock.forget()
	if _, asked := anybody.Health(ctx); asked != nil {
		a.cfg.Log.Info("the server's time is not known", "error", asked)
	}
	if wrong := a.clock.fault(a.cfg.Now()); wrong != nil {
		return nil, wrong.Because(err)
	}
	return nil, err
}
