package agent

import (
	"context"
	"time"
)

// glance is how often a daemon looks at the clock: a timer does not run while a laptop sleeps.
const glance = time.Minute

// Daemon runs pass at once, and again at each time that it returns, until ctx ends. Now is the wall clock; nil means time.Now.
func Daemon(ctx context.Context, now func() time.Time, pass func(context.Context) time.Time) {
	if now == nil {
		now = time.Now
	}
	for ctx.Err() == nil {
		next := pass(ctx)
		for ctx.Err() == nil && now().Before(next) {
			timer := time.NewTimer(min(glance, next.Sub(now())))
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}
