package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Rates that are expected before anything was measured: requests are prepared for them.
const (
	expectedPairs        = 300
	expectedCertificates = 2000
)

// measureRounds measures everything in turns.
func (b *bench) measureRounds(ctx context.Context) error {
	if err := b.warmUp(ctx); err != nil {
		return err
	}
	floors, pairs := map[int][]measured{}, map[string]map[int][]measured{}
	for round := range b.Rounds {
		for _, n := range b.Clients {
			m, err := b.measureFloor(ctx, n, b.Seconds)
			if err != nil {
				return fmt.Errorf("floor, %d clients: %w", n, err)
			}
			floors[n] = append(floors[n], m)
			line := fmt.Sprintf("round %d of %d, %d clients: floor %.0f/s", round+1, b.Rounds, n, m.perSecond())
			for _, key := range b.Keys {
				m, err := b.measurePairs(ctx, b.first, n, key, b.Seconds)
				if err != nil {
					return fmt.Errorf("%s, %d clients: %w", key, n, err)
				}
				if pairs[key] == nil {
					pairs[key] = map[int][]measured{}
				}
				pairs[key][n] = append(pairs[key][n], m)
				line += fmt.Sprintf(", %s %.0f/s", key, m.perSecond())
			}
			b.say("%s", line)
		}
	}
	for _, n := range b.Clients {
		b.report.Floor = append(b.report.Floor, rate("", floors[n]))
	}
	for _, key := range b.Keys {
		for _, n := range b.Clients {
			r := rate(key, pairs[key][n])
			r.Ratio = ratios(pairs[key][n], floors[n])
			b.report.Enrolments = append(b.report.Enrolments, r)
		}
	}
	b.report.Memory.Now, b.report.Memory.Peak = memoryOf(b.first.server.cmd.Process.Pid)
	return nil
}

// warmUp fills pools and caches, and shows what rates to expect. Each of the server's database connections plans a
// statement anew for its first five times: a server that has run for a minute does not.
func (b *bench) warmUp(ctx context.Context) error {
	b.say("warming up")
	most := slices.Max(b.Clients)
	if _, err := b.measureFloor(ctx, most, b.Seconds/2); err != nil {
		return err
	}
	for _, key := range b.Keys {
		for range 3 {
			if _, err := b.measurePairs(ctx, b.first, most, key, b.Seconds); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) measureFloor(ctx context.Context, n int, seconds float64) (measured, error) {
	few, err := certificateRequests(256)
	if err != nil {
		return measured{}, err
	}
	var requests []request
	for len(requests) < b.expect("floor", n, expectedCertificates, seconds) {
		requests = append(requests, few...)
	}
	before := b.cost(b.floor)
	m, err := b.floor.fire(ctx, n, requests, time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return m, err
	}
	m.work = b.cost(b.floor).minus(before)
	b.learn("floor", n, m)
	return m, nil
}

func (b *bench) measurePairs(ctx context.Context, t *target, n int, key string, seconds float64) (measured, error) {
	requests, err := t.enrolments(ctx, b.expect(key, n, expectedPairs, seconds), key)
	if err != nil {
		return measured{}, fmt.Errorf("prepare: %w", err)
	}
	if _, err := t.settle(ctx, b.patient); err != nil {
		return measured{}, err
	}
	before := b.cost(t)
	m, err := t.fire(ctx, n, requests, time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return m, err
	}
	m.work = b.cost(t).minus(before)
	before = b.cost(t)
	if m.settling, err = t.settle(ctx, b.patient); err != nil {
		return m, err
	}
	m.after = b.cost(t).minus(before)
	b.learn(key, n, m)
	return m, nil
}

// cost returns the CPU time used so far.
func (b *bench) cost(t *target) cost {
	return cost{server: cpuOf(t.server.cmd.Process.Pid), postgres: cpuOf(b.installation.Cluster.PID()),
		directory: cpuOf(b.installation.Directory.PID()), load: ownCPU()}
}

// expect returns how many requests are enough for a measurement.
func (b *bench) expect(what string, n int, otherwise, seconds float64) int {
	rate := b.estimates[fmt.Sprint(what, n)]
	if rate == 0 {
		rate = max(otherwise, b.estimates[what])
	}
	return int(rate*seconds*1.4) + 2*n
}

// learn remembers a rate.
func (b *bench) learn(what string, n int, m measured) {
	for _, name := range []string{what, fmt.Sprint(what, n)} {
		b.estimates[name] = max(b.estimates[name], m.perSecond())
	}
}
