package bench

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
)

// measureArchive measures deposits at the server, and what officers and recipients do with many keys at once.
func (b *bench) measureArchive(ctx context.Context) error {
	if b.Deposits == 0 && b.CasePeople == 0 {
		return nil
	}
	conf, err := config.Load(b.installation.First().Config)
	if err != nil {
		return err
	}
	if err := conf.Validate(); err != nil {
		return err
	}
	clock := &depositClock{}
	s, err := server.Open(ctx, conf, slog.New(slog.DiscardHandler), server.Hooks{AfterStep: clock.after})
	if err != nil {
		return err
	}
	defer s.Close()
	b.report.Archive = &Archive{}
	if b.Deposits > 0 {
		if err := b.measureDeposits(ctx, s, clock); err != nil {
			return fmt.Errorf("deposits: %w", err)
		}
	}
	if b.CasePeople == 0 {
		return nil
	}
	if err := b.measurePrimitives(); err != nil {
		return err
	}
	return b.measureCase(ctx, s)
}

// batchOfPartials is how many records one measurement of partial decryptions is of.
const batchOfPartials = 500

// measurePrimitives times what no officer can leave out for one record: checking its proof, and their part of its
// decryption with the record's part of the one proof over all.
func (b *bench) measurePrimitives() error {
	y, err := threshold.RandomScalar().Point()
	if err != nil {
		return err
	}
	e, err := threshold.Encapsulate(y)
	if err != nil {
		return err
	}
	binding := [32]byte{1}
	proof, err := e.Prove(binding)
	if err != nil {
		return err
	}
	share := threshold.Share{Agent: 1, Scalar: threshold.RandomScalar()}
	in := threshold.Context{Epoch: 1, Agent: 1, Key: y}
	rs := make([]threshold.Point, batchOfPartials)
	for i := range rs {
		if rs[i], err = threshold.RandomScalar().Point(); err != nil {
			return err
		}
	}
	parts := []part{
		{"check the proof of a record", 1, func() error { return threshold.VerifyProof(y, e.R, e.R2, binding, proof) }},
		{"partial decryption, with its share of the proof", batchOfPartials, func() error {
			ds, err := threshold.Decrypt(share, rs)
			if err != nil {
				return err
			}
			_, err = threshold.ProvePartials(share, in, rs, ds)
			return err
		}}}
	for _, p := range parts {
		var took []float64
		for range b.Rounds {
			t, err := timePart(p, b.partTime())
			if err != nil {
				return err
			}
			took = append(took, float64(t.Nanoseconds())/1e6/float64(p.times))
		}
		b.report.Archive.Officer = append(b.report.Archive.Officer, Primitive{p.name, spread(took)})
	}
	return nil
}

// partTime is how long a piece of cryptography is repeated.
func (b *bench) partTime() time.Duration {
	return time.Duration(min(b.Seconds, 0.2) * float64(time.Second))
}

// work is what something took.
type work struct {
	wall, cpu time.Duration
	peak      float64 // MiB of memory; 0 where it was not in a process of its own
}

// timeHere measures what this process does.
func timeHere(do func() error) (work, error) {
	runtime.GC() // what was left by what came before
	cpu, begun := cpuTime(unix.RUSAGE_SELF), time.Now()
	err := do()
	return work{wall: time.Since(begun), cpu: cpuTime(unix.RUSAGE_SELF) - cpu}, err
}

func spread(list []float64) Spread { return Spread{Min: slices.Min(list), Median: median(list)} }

func effort(runs []work) Effort {
	var wall, cpu []float64
	out := Effort{Runs: len(runs)}
	for _, r := range runs {
		wall, cpu = append(wall, r.wall.Seconds()), append(cpu, r.cpu.Seconds())
		out.PeakMiB = max(out.PeakMiB, r.peak)
	}
	out.Wall, out.CPU = spread(wall), spread(cpu)
	return out
}
